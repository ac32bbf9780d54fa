"""Each deviation that a reader tolerates, by name: how a file has it, and what is read all the same."""

from copy import deepcopy
from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset

from gateway.dicom.findings import RULES
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.model.metadata import Code
from tests.dicom.deviations import MANIFEST, Deviation, by, called, evidence, group, library
from tests.dicom.deviations_of_files import CONTEXT, ENCODING, VALUES
from tests.dicom.deviations_of_studies import CONTENT, EVIDENCE
from tests.dicom.samples import ROOT, SNOMED_CT, edited

DEVIATIONS = (*ENCODING, *VALUES, *CONTEXT, *EVIDENCE, *CONTENT)


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.rule)
def test_it_is_named_and_the_rest_is_read(deviation: Deviation) -> None:
    read = read_kos(deviation.data)
    assert deviation.rule in {one.rule for one in read.findings}
    assert deviation.holds(read.manifest)


def test_findings_have_an_end() -> None:
    def edit(document: Dataset) -> None:
        again = [deepcopy(group(document, 3)) for _ in range(300)]
        for one in again:
            called(one, "112002").UID = "2.999.404"
        library(document).ContentSequence.extend(again)

    findings = read_kos(by(edit)).findings
    assert len(findings) == 201
    assert findings[-1].rule == "more-findings"


def test_every_rule_is_shown() -> None:
    assert {deviation.rule for deviation in DEVIATIONS} | {"more-findings"} == set(RULES)


def test_a_finding_has_no_value_of_the_document() -> None:
    for deviation in DEVIATIONS:
        for one in read_kos(deviation.data).findings:
            assert not any(text in one.text + one.place for text in ("Müller", "P-1", "A-1", ROOT))


def test_the_region_under_a_retired_scheme_keeps_its_code() -> None:
    def edit(document: Dataset) -> None:
        code = called(library(document), "123014").ConceptCodeSequence[0]
        code.CodeValue, code.CodingSchemeDesignator = "T-D3000", "SRT"

    assert read_kos(by(edit)).manifest.study.regions == (Code("T-D3000", SNOMED_CT, "Upper trunk structure"),)


def test_a_scheme_is_what_the_document_says_it_is() -> None:
    def edit(document: Dataset) -> None:
        called(library(document), "123014").ConceptCodeSequence[0].CodingSchemeDesignator = "99LOCAL"
        scheme = Dataset()
        scheme.CodingSchemeDesignator, scheme.CodingSchemeUID = "99LOCAL", "2.999.6"
        document.CodingSchemeIdentificationSequence = [scheme]

    assert read_kos(by(edit)).manifest.study.regions[0].scheme == "2.999.6"


def test_the_private_block_is_found_by_its_creator() -> None:
    data = write_kos(MANIFEST, dialect="ti")

    def edit(document: Dataset) -> None:
        study_item = evidence(document)
        url = study_item.private_block(0x000D, "IHE_MADO_PRIVATE")[0x01].value
        for tag in [one.tag for one in study_item if one.tag.group == 0x000D]:
            del study_item[tag]
        study_item.private_block(0x000D, "SOMEONE ELSE", create=True).add_new(
            0x01, "UR", "https://no.example/"
        )
        study_item.private_block(0x000D, "IHE_MADO_PRIVATE", create=True).add_new(0x01, "UR", url)

    again = edited(data, edit)
    assert b"https://no.example/" in again
    assert pydicom.dcmread(BytesIO(again))
    assert read_kos(again).manifest == MANIFEST
