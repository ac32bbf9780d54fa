"""Whose study a search means that names a study or one of its numbers and no patient (IHE RAD MADO 0.1.0; XDS
asks for the patient).

The manifests that this gateway has read or stored tell; where they do not, or tell of several patients, the
client has to say it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.correlation.manifests import ACCESSION, PLACER, ManifestStore
from gateway.fhir.matching import RelatedToken
from gateway.fhir.search_tokens import read_related
from gateway.fhir.search_values import SearchProblem, alternatives
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.security.access import bound_patient
from gateway.security.study_urls import StudyKey

_NAMES_A_PATIENT: Final = frozenset({"patient", "subject", "_id"})
_NAMES_A_STUDY: Final = {
    "study-instance-uid": (None,),
    "accession-number": (ACCESSION,),
    "related": (None, ACCESSION, PLACER),
    "based-on": (None, ACCESSION, PLACER),
    "identifier": (None, ACCESSION, PLACER),
}
"""What the value of a parameter may be: a Study Instance UID (None), or a number of a request."""


class KnownPatients:
    """Patients by study."""

    def __init__(
        self,
        store: ManifestStore,
        terminology: Terminology,
        patient_reference: Callable[[Cx], dict[str, object]],
    ) -> None:
        self._store = store
        self._terminology = terminology
        self._patient_reference = patient_reference

    async def completed(self, parameters: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """The parameters of a search, with the patient where they name a study of one that is known."""
        names = {_bare(name) for name, _ in parameters}
        if names & _NAMES_A_PATIENT or not names & _NAMES_A_STUDY.keys():
            return parameters
        patients: set[Cx] = set()
        for name, value in parameters:
            kinds = _NAMES_A_STUDY.get(_bare(name), ())
            for alternative in alternatives(value) if kinds else ():
                patients |= await self._patients(name, alternative, kinds)
        if len(patients) != 1:
            return parameters
        reference = self._patient_reference(patients.pop()).get("reference")
        return (*parameters, ("patient", reference)) if isinstance(reference, str) else parameters

    async def _patients(self, name: str, value: str, kinds: Iterable[str | None]) -> set[Cx]:
        try:
            token = read_related(value, name, self._terminology)
        except SearchProblem:
            return set()  # the search says what is wrong with it
        keys: list[StudyKey] = []
        for kind in kinds:
            for held in token.ids:
                keys += await self._keys(kind, held, token)
        bound = bound_patient()
        patients = {key.patient_id for key in keys if key.patient_id is not None}
        return patients if bound is None else patients & {bound}

    async def _keys(self, kind: str | None, value: str, token: RelatedToken) -> Sequence[StudyKey]:
        if kind is None:
            return await self._store.of_study(value) if not token.authorities else ()
        found: list[StudyKey] = []
        for authority in token.authorities if token.authorities else (None,):
            found += await self._store.of_number(kind, value, authority)
        return found


def _bare(name: str) -> str:
    """A parameter without modifier and chain."""
    return name.partition(":")[0].partition(".")[0]
