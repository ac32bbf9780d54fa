"""What a DICOMweb client takes, and what it is told where it takes nothing that is sent."""

import pytest

from gateway.fhir.issues import OutcomeError
from gateway.imaging.dicom_accept import DicomForm, negotiate_dicom, negotiate_json

JPEG, LE = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1"
RELATED = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ([], DicomForm()),
        ([""], DicomForm()),
        (["*/*"], DicomForm()),
        ([RELATED], DicomForm()),
        (["multipart/related"], DicomForm()),
        (["multipart/related;type=application/dicom"], DicomForm()),
        ([f"{RELATED}; transfer-syntax=*"], DicomForm()),
        ([f"{RELATED}; transfer-syntax={JPEG}"], DicomForm((JPEG,))),
        (
            [f"{RELATED}; transfer-syntax={LE};q=0.2, {RELATED}; transfer-syntax={JPEG}"],
            DicomForm((JPEG, LE)),
        ),
        ([f"{RELATED}; transfer-syntax={JPEG}", f"{RELATED}; transfer-syntax=*; q=0.1"], DicomForm()),
        ([f"image/jpeg, {RELATED}; transfer-syntax={JPEG}"], DicomForm((JPEG,))),
        ([f"{RELATED}; transfer-syntax={JPEG};q=0, {RELATED}; transfer-syntax={LE}"], DicomForm((LE,))),
    ],
)
def test_a_study_is_sent_in_parts_in_what_the_client_prefers(accept, form):
    assert negotiate_dicom(accept, one_instance=False) == form
    assert negotiate_dicom(accept, one_instance=True) == form


@pytest.mark.parametrize(
    "accept", ["application/dicom", "application/*", f"application/dicom, {RELATED};q=0.5"]
)
def test_one_instance_may_be_the_body_itself(accept):
    assert negotiate_dicom([accept], one_instance=True) == DicomForm((), single=True)


@pytest.mark.parametrize(
    "accept",
    [
        "image/jpeg",
        "application/dicom+json",
        'multipart/related; type="application/octet-stream"',
        "application/dicom",
        "text/html",
        f"{RELATED};q=0",
        f"{RELATED}; transfer-syntax=explicit",
    ],
)
def test_anything_else_is_406_and_says_what_is_sent(accept):
    with pytest.raises(OutcomeError) as refused:
        negotiate_dicom([accept], one_instance=False)
    assert refused.value.status == 406
    assert "multipart/related" in str(refused.value)


def test_metadata_are_dicom_json():
    for accept in (
        [],
        ["*/*"],
        ["application/dicom+json"],
        ["application/json"],
        ["text/html, application/json;q=0.1"],
    ):
        negotiate_json(accept)
    with pytest.raises(OutcomeError):
        negotiate_json(["application/dicom+xml"])
