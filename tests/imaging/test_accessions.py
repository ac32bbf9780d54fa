"""Accession numbers of studies that have none (IHE RAD MADO, the case Absent; R46)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.manifest_bundle import manifest_bundle_bytes
from gateway.fhir.manifest_metadata import reference_ids_of
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.imaging.accessions import AS_STATED, Accessions
from gateway.model import DocumentEntry, ReferenceId, codes
from gateway.model.imaging import ImagingRequest, IssuedId, Issuer
from tests.dicom.samples import group_case
from tests.dicom.strategies import manifests
from tests.fhir.manifest_samples import CONTEXT, SIMPLE

MADE = Accessions("2.999.90")
ISSUER = Issuer(None, "2.999.90", "ISO")


def bare(*requests, manifest=SIMPLE):
    return replace(manifest, study=replace(manifest.study, requests=requests))


def accessions(manifest):
    return [request.accession for request in manifest.study.requests]


def test_the_number_is_16_characters_and_always_the_same():
    # computed apart: the first 80 bits of UUID version 5 of 2.999.1.100 in the namespace of OIDs, in Base32
    assert MADE.made("2.999.1.100") == IssuedId("HCEWTOGHW5OQZF7L", ISSUER)


@given(st.lists(st.text("0123456789", min_size=1, max_size=20), min_size=2, max_size=2, unique=True))
def test_other_studies_have_other_numbers(numbers):
    one, other = (MADE.made(f"2.25.{number}").value for number in numbers)
    assert one != other
    assert re.fullmatch(r"[A-Z2-7]{16}", one)


def test_each_order_of_the_study_has_it_and_keeps_what_it_has():
    placers = [ImagingRequest(placer=IssuedId(number)) for number in ("P1", "P2")]
    made = MADE.made(SIMPLE.study.study_instance_uid)
    assert MADE.completed(bare(*placers)).study.requests == tuple(
        replace(request, accession=made) for request in placers
    )
    assert MADE.completed(bare()).study.requests == (ImagingRequest(accession=made),)


def test_nothing_is_made_where_one_order_has_a_number_or_nobody_issues_any():
    assert MADE.completed(SIMPLE) is SIMPLE
    some = bare(ImagingRequest(placer=IssuedId("P1")), ImagingRequest(accession=IssuedId("A1")))
    assert MADE.completed(some) is some
    assert AS_STATED.completed(bare()) == bare()


@pytest.mark.parametrize("accession", [MADE, AS_STATED])
def test_what_the_registry_names_counts_before_what_is_made(accession):
    entry = DocumentEntry(
        entry_uuid="urn:uuid:1",
        unique_id="2.999.1.1",
        reference_ids=(
            ReferenceId("A-7", "2.999.5.1", codes.REFERENCE_ACCESSION),
            ReferenceId("A-8", None, codes.REFERENCE_ACCESSION),
            ReferenceId("ORDER", "2.999.5.2", codes.REFERENCE_ORDER),
        ),
    )
    placer = ImagingRequest(placer=IssuedId("P1"))
    known = (IssuedId("A-7", Issuer(None, "2.999.5.1", "ISO")), IssuedId("A-8"))
    completed = accession.completed(bare(placer), entry)
    assert completed.study.requests == (placer, *(ImagingRequest(accession=number) for number in known))
    one = replace(entry, reference_ids=entry.reference_ids[:1])
    assert accession.completed(bare(placer), one).study.requests == (replace(placer, accession=known[0]),)


@given(manifests())
def test_metadata_and_either_format_have_the_same_number(manifest):
    """R46: the generated value is identical in manifest and metadata, and comes back from both formats."""
    completed = MADE.completed(bare(manifest=manifest))
    made = MADE.made(manifest.study.study_instance_uid)
    (reference,) = [r for r in reference_ids_of(completed) if r.type == codes.REFERENCE_ACCESSION]
    assert (reference.id, reference.authority) == (made.value, "2.999.90")
    assert accessions(read_kos(write_kos(completed)).manifest) == [made]
    in_fhir = read_manifest(manifest_bundle_bytes(completed, CONTEXT), Terminology()).manifest
    assert accessions(in_fhir) == [made]
    assert MADE.completed(in_fhir) is in_fhir


def test_a_study_of_one_number_has_it_in_the_study_too():
    """The simple case of MADO: Accession Number of the General Study module as well."""
    from io import BytesIO

    import pydicom

    orders = [ImagingRequest(placer=IssuedId(number)) for number in ("P1", "P2")]
    written = pydicom.dcmread(BytesIO(write_kos(MADE.completed(bare(*orders, manifest=group_case())))))
    made = MADE.made(group_case().study.study_instance_uid).value
    assert written.AccessionNumber == made
    assert [item.AccessionNumber for item in written.ReferencedRequestSequence] == [made, made]
