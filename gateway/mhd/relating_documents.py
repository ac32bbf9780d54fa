"""The search parameter `relatesto` of DocumentReference (FHIR R4 and R5; IHE MHD 5.1.0): documents that
replace, append to, transform or sign another one.

XDS says so in Associations, which no query of documents looks at. So the documents that relate to the named
ones are asked for first (ITI-18 GetRelatedDocuments), and the search goes on as one for their ids.
"""

from collections.abc import Sequence
from typing import Final

from gateway.clients.community import Queries
from gateway.fhir.document_ids import read_document_id
from gateway.fhir.document_reference import resource_id
from gateway.fhir.issues import fail
from gateway.fhir.outcome import means_no_match
from gateway.fhir.search_values import alternatives, unescape
from gateway.mhd.page_writers import is_relation_of
from gateway.model import AvailabilityStatus, RegistryFailure
from gateway.model.codes import DOCUMENT_RELATIONS
from gateway.model.query import GetRelatedDocuments

_RELATES_TO: Final = "relatesto"
_DOCUMENT: Final = "DocumentReference/"
_NOTHING: Final = "none"
"""An id that no document has."""
_MOST_VALUES: Final = 20


async def with_relating_documents(
    registry: Queries, base_url: str, parameters: Sequence[tuple[str, str]]
) -> Sequence[tuple[str, str]]:
    """The parameters with `_id` of what relates in place of `relatesto`.

    Raises OutcomeError 400, PeerError and RegistryFailure.
    """
    made: list[tuple[str, str]] = []
    for name, value in parameters:
        if name == _RELATES_TO:
            values = [unescape(part.strip()).removeprefix(f"{base_url}/") for part in alternatives(value)]
            found = await _relating(registry, [v.removeprefix(_DOCUMENT) for v in values])
            made.append(("_id", ",".join(found) or _NOTHING))
        else:
            made.append((name, value))
    return made


async def _relating(registry: Queries, ids: Sequence[str]) -> tuple[str, ...]:
    if len(ids) > _MOST_VALUES:
        raise fail(400, "too-costly", f"relatesto: at most {_MOST_VALUES} documents can be named.")
    found: list[str] = []
    for text in ids:
        named = read_document_id(text)
        if named is None or named.made_as is not None:
            continue
        query = GetRelatedDocuments(entry_uuid=named.entry_uuid, association_types=tuple(DOCUMENT_RELATIONS))
        try:
            result = await registry.query(query)
        except RegistryFailure as failure:
            if means_no_match(failure):
                continue
            raise
        sources = {
            a.source
            for a in result.associations
            if is_relation_of(a, a.source)
            and a.target == named.entry_uuid
            and a.status is AvailabilityStatus.APPROVED
        }
        found += [resource_id(entry) for entry in result.entries if entry.entry_uuid in sources]
    return tuple(dict.fromkeys(found))
