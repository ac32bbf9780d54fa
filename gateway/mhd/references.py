"""Own URLs of patients and documents: written into answers, read back from requests."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from gateway.fhir.datatypes import write_cx
from gateway.fhir.document_release import document_release
from gateway.fhir.imaging_documents import manifest_format
from gateway.fhir.terminology import Terminology
from gateway.model import Cx, DocumentEntry
from gateway.security.document_urls import DocumentKey, DocumentTokens
from gateway.security.patient_ids import NotOurs, PatientIds

DOCUMENTS: Final = "documents"
"""View of a patient whom the patient manager knows too: what documents say."""


class PatientReferences:
    """References to patients of the affinity domain.

    A Patient id is the sealed patientId, so it is the same on every replica and needs no table. Where it
    would not fit a FHIR id, the reference has the identifier alone. What another source says of an identifier
    than the domain itself is another Patient, a view: that of documents, or that of a community by its
    homeCommunityId.
    """

    def __init__(
        self,
        ids_of: Callable[[str], PatientIds],
        terminology: Terminology,
        base_url: str,
        homes: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """`ids_of` gives the ids of a view, of the domain with an empty one; `homes` the communities."""
        self._ids_of = lru_cache(maxsize=256)(ids_of)
        self._ids = ids_of("")
        self._terminology = terminology
        self._base_url = base_url
        self._homes = homes
        # a page has many entries and mostly one patient
        self._write_id = lru_cache(maxsize=1024)(self._ids.write)

    def of(self, patient: Cx) -> dict[str, object]:
        """The Reference of a patient."""
        reference: dict[str, object] = {"identifier": write_cx(patient, self._terminology)}
        logical_id = self._write_id(patient)
        if logical_id is not None:
            reference = {"reference": f"Patient/{logical_id}", **reference}
        return reference

    def logical_id(self, patient: Cx, view: str = "") -> str | None:
        """The id of a patient, or of a view of them; None where there is none for it."""
        return self._ids_of(view).write(patient) if view else self._write_id(patient)

    def named(self, logical_id: str) -> tuple[Cx, str] | None:
        """The patient and the view whose id this is; None where the id is not ours."""
        for view in ("", DOCUMENTS, *self._homes()):
            with suppress(NotOurs):
                return self._ids_of(view).read(logical_id), view
        return None

    def resolve(self, reference: str) -> Cx | None:
        """The patient that `Patient/<id>` names, relative or below the own base; None where not ours."""
        found = self.named(reference.removeprefix(f"{self._base_url}/").removeprefix("Patient/"))
        return None if found is None else found[0]


def document_urls(tokens: DocumentTokens, base_url: str) -> Callable[[DocumentEntry], str]:
    """A function that writes the ITI-68 URL of a DocumentEntry."""
    prefix = f"{base_url}/content/"
    return lambda entry: prefix + tokens.write(document_key(entry))


def document_key(entry: DocumentEntry) -> DocumentKey:
    """What a retrieve of the document needs."""
    is_manifest = manifest_format(entry) is not None
    return DocumentKey.of(entry, manifest=is_manifest, release=document_release(entry))
