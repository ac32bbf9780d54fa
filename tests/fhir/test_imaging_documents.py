"""DocumentReferences of imaging documents, manifests in both formats, and searches for them."""

import itertools
from dataclasses import replace as replace_field
from uuid import UUID

import pytest
from fhir.resources.R4B.documentreference import DocumentReference
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fhir.document_reference import ImagingView, write_document_reference
from gateway.fhir.imaging_document_search import IMAGING_DOCUMENT_PARAMETERS, parse_imaging_document_search
from gateway.fhir.imaging_documents import (
    MODALITY,
    REGION,
    manifest_format,
    needs_manifest,
    twin_of,
    twin_uuid,
    with_twins,
    write_imaging_document_reference,
)
from gateway.fhir.issues import OutcomeError
from gateway.fhir.manifest_metadata import ManifestFormat, derive_entry_metadata, filled
from gateway.fhir.search_request import SearchContext
from gateway.fhir.terminology import Terminology
from gateway.model import Association, Code, Cx, DocumentEntry, Organization, codes
from gateway.model import imaging_codes as imaging
from gateway.model.query import FindDocuments, FindDocumentsByReferenceId, GetDocuments
from tests.fhir.contexts import BASE, write_context
from tests.fhir.manifest_samples import GROUP, SIMPLE, STUDY_UID
from tests.fhir.test_manifest_metadata import DEFAULTS

PATIENT = Cx("P1", "2.999.3")
PAT = ("patient.identifier", "urn:oid:2.999.3|P1")
CURRENT = ("status", "current")
CONTEXT = SearchContext(Terminology(), BASE, {"Patient/1": PATIENT}.get)
KOS, FHIR = ManifestFormat.KOS, ManifestFormat.FHIR
EU = "http://hl7.eu/fhir/health-data-api/CodeSystem/eehrxf-document-priority-category-cs"
OLD_EU = "http://hl7.eu/fhir/eu-health-data-api/CodeSystem/eehrxf-document-priority-category-cs"


def entry(manifest=SIMPLE, number=1, form=KOS, **changes):
    bare = DocumentEntry(
        entry_uuid=f"urn:uuid:00000000-0000-0000-0000-00000000000{number}",
        unique_id="",
        patient_id=PATIENT,
        home_community_id="urn:oid:2.999.70",
        hash="0" * 40,
        size=12,
    )
    return replace(filled(bare, derive_entry_metadata(manifest, form, DEFAULTS)), **changes)


A, G = entry(), entry(GROUP, 2)
LEGACY = entry(number=3, event_codes=(), reference_ids=())
REPORT = entry(
    number=4,
    unique_id="2.999.44",
    mime_type="application/fhir+json",
    format_code=Code("urn:x:report", "1.3.6.1.4.1.19376.1.2.3"),
    type_code=Code("85430-7", imaging.LOINC, "Diagnostic imaging report"),
    class_code=Code("REPORTS", "1.3.6.1.4.1.19376.1.2.6.1", "Reports"),
)
PLAIN = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-0000-0000-000000000005",
    unique_id="2.999.55",
    patient_id=PATIENT,
    mime_type="application/pdf",
    class_code=Code("REPORTS", "1.3.6.1.4.1.19376.1.2.6.1", "Reports"),
    type_code=Code("11488-4", imaging.LOINC),
)
NAMED = {"A": A, "G": G, "L": LEGACY, "R": REPORT, "P": PLAIN}


def written(document, **options):
    return write_imaging_document_reference(
        document, replace_field(write_context(), imaging=ImagingView(**options))
    )


def extensions(resource, url):
    return [extension for extension in resource["extension"] if extension["url"] == url]


# --- writing --------------------------------------------------------------------------------------------------
def test_a_document_that_is_not_of_imaging_is_written_as_ever():
    assert written(PLAIN) == write_document_reference(PLAIN, write_context())


@pytest.mark.parametrize("document", [A, G, LEGACY, REPORT, twin_of(A, FHIR)])
def test_what_is_written_is_fhir(document):
    DocumentReference.model_validate(written(document))


def test_modality_and_region_are_extensions():
    resource = written(G)
    assert [
        e["valueCodeableConcept"]["coding"][0]["code"]
        for e in extensions(resource, imaging.EXT_DOCUMENT_MODALITY)
    ] == ["CT", "KO"]
    (site,) = extensions(resource, imaging.EXT_DOCUMENT_BODY_SITE)
    assert site["extension"] == [
        {
            "url": "concept",
            "valueCodeableConcept": {
                "coding": [
                    {"system": "http://snomed.info/sct", "code": imaging.SPINE_MADO, "display": "Spine"}
                ]
            },
        }
    ]
    (both,) = extensions(written(G, one_modality=True), imaging.EXT_DOCUMENT_MODALITY)
    assert [coding["code"] for coding in both["valueCodeableConcept"]["coding"]] == ["CT", "KO"]


def test_codes_under_the_names_that_dicom_gives_schemes():
    resource = written(replace(A, event_codes=(Code("CT", "DCM", "CT"), Code("774007", "SCT", "Head"))))
    (modality,) = extensions(resource, imaging.EXT_DOCUMENT_MODALITY)
    assert modality["valueCodeableConcept"]["coding"][0]["system"] == codes.DICOM_CODE_SYSTEM
    assert len(extensions(resource, imaging.EXT_DOCUMENT_BODY_SITE)) == 1


def test_the_category_is_that_of_the_eu_and_the_type():
    (category,) = written(REPORT)["category"]
    assert [(c["system"], c["code"]) for c in category["coding"]] == [
        (EU, "Medical-Imaging"), ("http://loinc.org", "85430-7"),
        ("urn:oid:1.3.6.1.4.1.19376.1.2.6.1", "REPORTS"),
    ]  # fmt: skip


def test_related_identifiers_have_the_types_of_both_guides():
    study, accession, order = (r["identifier"] for r in written(A)["context"]["related"])
    assert (study["system"], study["value"]) == ("urn:dicom:uid", f"urn:oid:{STUDY_UID}")
    assert [c["code"] for c in study["type"]["coding"]] == [codes.REFERENCE_STUDY, "110180"]
    assert [c["code"] for c in accession["type"]["coding"]] == [codes.REFERENCE_ACCESSION, "ACSN", "121022"]
    assert [c["code"] for c in order["type"]["coding"]] == [codes.REFERENCE_ORDER, "PLAC"]
    assert len(written(G)["context"]["related"]) == 4  # the study, two accessions, one placer order


def test_date_and_custodian():
    resource = written(A)
    assert resource["date"] == "2026-02-24T23:57:59Z"
    (organization,) = [c for c in resource["contained"] if c["id"] == "custodian"]
    assert organization["name"] == "Example Hospital"
    nameless = replace(A, authors=())
    assert "custodian" not in written(nameless)
    by_community = written(nameless, custodians={"urn:oid:2.999.70": Organization("Region", "2.999.60")})
    assert by_community["contained"][-1]["name"] == "Region"
    assert "date" not in written(replace(A, creation_time="20260224"))


def test_each_format_claims_its_profile_where_it_can_keep_it():
    assert imaging.PROFILE_MADO_KOS_DOCUMENT in written(A)["meta"]["profile"]
    fhir = written(twin_of(A, FHIR))
    assert imaging.PROFILE_MADO_FHIR_DOCUMENT in fhir["meta"]["profile"]
    assert fhir["content"][0]["extension"] == [
        {
            "url": imaging.EXT_DOCUMENT_CONTENT_PROFILE,
            "extension": [{"url": "value[x]", "valueCanonical": imaging.PROFILE_MADO_BUNDLE}],
        }
    ]
    assert imaging.PROFILE_MADO_KOS_DOCUMENT not in written(LEGACY).get("meta", {}).get("profile", [])


def test_a_report_names_the_profile_of_its_bundle_where_its_format_does():
    canonical = "http://hl7.eu/fhir/imaging/StructureDefinition/BundleReportEuImaging"
    formatted = replace(REPORT, format_code=Code(canonical, "urn:ietf:rfc:3986"))
    assert written(formatted)["content"][0]["extension"] == [
        {"url": imaging.EXT_EU_CONTENT_PROFILE, "valueCanonical": canonical}
    ]
    assert "extension" not in written(REPORT)["content"][0]


# --- twins ----------------------------------------------------------------------------------------------------
def test_the_twin_shares_what_the_manifest_is_and_not_its_bytes():
    twin = twin_of(A, FHIR)
    assert twin.unique_id == A.unique_id
    assert twin.entry_uuid != A.entry_uuid
    assert twin_of(A, FHIR) == twin
    version = replace(A, entry_uuid="urn:uuid:00000000-0000-0000-0000-0000000000a2")
    assert twin_of(version, FHIR).entry_uuid != twin.entry_uuid
    assert (twin.mime_type, twin.hash, twin.size) == ("application/fhir+json", None, None)
    same = ("event_codes", "reference_ids", "creation_time", "service_start_time", "patient_id", "status")
    assert all(getattr(twin, name) == getattr(A, name) for name in same)


def test_every_manifest_is_offered_in_both_formats_which_transform_each_other():
    entries = with_twins([A, PLAIN, G])
    assert [manifest_format(e) for e in entries] == [KOS, FHIR, None, KOS, FHIR]
    first, second = (write_imaging_document_reference(e, write_context()) for e in entries[:2])
    assert first["relatesTo"] == [
        {"code": "transforms", "target": {"reference": f"DocumentReference/{second['id']}"}}
    ]
    assert second["relatesTo"] == [
        {"code": "transforms", "target": {"reference": f"DocumentReference/{first['id']}"}}
    ]
    assert first["masterIdentifier"] == second["masterIdentifier"]
    assert second["id"] == f"{first['id']}-fhir"
    registered = entry(number=6, form=FHIR)
    (only, twin) = with_twins([registered])
    assert written(twin)["id"] == f"{written(only)['id']}-kos"


def test_a_registered_pair_is_not_tripled():
    fhir = entry(number=6, form=FHIR, unique_id="2.999.1.9")
    for pair in itertools.permutations((A, fhir)):
        assert with_twins(pair) == pair
        assert with_twins(pair[:1], beside=pair[1:]) == pair[:1]
    bare = replace(fhir, reference_ids=())
    assert len(with_twins([A, bare])) == 4
    joined = Association(
        entry_uuid="urn:uuid:9", type=codes.XFRM, source=bare.entry_uuid, target=A.entry_uuid
    )
    assert with_twins([A, bare], [joined]) == (A, bare)


def test_the_same_study_of_another_community_is_another_manifest():
    fhir = entry(number=6, form=FHIR, unique_id="2.999.1.9", home_community_id="urn:oid:2.999.71")
    assert len(with_twins([A, fhir])) == 4


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, KOS),
        ({"format_code": Code("urn:ihe:rad:MADO:fhir-manifest:2026", "x")}, FHIR),
        ({"format_code": None}, KOS),
        ({"format_code": None, "type_code": Code("19005-8", imaging.LOINC)}, KOS),
        ({"format_code": None, "mime_type": "application/fhir+json"}, None),
        ({"format_code": Code("other", "x")}, None),
        ({"format_code": None, "type_code": None}, None),
    ],
)
def test_format_code_or_type_tells_a_manifest(changes, expected):
    assert manifest_format(replace(A, **changes)) is expected


# --- searches -------------------------------------------------------------------------------------------------
def parse(*parameters):
    return parse_imaging_document_search([PAT, CURRENT, *parameters], CONTEXT, strict=True)


def names(*parameters):
    search = parse(*parameters)
    return "".join(name for name, item in NAMED.items() if search.matches(item))


DCM = codes.DICOM_CODE_SYSTEM
SNOMED = "http://snomed.info/sct"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("modality", "CT", "AGR"),
        ("modality", f"{DCM}|CT", "AGR"),
        ("modality", "KO", "G"),
        ("modality", "US", ""),
        ("modality", f"{SNOMED}|CT", ""),
        ("modality:not", "CT", "LP"),
        ("modality:missing", "true", "LP"),
        ("modality:text", "key", "G"),
        ("bodysite", f"{SNOMED}|774007", "AR"),
        ("anatomical-region", "774007", "AR"),
        ("bodysite", f"{SNOMED}|{imaging.SPINE_EU}", "G"),
        ("anatomical-region", imaging.SPINE_MADO, "G"),
        ("bodysite", imaging.SPINE_OLD, "G"),
        ("study-instance-uid", STUDY_UID, "AR"),
        ("study-instance-uid", f"urn:oid:{STUDY_UID}", "AR"),
        ("study-instance-uid", f"urn:dicom:uid|urn:oid:{STUDY_UID}", "AR"),
        ("study-instance-uid", "A1", ""),
        ("accession-number", "urn:oid:2.999.10|B1", "G"),
        ("accession-number", "urn:oid:2.999.10|B2", "G"),
        ("accession-number", "urn:oid:2.999.99|B2", ""),
        ("accession-number", "P2", ""),
        ("related:identifier", "urn:oid:2.999.11|P2", "G"),
        ("identifier", f"urn:oid:{STUDY_UID}", "AR"),
        ("identifier", "urn:oid:2.999.2.1", "G"),
        ("identifier", "urn:oid:2.999.10|A1", "AR"),
        ("contenttype", "application/dicom", "AGL"),
        ("contenttype", "Application/PDF", "P"),
        ("contenttype:not", "application/dicom", "RP"),
        ("category", f"{EU}|Medical-Imaging", "AGLR"),
        ("category", f"{OLD_EU}|Medical-Imaging", "AGLR"),
        ("category", "http://loinc.org|18748-4", "AGL"),
        ("category", "REPORTS", "RP"),
        ("category:not", "Medical-Imaging", "P"),
        ("format", "1.2.840.10008.5.1.4.1.1.88.59", "AGL"),
        ("format", "http://dicom.nema.org/resources/ontology/DCMUID|1.2.840.10008.5.1.4.1.1.88.59", "AGL"),
        ("format", "urn:ihe:rad:MADO:fhir-manifest:2026", ""),
        ("type", "http://loinc.org|18748-4", "AGL"),
    ],
)
def test_each_parameter(name, value, expected):
    assert names((name, value)) == expected


def test_parameters_narrow_each_other():
    assert names(("modality", "CT"), ("bodysite", "774007"), ("contenttype", "application/dicom")) == "A"
    assert names(("modality", "CT"), ("modality", "KO")) == "G"
    assert names(("study-instance-uid", STUDY_UID), ("accession-number", "B1")) == ""


def test_what_the_registry_is_asked():
    (query,) = parse(("modality", "CT,MR"), ("bodysite", imaging.SPINE_EU)).queries()
    assert isinstance(query, FindDocuments)
    modalities, regions = query.event_codes
    assert set(modalities) == {Code(c, s) for c in ("CT", "MR") for s in ("1.2.840.10008.2.16.4", "DCM")}
    assert {code.code for code in regions} == imaging.SPINE
    assert {code.scheme for code in regions} == {"2.16.840.1.113883.6.96", "SCT"}
    (query,) = parse(("study-instance-uid", f"urn:oid:{STUDY_UID}")).queries()
    assert isinstance(query, FindDocumentsByReferenceId)
    assert f"{STUDY_UID}^^^^urn:ihe:iti:xds:2016:studyInstanceUID" in query.reference_ids[0]
    (query,) = parse(("accession-number", "urn:oid:2.999.10|A1")).queries()
    assert "A1^^^&2.999.10&ISO^urn:ihe:iti:xds:2013:accession" in query.reference_ids[0]


def test_a_filter_on_what_is_absent_asks_the_registry_for_no_less():
    for parameter in (
        ("modality:not", "CT"),
        ("modality:missing", "true"),
        ("contenttype", "application/pdf"),
    ):
        (query,) = parse(parameter).queries()
        assert query.event_codes == ()


def test_either_format_of_manifests_is_found_for_the_other():
    system = "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode"
    search = parse(("format", f"{system}|urn:ihe:rad:MADO:fhir-manifest:2026"))
    (query,) = search.queries()
    assert {code.code for code in query.format_code} == {imaging.FORMAT_KOS, imaging.FORMAT_FHIR_MANIFEST}
    entries = with_twins([A, G, PLAIN])
    assert [manifest_format(e) for e in entries if search.matches(e)] == [FHIR, FHIR]


def test_identifier_names_a_document_or_what_it_is_about():
    search = parse(("identifier", f"urn:oid:{STUDY_UID}"))
    assert [type(query) for query in search.queries()] == [GetDocuments]
    assert type(search.query_of_related) is FindDocumentsByReferenceId
    assert search.reserve
    search = parse(("identifier", f"urn:oid:{STUDY_UID},urn:oid:2.999.404"))
    assert [type(query) for query in search.queries()] == [GetDocuments]
    assert type(search.query_of_related) is FindDocumentsByReferenceId
    assert not search.reserve
    alone = parse_imaging_document_search([("identifier", f"urn:oid:{STUDY_UID}")], CONTEXT).queries()
    assert [type(query) for query in alone] == [GetDocuments]


def test_of_identifiers_that_all_have_to_be_there_one_is_asked_for():
    search = parse(("identifier", f"urn:oid:{STUDY_UID}"), ("identifier", "urn:oid:2.999.1.1"))
    (query,) = search.queries()
    assert query.unique_ids == (STUDY_UID,)
    (patterns,) = search.query_of_related.reference_ids
    assert all(STUDY_UID in pattern for pattern in patterns)


@given(st.uuids())
def test_the_entry_uuid_of_a_twin_leads_to_its_entry(number):
    entry = f"urn:uuid:{number}"
    twin = twin_uuid(entry)
    assert twin != entry
    assert twin_uuid(twin) == entry
    assert UUID(twin[9:]).variant == number.variant
    search = parse_imaging_document_search([("identifier", twin)], CONTEXT)
    assert search.query_of_originals(()).entry_uuids == (entry,)
    assert search.query_of_originals((replace(A, entry_uuid=twin),)) is None


def test_what_is_no_uuid_has_a_twin_all_the_same():
    assert twin_uuid("urn:uuid:x") != twin_uuid("urn:uuid:y")
    UUID(twin_uuid("entry-1")[9:])


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (("type", "http://loinc.org|18748-4"), False),
        (("period", "ge2026"), False),
        (("creation", "ge2026"), True),
        (("setting", "urn:oid:2.999.8|x"), True),
        (("author.family", "Welby"), False),
        (("author.family:exact", "Welby"), True),
        (("identifier", "urn:oid:2.999.1.1"), True),
    ],
)
def test_what_a_registry_may_find_half_a_pair_by(parameter, expected):
    assert parse(parameter).splits_pairs is expected


def test_the_patient_is_needed():
    for parameter in (("study-instance-uid", STUDY_UID), ("modality", "CT")):
        with pytest.raises(OutcomeError) as caught:
            parse_imaging_document_search([parameter], CONTEXT)
        assert "patient" in str(caught.value)


# --- entries of older sources -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (("modality", "CT"), True),
        (("bodysite", "774007"), True),
        (("study-instance-uid", STUDY_UID), True),
        (("accession-number", "A1"), True),
        (("related:identifier", "urn:oid:2.999.11|P1"), True),
        (("identifier", f"urn:oid:{STUDY_UID}"), True),
        (("type", "18748-4"), False),
    ],
)
def test_a_legacy_entry_is_found_by_its_manifest(parameter, expected):
    found = parse(parameter)
    assert found.has_to_read(LEGACY) is expected
    assert not found.has_to_read(A)
    assert not found.has_to_read(PLAIN)
    assert bool(found.queries_of_manifests) is expected
    for query in found.queries_of_manifests:
        assert {code.code for code in query.format_code} == {imaging.FORMAT_KOS, imaging.FORMAT_FHIR_MANIFEST}
        assert (query.patient_id, query.event_codes) == (PATIENT, ())
    known = filled(LEGACY, derive_entry_metadata(SIMPLE, KOS, DEFAULTS))
    assert found.matches(known)


def test_an_entry_is_read_for_what_it_lacks_alone():
    no_region = replace(A, event_codes=A.event_codes[:1])
    assert parse(("bodysite", "774007")).has_to_read(no_region)
    assert not parse(("modality", "CT")).has_to_read(no_region)
    assert not parse(("study-instance-uid", STUDY_UID)).has_to_read(no_region)
    no_accession = replace(A, reference_ids=A.reference_ids[:1])
    assert parse(("accession-number", "A1")).has_to_read(no_accession)
    assert not needs_manifest(A, {MODALITY, REGION, codes.REFERENCE_STUDY, codes.REFERENCE_ORDER})


def test_the_table_has_all_of_mhd_and_what_imaging_adds():
    rows = [row.name for row in IMAGING_DOCUMENT_PARAMETERS.rows]
    assert rows[-5:] == ["modality", "bodysite", "study-instance-uid", "accession-number", "contenttype"]
    assert len(rows) == len(set(rows))
