"""Patients that the affinity domain knows: those that something was submitted for (ITI-18)."""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from gateway.clients.community import Queries
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import issues_of_warnings, means_no_match
from gateway.fhir.patient_search import parse_patient_search
from gateway.fhir.search_request import SearchContext
from gateway.fhir.searchset import write_searchset
from gateway.mhd.references import PatientReferences
from gateway.model import RegistryFailure
from gateway.model.metadata import Cx
from gateway.model.query import FindSubmissionSets


class PatientFinder:
    """Searches of Patient."""

    def __init__(
        self,
        registry: Queries,
        references: PatientReferences,
        context: SearchContext,
        authorities: Sequence[str],
    ) -> None:
        self._registry = registry
        self._references = references
        self._context = context
        self._authorities = tuple(authorities)

    async def search(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> bytes:
        """A searchset Bundle. Raises OutcomeError, RegistryFailure and PeerError."""
        search = parse_patient_search(
            parameters,
            self._context.terminology,
            self._context.patient_of,
            self._authorities,
            strict=strict,
        )
        entries: list[tuple[str, bytes]] = []
        issues: list[Issue] = list(search.warnings)
        base = f"{self._context.base_url}/Patient"
        for patient in search.patients:
            known, warnings = await self._knows(patient)
            issues += warnings
            resource = self._references.resource(patient) if known else None
            if resource is not None:
                entries.append((f"{base}/{resource[0]}", resource[1]))
        link = f"{base}?{urlencode(search.self_parameters, quote_via=quote)}"
        return write_searchset(entries=entries, total=len(entries), links={"self": link}, issues=issues)

    async def _knows(self, patient: Cx) -> tuple[bool, tuple[Issue, ...]]:
        # every submission has a SubmissionSet, and they are the smallest objects there are
        try:
            found = await self._registry.query(FindSubmissionSets(patient_id=patient))
        except RegistryFailure as failure:
            if means_no_match(failure):
                return False, ()
            raise
        return bool(found.submission_sets), issues_of_warnings(found.errors)
