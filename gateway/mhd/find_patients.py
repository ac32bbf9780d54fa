"""Patients that the affinity domain knows: those that something was submitted for (ITI-18), by identifier,
names, birth and sex (HL7 Europe Imaging Report; a part of ITI-78).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.patient_search import PatientSearch, PatientSearchContext, parse_patient_search
from gateway.fhir.searchset import write_searchset
from gateway.imaging.patient_directory import PatientDirectory
from gateway.mhd.references import PatientReferences
from gateway.model.metadata import Cx
from gateway.security.access import bound_patient, require_patient
from gateway.security.document_urls import NotOurs, PageKey, PageTokens

_MOST_CANDIDATES: Final = 50
"""Patients whose documents are asked for in one search by names or birth."""
_SEEN = Issue(
    "information",
    "informational",
    "By names and birth those patients are found of whom this server has stored or seen documents lately; by "
    "identifier every patient is.",
)


class PatientFinder:
    """Searches and reads of Patient."""

    def __init__(
        self,
        directory: PatientDirectory,
        references: PatientReferences,
        context: PatientSearchContext,
        pages: PageTokens,
        base_url: str,
    ) -> None:
        self._directory = directory
        self._references = references
        self._context = context
        self._pages = pages
        self._url = f"{base_url}/Patient"

    async def read(self, logical_id: str) -> bytes:
        """One Patient by its id. Raises OutcomeError 404, OtherPatient, RegistryFailure and PeerError."""
        patient = self._references.patient(logical_id)
        known = await self._directory.of(patient) if patient is not None else None
        if known is None:
            raise fail(404, "not-found", "No Patient with this id.", expression="Patient")
        return orjson.dumps(known.resource)

    async def search(self, parameters: Sequence[tuple[str, str]], *, strict: bool = False) -> bytes:
        """A searchset Bundle. Raises OutcomeError, OtherPatient, RegistryFailure and PeerError."""
        token = next((value for name, value in parameters if name == "_page"), None)
        if token is None:
            return await self._page(parse_patient_search(parameters, self._context, strict=strict), 0)
        try:
            key = self._pages.read(token)
        except NotOurs:
            raise fail(
                404, "not-found", "The page link is not one of this server. Start the search again."
            ) from None
        search = parse_patient_search(key.parameters, self._context)
        return await self._page(replace(search, count=key.count), key.offset)

    async def _page(self, search: PatientSearch, start: int) -> bytes:
        found: list[Json] = []
        issues: list[Issue] = list(search.warnings)
        if search.patients is None:
            issues.append(_SEEN)
        candidates = await self._candidates(search)
        for known in await asyncio.gather(*map(self._directory.of, candidates)):
            if known is None or not known.is_known:
                continue
            issues += known.issues
            if all(criterion.matches(known.resource) for criterion in search.criteria):
                found.append(known.resource)
        found.sort(key=lambda resource: str(resource["id"]))
        end = start + search.count
        return write_searchset(
            entries=[
                (f"{self._url}/{resource['id']}", search.view.apply(orjson.dumps(resource)))
                for resource in found[start:end]
            ],
            total=len(found),
            links=self._links(search, end, len(found)),
            issues=tuple(dict.fromkeys(issues)),
        )

    async def _candidates(self, search: PatientSearch) -> tuple[Cx, ...]:
        if search.patients is not None:
            for patient in search.patients:
                require_patient(patient)
            return search.patients
        found, bound = await self._directory.called(search.keys), bound_patient()
        if bound is not None:
            # that there are others is nobody's business who may not see them
            return (bound,) if found is None or bound in found else ()
        if found is None or len(found) > _MOST_CANDIDATES:
            text = "More patients may be meant than one search looks at. Give the birthdate as well."
            raise OutcomeError(400, (Issue("error", "too-costly", text),))
        return tuple(found)

    def _links(self, search: PatientSearch, end: int, total: int) -> dict[str, str]:
        links = {"self": f"{self._url}?{urlencode(search.self_parameters, quote_via=quote)}"}
        if search.count > 0 and end < total:
            key = PageKey(parameters=search.self_parameters, offset=end, count=search.count, anchor="")
            links["next"] = f"{self._url}?{urlencode({'_page': self._pages.write(key)})}"
        return links
