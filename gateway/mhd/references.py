"""Own URLs of patients and documents: written into answers, read back from requests."""

from collections.abc import Callable
from functools import lru_cache

from gateway.fhir.datatypes import write_cx
from gateway.fhir.document_release import document_release
from gateway.fhir.imaging_documents import manifest_format
from gateway.fhir.terminology import Terminology
from gateway.model import Cx, DocumentEntry
from gateway.security.access import require_patient
from gateway.security.document_urls import DocumentKey, DocumentTokens
from gateway.security.patient_ids import NotOurs, PatientIds


class PatientReferences:
    """References to patients of the affinity domain.

    A Patient id is the sealed patientId, so it is the same on every replica and needs no table. Where it
    would not fit a FHIR id, the reference has the identifier alone.
    """

    def __init__(self, ids: PatientIds, terminology: Terminology, base_url: str) -> None:
        self._ids = ids
        self._terminology = terminology
        self._base_url = base_url
        # a page has many entries and mostly one patient
        self._write_id = lru_cache(maxsize=1024)(ids.write)

    def of(self, patient: Cx) -> dict[str, object]:
        """The Reference of a patient."""
        reference: dict[str, object] = {"identifier": write_cx(patient, self._terminology)}
        logical_id = self._write_id(patient)
        if logical_id is not None:
            reference = {"reference": f"Patient/{logical_id}", **reference}
        return reference

    def logical_id(self, patient: Cx) -> str | None:
        """The id of a patient; None where there is none for it."""
        return self._write_id(patient)

    def patient(self, logical_id: str) -> Cx | None:
        """The patient whose id this is; None where the id is not ours. Raises OtherPatient."""
        try:
            patient = self._ids.read(logical_id)
        except NotOurs:
            return None
        require_patient(patient)
        return patient

    def resolve(self, reference: str) -> Cx | None:
        """The patient that `Patient/<id>` names, relative or below the own base; None where not ours."""
        logical_id = reference.removeprefix(f"{self._base_url}/").removeprefix("Patient/")
        try:
            return self._ids.read(logical_id)
        except NotOurs:
            return None


def document_urls(tokens: DocumentTokens, base_url: str) -> Callable[[DocumentEntry], str]:
    """A function that writes the ITI-68 URL of a DocumentEntry."""
    prefix = f"{base_url}/content/"
    return lambda entry: prefix + tokens.write(document_key(entry))


def document_key(entry: DocumentEntry) -> DocumentKey:
    """What a retrieve of the document needs."""
    is_manifest = manifest_format(entry) is not None
    return DocumentKey.of(entry, manifest=is_manifest, release=document_release(entry))
