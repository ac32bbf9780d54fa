"""Mobile Patient Demographics Query (ITI-78; IHE PDQm 3.2.0 2:3.78) as Patient Demographics Supplier:
searches and reads of Patient, over all that is known of patients.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.patient_search import PatientSearch, PatientSearchContext, parse_patient_search
from gateway.fhir.patient_view import domain_key
from gateway.fhir.searchset import write_searchset
from gateway.imaging.patient_directory import PatientDirectory
from gateway.mhd.patient_records import PatientRecords, Record, gone
from gateway.security.access import permitted_patients, require_permitted_patient
from gateway.security.document_urls import NotOurs, PageKey, PageTokens

_UNKNOWN_DOMAIN: Final = Issue("warning", "not-found", "targetSystem not found")
"""The words of IHE PDQm 3.2.0 2:3.78.4.1.3, case 4."""
_WHAT_TO_DO: Final = Issue(
    "information",
    "not-found",
    "identifier: a domain that is asked for is not one of this server. It knows those of "
    "terminology.assigning_authorities, search.patient_authorities and communities, and those that "
    "identifiers in documents have.",
)


class PatientFinder:
    """Searches and reads of Patient."""

    def __init__(
        self,
        records: PatientRecords,
        directory: PatientDirectory,
        context: PatientSearchContext,
        pages: PageTokens,
        base_url: str,
    ) -> None:
        self._records = records
        self._directory = directory
        self._context = context
        self._pages = pages
        self._url = f"{base_url}/Patient"

    async def read(self, logical_id: str) -> bytes:
        """One Patient by its id. Raises OutcomeError 404 and 410, OtherPatient, RegistryFailure and
        PeerError, and what the policy of the site raises."""
        record = await self._records.read(logical_id)
        if record is None:
            raise gone()
        await require_permitted_patient(record.patient)
        return orjson.dumps(record.resource)

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
        await self._check_domains(search)
        found = await self._records.search(search)
        shown = await _permitted(found.records)
        resources = [self._with_domains(record.resource, search.domains) for record in shown]
        resources.sort(key=lambda resource: str(resource["id"]))
        end = start + search.count
        return write_searchset(
            entries=[
                (f"{self._url}/{resource['id']}", search.view.apply(orjson.dumps(resource)))
                for resource in resources[start:end]
            ],
            total=len(resources),
            links=self._links(search, end, len(resources)),
            issues=tuple(dict.fromkeys((*search.warnings, *found.issues))),
        )

    async def _check_domains(self, search: PatientSearch) -> None:
        """Raise OutcomeError where a domain is known neither to the settings nor by documents."""
        known = frozenset(self._context.domains())
        for domain in search.domains - known:
            if not await self._directory.has_domain(domain):
                raise OutcomeError(404, (_UNKNOWN_DOMAIN, _WHAT_TO_DO))
        unmapped = {domain: issue for domain, issue in search.unmapped if domain not in known}
        problems = [i for domain, i in unmapped.items() if not await self._directory.has_domain(domain)]
        if problems:
            raise OutcomeError(400, problems)

    def _with_domains(self, resource: Json, domains: frozenset[str]) -> Json:
        """The Patient with identifiers of some domains alone (IHE PDQm 3.2.0 2:3.78.4.1.2.3)."""
        if not domains:
            return resource
        terms = self._context.terminology
        kept = [i for i in resource["identifier"] if domain_key(str(i.get("system", "")), terms) in domains]
        return {**resource, "identifier": kept}

    def _links(self, search: PatientSearch, end: int, total: int) -> dict[str, str]:
        links = {"self": f"{self._url}?{urlencode(search.self_parameters, quote_via=quote)}"}
        if search.count > 0 and end < total:
            key = PageKey(parameters=search.self_parameters, offset=end, count=search.count, anchor="")
            links["next"] = f"{self._url}?{urlencode({'_page': self._pages.write(key)})}"
        return links


async def _permitted(records: Sequence[Record]) -> list[Record]:
    shown = await permitted_patients(record.patient for record in records)
    return [record for record in records if record.patient in shown]
