"""Deviations of the file, its elements and values, and of what it says of patient and requests."""

from collections.abc import Callable
from copy import deepcopy

from msgspec.structs import replace
from pydicom.dataset import Dataset

from gateway.model.imaging import IssuedId, LocalTime, RetrieveLocation
from tests.dicom.deviations import (
    FILE,
    MANIFEST,
    Deviation,
    by,
    called,
    deleting,
    library,
    listed,
    named,
    series,
    setting,
    study,
    swapped,
)
from tests.dicom.samples import ROOT, SECOND

# --- the file and its elements ------------------------------------------------------------------------------

META_END = 132 + 12 + int.from_bytes(FILE[140:144], "little")
HEAD, BODY = FILE[:META_END], FILE[META_END:]


def implicit_syntax() -> bytes:
    return swapped(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x14\x001.2.840.10008.1.2\0\0\0")


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr
    return head + len(value).to_bytes(2, "little") + value


DESCRIPTION = element(0x00081030, b"LO", b"CT Thorax ")
IMPLICIT_DESCRIPTION = bytes.fromhex("08003010") + (10).to_bytes(4, "little") + b"CT Thorax "
STUDY_ID = element(0x00200010, b"SH", b"7 ")

ENCODING = (
    Deviation("no-preamble", FILE[132:]),
    Deviation("no-file-meta", BODY),
    Deviation("no-file-meta", HEAD[:132] + BODY),
    Deviation("transfer-syntax", implicit_syntax()),
    Deviation("file-meta-differs", swapped(f"{ROOT}.4.1".encode(), f"{ROOT}.4.9".encode())),
    Deviation("truncated", FILE[:-3], lambda read: read.study.series[1:] == MANIFEST.study.series[1:]),
    Deviation("trailing-bytes", FILE + b"\0\0\0"),
    Deviation(
        "no-item",
        FILE.replace(b"\xfe\xff\x00\xe0", b"\xfe\xff\x77\xe0", 1),
        lambda read: read.study.series == MANIFEST.study.series,
    ),
    Deviation(
        "stray-delimiter",
        FILE + bytes.fromhex("feff0de000000000"),
    ),
    Deviation(
        "unreadable-element",
        FILE + bytes.fromhex("40000fef") + b"\1\2" + b"\xff\xff" + b"12345678",
    ),
    Deviation("wrong-vr", swapped(DESCRIPTION, DESCRIPTION.replace(b"LO", b"SH", 1))),
    Deviation("wrong-vr", swapped(DESCRIPTION, DESCRIPTION.replace(b"LO", b"QQ", 1))),
    Deviation("implicit-element", swapped(DESCRIPTION, IMPLICIT_DESCRIPTION)),
    Deviation("odd-length", HEAD + BODY.replace(DESCRIPTION, element(0x00081030, b"LO", b"CT Thorax"), 1)),
    Deviation(
        "duplicate-element",
        HEAD + BODY.replace(DESCRIPTION, DESCRIPTION + DESCRIPTION.replace(b"CT", b"MR"), 1),
    ),
    Deviation(
        "element-order",
        HEAD + BODY.replace(STUDY_ID, b"", 1).replace(DESCRIPTION, STUDY_ID + DESCRIPTION, 1),
    ),
)

# --- values -------------------------------------------------------------------------------------------------

LATIN = "CT Thor\xe4x ".encode("latin_1")

VALUES = (
    Deviation(
        "character-set-unknown",
        swapped(b"ISO_IR 192", b"ISO_IR 999"),
    ),
    Deviation(
        "character-set-undeclared",
        HEAD + BODY.replace(element(0x00080005, b"CS", b"ISO_IR 192"), b"", 1),
    ),
    Deviation(
        "character-set-undeclared",
        swapped(DESCRIPTION, element(0x00081030, b"LO", LATIN)),
        study(description="CT Thoräx"),
    ),
    Deviation(
        "text-undecodable",
        swapped(b"ISO_IR 192", b"ISO_IR 166").replace(b"CT Thorax ", b"CT Thor\xffx "),
        lambda read: read.study.description == "CT Thor\ufffdx",
    ),
    Deviation(
        "several-values",
        swapped(DESCRIPTION, element(0x00081030, b"LO", b"CT\\Thorax ")),
        study(description="CT"),
    ),
    Deviation(
        "several-items",
        by(lambda d: d.IssuerOfPatientIDQualifiersSequence.append(Dataset())),
    ),
    Deviation("uid-missing", deleting("SOPClassUID")),
    Deviation("uid-missing", deleting("SOPInstanceUID")),
    Deviation("uid-missing", deleting("StudyInstanceUID")),
    Deviation(
        "uid-prefix",
        by(lambda d: setattr(listed(d, 2), "RetrieveLocationUID", f"urn:oid:{SECOND.uid}")),
    ),
    Deviation("uid-prefix", by(lambda d: setattr(listed(d, 2), "RetrieveLocationUID", f"oid:{SECOND.uid}"))),
    Deviation(
        "uid-invalid",
        by(lambda d: setattr(listed(d, 2), "RetrieveLocationUID", "1.02.3")),
        series(1, locations=(RetrieveLocation("1.02.3"),)),
    ),
    Deviation(
        "date-invalid",
        setting(PatientBirthDate="19601329"),
        study(patient=replace(MANIFEST.study.patient, birth_date=None)),
    ),
    Deviation("time-invalid", setting(StudyTime="2561"), study(started=LocalTime("20260310", None, "+0100"))),
    Deviation("time-format", setting(StudyDate="2026.03.10", StudyTime="08:00:00")),
    Deviation("time-without-date", setting(StudyDate=""), study(started=None)),
    Deviation("offset-invalid", setting(TimezoneOffsetFromUTC="CET"), lambda read: read.utc_offset is None),
    Deviation(
        "number-invalid",
        by(lambda d: setattr(called(library(d), "131565").MeasuredValueSequence[0], "NumericValue", "1e9")),
        study(stated_series=None),
    ),
    Deviation(
        "count-as-text",
        by(
            lambda d: library(d).ContentSequence.__setitem__(
                list(library(d).ContentSequence).index(called(library(d), "131565")),
                named("131565", "TEXT", TextValue='(4, UCUM, "series")'),
            )
        ),
    ),
    Deviation(
        "sex-invalid", setting(PatientSex="X"), study(patient=replace(MANIFEST.study.patient, sex=None))
    ),
    Deviation(
        "code-incomplete",
        by(lambda d: delattr(called(library(d), "121139").ConceptCodeSequence[0], "CodingSchemeDesignator")),
    ),
    Deviation(
        "code-incomplete",
        by(lambda d: delattr(called(library(d), "123014").ConceptCodeSequence[0], "CodeValue")),
        study(regions=()),
    ),
    Deviation(
        "issuer-type",
        by(
            lambda d: delattr(
                d.ReferencedRequestSequence[0].OrderPlacerIdentifierSequence[0], "UniversalEntityIDType"
            )
        ),
    ),
    Deviation(
        "issuer-not-an-oid",
        by(
            lambda d: setattr(
                d.ReferencedRequestSequence[0].OrderPlacerIdentifierSequence[0], "UniversalEntityID", "orders"
            )
        ),
        lambda read: read.study.requests[0].placer.issuer.universal_id == "orders",
    ),
    Deviation(
        "issuer-empty",
        by(lambda d: setattr(d.ReferencedRequestSequence[0], "OrderPlacerIdentifierSequence", [Dataset()])),
        lambda read: read.study.requests[0].placer == IssuedId("ORDER-7"),
    ),
)

# --- patient and requests -----------------------------------------------------------------------------------


def one_request(document: Dataset) -> None:
    document.ReferencedRequestSequence = [document.ReferencedRequestSequence[0]]


def with_accession(number: str, issuer: str) -> Callable[[Dataset], None]:
    def edit(document: Dataset) -> None:
        one_request(document)
        authority = Dataset()
        authority.UniversalEntityID, authority.UniversalEntityIDType = issuer, "ISO"
        document.AccessionNumber, document.IssuerOfAccessionNumberSequence = number, [authority]

    return edit


def without_accessions(document: Dataset) -> None:
    for item in document.ReferencedRequestSequence:
        item.AccessionNumber = ""


FIRST_REQUEST, SECOND_REQUEST = MANIFEST.study.requests

CONTEXT = (
    Deviation("patient-id-missing", setting(PatientID="")),
    Deviation("time-zone-missing", deleting("TimezoneOffsetFromUTC"), lambda read: read.utc_offset is None),
    Deviation(
        "request-study-differs",
        by(lambda d: setattr(d.ReferencedRequestSequence[0], "StudyInstanceUID", "2.999.404")),
    ),
    Deviation("request-empty", by(lambda d: d.ReferencedRequestSequence.append(Dataset()))),
    Deviation(
        "request-repeated",
        by(lambda d: d.ReferencedRequestSequence.append(deepcopy(d.ReferencedRequestSequence[0]))),
    ),
    Deviation("no-request", deleting("ReferencedRequestSequence"), study(requests=())),
    Deviation(
        "accession-differs",
        by(with_accession("A-3", "2.999.5.1")),
        lambda read: [r.accession.value for r in read.study.requests] == ["A-1", "A-3"],
    ),
    Deviation(
        "accession-issuer-differs",
        by(with_accession("A-1", "2.999.5.99")),
        study(requests=(FIRST_REQUEST,)),
    ),
    Deviation(
        "accession-missing",
        by(without_accessions),
        study(requests=tuple(replace(r, accession=None) for r in MANIFEST.study.requests)),
    ),
)
