"""DocumentReferences of imaging reports: the guide's profile where it is met, and nothing that metadata do not say."""

import pytest
from fhir.resources.documentreference import DocumentReference as R5DocumentReference
from fhir.resources.R4B.documentreference import DocumentReference
from msgspec.structs import replace

from gateway.fhir.imaging_documents import write_imaging_document_reference
from gateway.fhir.manifest_metadata import filled
from gateway.fhir.report_metadata import derive_report_metadata
from gateway.fhir.versions import to_r5
from gateway.model import Code, Cx, DocumentEntry, codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease
from tests.fhir.contexts import write_context
from tests.fhir.report_samples import ALL, read, report

CODE = Code("c", "2.999.20", "Code")
BARE = DocumentEntry(
    entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
    unique_id="",
    patient_id=Cx("REPORT-1", "2.999.1.1"),
    mime_type="application/fhir+json",
    home_community_id="urn:oid:2.999.70",
    repository_unique_id="2.999.10",
    facility_type=CODE,
    practice_setting=CODE,
    hash="0" * 40,
    size=12,
)
PROFILE = "http://hl7.eu/fhir/imaging/StructureDefinition/DocumentReferenceImagingReport"
MODALITY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DocumentReference.modality"
BODY_SITE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DocumentReference.bodySite"


def entry_of(kind, release=FhirRelease.R4, **changes):
    return replace(filled(BARE, derive_report_metadata(read(report(kind, release)).summary)), **changes)


def written(entry):
    made = write_imaging_document_reference(entry, write_context())
    DocumentReference.model_validate(made)
    return made


def profiles(made):
    return made.get("meta", {}).get("profile", [])


@pytest.mark.parametrize("release", FhirRelease)
def test_a_report_has_the_profile_of_the_guide(release):
    made = written(entry_of("cardiac", release))
    assert PROFILE in profiles(made)
    extensions = {e["url"]: e for e in made["extension"]}
    assert extensions[MODALITY]["valueCodeableConcept"]["coding"][0]["code"] == "CT"
    region = extensions[BODY_SITE]["extension"][0]["valueCodeableConcept"]["coding"][0]
    assert region["code"] == "80891009"
    (content,) = made["content"]
    assert content["extension"] == [
        {
            "url": imaging.EXT_EU_CONTENT_PROFILE,
            "valueCanonical": report("cardiac", release)["meta"]["profile"][0],
        }
    ]
    assert made["type"]["coding"][0]["code"] == "85430-7"
    (category,) = made["category"]
    assert [coding["code"] for coding in category["coding"]] == ["Medical-Imaging", "85430-7"]
    assert made["date"] == "2025-05-08T08:00:00Z", "the time of creation, since XDS has no other"
    custodian = next(c for c in made["contained"] if c["id"] == "custodian")
    assert custodian["name"] == "Example Hospital"
    kinds = [[c["code"] for c in r["identifier"]["type"]["coding"]][1:] for r in made["context"]["related"]]
    assert kinds == [["110180"], ["ACSN", "121022"], ["PLAC"]]


def test_a_minimal_report_without_modality_does_not_claim_the_profile():
    made = written(entry_of("minimal"))
    assert PROFILE not in profiles(made)
    assert MODALITY not in {e["url"] for e in made["extension"]}
    assert made["content"][0]["extension"][0]["valueCanonical"].endswith(
        "BundleReportMinimalMetadataEuImaging"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"event_codes": (Code("CT", imaging.DCM), Code("MR", imaging.DCM))},
        {"event_codes": ()},
        {
            "event_codes": (
                Code("CT", imaging.DCM),
                Code("80891009", imaging.SNOMED),
                Code("774007", imaging.SNOMED),
            )
        },
        {"authors": ()},
        {"patient_id": None},
        {"creation_time": None},
        {"format_code": Code("urn:ihe:iti:xds:2017:mimeTypeSufficient", codes.FORMAT_CODE_OID)},
    ],
)
def test_an_entry_that_lacks_something_does_not_claim_it(changes):
    assert PROFILE not in profiles(written(entry_of("cardiac", **changes)))


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_in_fhir_r5(kind, release):
    made = to_r5(written(entry_of(kind, release)), lambda _: None)
    R5DocumentReference.model_validate(made)
    assert all(url.startswith("http://hl7.eu/fhir/imaging-r5/") for url in profiles(made) if "hl7.eu" in url)


# --- documents that are not FHIR ---------------------------------------------------------------------------
@pytest.mark.parametrize("mime_type", ["text/xml", "application/pdf"])
def test_a_report_as_cda_or_pdf_shows_what_its_metadata_say_and_nothing_else(mime_type):
    entry = replace(
        BARE,
        unique_id="2.999.5",
        mime_type=mime_type,
        type_code=Code("85430-7", imaging.LOINC, "Diagnostic imaging report"),
        class_code=CODE,
        format_code=Code("urn:ihe:iti:xds-sd:pdf:2008", codes.FORMAT_CODE_OID),
        creation_time="20250508",
        title="Report",
    )
    made = written(entry)
    assert PROFILE not in profiles(made)
    urls = {extension["url"] for extension in made.get("extension", ())}
    assert urls <= {codes.EXT_HOME_COMMUNITY}
    assert "extension" not in made["content"][0]
    assert not {"custodian", "author", "authenticator", "description", "date"} & made.keys()
    assert not {"related", "event", "period"} & made.get("context", {}).keys()
    assert made["content"][0]["attachment"]["contentType"] == mime_type
    assert made["content"][0]["attachment"]["creation"] == "2025-05-08"
