"""Texts in the character sets that are met (DICOM PS3.3 C.12.1.1.2)."""

from io import BytesIO

import pydicom
import pytest

from gateway.dicom.kos_reader import read_kos
from gateway.model.metadata import Person
from tests.dicom.deviations import FILE
from tests.dicom.samples import edited

NAMES = {
    "": "Yamada^Tarou",
    "ISO_IR 6": "Yamada^Tarou",
    "ISO_IR 100": "Müller^Jörg",
    "ISO_IR 101": "Wałęsa^Jerzy",
    "ISO_IR 109": "Ĉapek^Ĥelena",
    "ISO_IR 110": "Bērziņš^Jānis",
    "ISO_IR 126": "Διονυσιος^Α",
    "ISO_IR 127": "قباني^لنزار",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 144": "Люкceмбypг^Роза",
    "ISO_IR 148": "Çavuşoğlu^İbrahim",
    "ISO_IR 166": "นามสกุล^ชื่อ",
    "ISO_IR 192": "Wang^XiaoDong=王^小東",
    "GB18030": "Wang^XiaoDong=王^小东",
    "GBK": "Wang^XiaoDong=王^小东",
    "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ",
}
EXTENDED = {
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}


def _file(term: str, name: str) -> bytes:
    def edit(document: pydicom.Dataset) -> None:
        document.SpecificCharacterSet = term.split("\\") if "\\" in term else term
        document.ReferringPhysicianName = ""
        document.InstitutionName = ""
        document.PatientName = name
        document.ContentSequence = []

    return edited(FILE, edit)


def _person(group: str) -> Person:
    family, _, given = group.partition("^")
    return Person(family=family, given=given)


@pytest.mark.parametrize("term", NAMES, ids=lambda term: term or "none")
def test_a_name_is_read_in_its_character_set(term: str) -> None:
    read = read_kos(_file(term, NAMES[term]))
    groups = NAMES[term].split("=")
    patient = read.manifest.study.patient
    assert patient.name == _person(groups[0])
    assert patient.ideographic_name == (_person(groups[1]) if len(groups) > 1 else None)
    assert not {one.rule for one in read.findings} & {
        "character-set-unknown",
        "character-set-undeclared",
        "text-undecodable",
    }


@pytest.mark.parametrize("term", EXTENDED, ids=lambda term: term.strip("\\"))
def test_escape_sequences_switch_between_character_sets(term: str) -> None:
    data = _file(term, EXTENDED[term])
    assert b"\x1b" in data
    patient = read_kos(data).manifest.study.patient
    stated = [patient.name, patient.ideographic_name, patient.phonetic_name]
    assert stated == [_person(group) for group in EXTENDED[term].split("=")]
    assert str(pydicom.dcmread(BytesIO(data)).PatientName) == EXTENDED[term]


@pytest.mark.parametrize("spelling", ["ISO-IR 100", "ISO_IR100", "iso_ir 100", "ISO IR 100", " ISO_IR 100 "])
def test_other_spellings_of_a_character_set_are_understood(spelling: str) -> None:
    data = _file("ISO_IR 100", NAMES["ISO_IR 100"])
    padded = (spelling + " " * (len(spelling) % 2)).encode()
    head = b"\x08\x00\x05\x00CS"
    wanted = head + b"\x0a\x00ISO_IR 100"
    assert wanted in data
    read = read_kos(data.replace(wanted, head + len(padded).to_bytes(2, "little") + padded, 1))
    assert read.manifest.study.patient.name == _person("Müller^Jörg")
    assert "character-set-unknown" not in {one.rule for one in read.findings}
