"""Patient Demographics Match (ITI-119; IHE PDQm 3.2.0 2:3.119) as Patient Demographics Supplier: `$match`."""

from collections.abc import Sequence
from typing import Final

import orjson

from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.patient_match import Grade, Graded, fit_of, judged
from gateway.fhir.patient_match_input import MatchRequest, read_match
from gateway.fhir.patient_parameters import COMMUNITIES
from gateway.fhir.search_values import SearchProblem, alternatives
from gateway.fhir.searchset import Scored, write_matches
from gateway.fhir.target_communities import ReachedCommunities, read_communities
from gateway.fhir.terminology import Terminology
from gateway.mhd.patient_records import PatientRecords, Record, Records
from gateway.model.releases import FhirRelease
from gateway.security.access import permitted_patients
from gateway.security.subjects import searched_with

_ROOT: Final = "Parameters"


class PatientMatcher:
    """The use case of ITI-119 at one base."""

    def __init__(
        self,
        records: PatientRecords,
        terminology: Terminology,
        communities: ReachedCommunities,
        base_url: str,
        release: FhirRelease,
        *,
        graded: bool,
    ) -> None:
        """Without `graded` those who are certain are given alone, whatever is asked for."""
        self._records = records
        self._terminology = terminology
        self._communities = communities
        self._url = f"{base_url}/Patient"
        self._release = release
        self._graded = graded

    async def match(
        self, body: bytes, wire_format: FhirFormat, parameters: Sequence[tuple[str, str]] = ()
    ) -> bytes:
        """A searchset Bundle. `parameters` are those of the URL, which may name communities.

        Raises OutcomeError, OtherPatient, RegistryFailure, PeerError, and what the policy of the site raises.
        """
        searched_with(body)
        resource = read_resource(body, wire_format, _ROOT, self._release)
        wanted = read_match(resource, self._terminology, self._release)
        found = await self._records.match(wanted, self._homes(parameters))
        by_id = {str(record.resource["id"]): record for record in found.records}
        graded = judged((self._graded_of(wanted, record) for record in by_id.values()), self._terminology)
        seen = await self._seen(graded, by_id)
        shown = self._shown(wanted, seen)
        issues = self._issues(wanted, found, seen, shown)
        return write_matches([self._scored(one) for one in shown], issues)

    def _homes(self, parameters: Sequence[tuple[str, str]]) -> frozenset[str] | None:
        homes: frozenset[str] | None = None
        for name, value in parameters:
            if name == COMMUNITIES:
                try:
                    homes = read_communities(alternatives(value), self._communities)
                except SearchProblem as problem:
                    raise OutcomeError(400, (problem.issue,)) from None
        return homes

    def _graded_of(self, wanted: MatchRequest, record: Record) -> Graded:
        fit = fit_of(wanted.patient, record.resource, self._terminology, degree=record.degree)
        return Graded(record.resource, record.home, fit)

    async def _seen(self, graded: Sequence[Graded], by_id: dict[str, Record]) -> list[Graded]:
        """Those who may be seen; who may not can still be the reason why nobody is certain."""
        patients = [by_id[str(one.resource["id"])].patient for one in graded]
        permitted = await permitted_patients(patients)
        return [one for one, patient in zip(graded, patients, strict=True) if patient in permitted]

    def _shown(self, wanted: MatchRequest, seen: list[Graded]) -> list[Graded]:
        if wanted.only_certain or not self._graded:
            # several that are certain are one person
            seen = [one for one in seen if one.grade is Grade.CERTAIN][:1]
        return seen[: wanted.count]

    def _issues(
        self, wanted: MatchRequest, found: Records, seen: Sequence[Graded], shown: Sequence[Graded]
    ) -> tuple[Issue, ...]:
        issues = tuple(issue for issue in dict.fromkeys(found.issues) if issue.severity == "warning")
        if seen and not shown and not wanted.only_certain:
            text = "Somebody is alike, and nobody is certain to be meant. Say more of the patient."
            issues = (*issues, Issue("information", "multiple-matches", text))
        return issues

    def _scored(self, one: Graded) -> Scored:
        return Scored(
            f"{self._url}/{one.resource['id']}", orjson.dumps(one.resource), one.fit.points / 100, one.grade
        )
