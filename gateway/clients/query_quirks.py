"""Stored queries as a registry with quirks takes them, and its answers as the queries meant them (ITI-18).

What is left out of a query is applied to its answer: no filter is lost.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from msgspec import structs

from gateway.clients.quirks import RegistryQuirks
from gateway.ebxml import hl7
from gateway.model import Code, DocumentEntry, Folder, QueryResult, RegistryFailure, SubmissionSet
from gateway.model.errors import PeerUnsupported
from gateway.model.oids import bare_oid, is_oid
from gateway.model.query import FindDocuments, FindDocumentsByReferenceId, StoredQuery

EARLIEST: Final = "19000101"
LATEST: Final = "21000101"
_TIMES: Final = {"creation": "creation_time", "service_start": "service_start_time"}
_Object = TypeVar("_Object", DocumentEntry, SubmissionSet, Folder)


def adapted(query: StoredQuery, quirks: RegistryQuirks, peer: str) -> StoredQuery:
    """The query to send. Raises PeerUnsupported where the registry has nothing that would do."""
    if isinstance(query, FindDocumentsByReferenceId) and quirks.reference_ids != "query":
        if quirks.reference_ids == "refuse":
            raise PeerUnsupported(
                peer,
                "ITI-18",
                "it cannot find documents by related things (setting registry.quirks.reference_ids)",
            )
        query = _without_reference_ids(query)
    changes: dict[str, Any] = {}
    if quirks.date_range is not None and isinstance(query, FindDocuments):
        time = _TIMES[quirks.date_range]
        changes[f"{time}_from"] = getattr(query, f"{time}_from") or EARLIEST
        changes[f"{time}_to"] = getattr(query, f"{time}_to") or LATEST
    if not quirks.document_type and getattr(query, "document_type", None):
        changes["document_type"] = ()
    if quirks.unique_id_urns and (unique_ids := getattr(query, "unique_ids", None)):
        urns = (f"urn:oid:{unique_id}" for unique_id in unique_ids if is_oid(unique_id))
        changes["unique_ids"] = (*unique_ids, *urns)
    if quirks.code_schemes:
        changes |= _spelled(query, quirks.code_schemes)
    return structs.replace(query, **changes) if changes else query


def lacks_query(failure: RegistryFailure) -> bool:
    """True where a registry says that it does not know the query."""
    return any(error.code.rpartition(":")[2] == "XDSUnknownStoredQuery" for error in failure.errors)


def addressed(query: StoredQuery, quirks: RegistryQuirks) -> StoredQuery:
    """The query with its community named as the registry reads it."""
    if query.home and not quirks.home_urns:
        return structs.replace(query, home=bare_oid(query.home))
    return query


def _without_reference_ids(query: FindDocumentsByReferenceId) -> FindDocuments:
    fields = structs.asdict(query)
    del fields["reference_ids"]
    return FindDocuments(**fields)


def _spelled(query: StoredQuery, schemes: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The coded parameters in every spelling: further alternatives in their OR lists."""

    def spell(group: Iterable[Any]) -> tuple[Any, ...]:
        found: dict[Any, None] = {}
        for code in group:
            for scheme in (code.scheme, *schemes.get(code.scheme, ())):
                found[structs.replace(code, scheme=scheme)] = None
        return tuple(found)

    changes: dict[str, Any] = {}
    for name, value in structs.asdict(query).items():
        if not isinstance(value, tuple) or not value:
            continue
        if isinstance(value[0], Code):
            changes[name] = spell(value)
        elif isinstance(value[0], tuple) and value[0] and isinstance(value[0][0], Code):
            changes[name] = tuple(map(spell, value))
    return changes


def as_meant(result: QueryResult, query: StoredQuery, quirks: RegistryQuirks) -> QueryResult:
    """The answer to `query`, which was sent as `adapted` says."""
    changes: dict[str, Any] = {}
    if quirks.code_schemes:
        canonical = {other: scheme for scheme, others in quirks.code_schemes.items() for other in others}
        result = structs.replace(
            result,
            entries=_read_as(result.entries, canonical),
            submission_sets=_read_as(result.submission_sets, canonical),
            folders=_read_as(result.folders, canonical),
        )
    conditions: list[Callable[[DocumentEntry], bool]] = []
    if not quirks.document_type and (types := getattr(query, "document_type", None)):
        conditions.append(lambda entry: entry.object_type in types)
    if isinstance(query, FindDocumentsByReferenceId) and quirks.reference_ids == "filter":
        conditions += [_has_reference(group) for group in query.reference_ids]
    if conditions:
        changes["entries"] = tuple(e for e in result.entries if all(meets(e) for meets in conditions))
    return structs.replace(result, **changes) if changes else result


def _read_as(objects: tuple[_Object, ...], canonical: Mapping[str, str]) -> tuple[_Object, ...]:
    def read(value: Any) -> Any:
        if isinstance(value, Code) and value.scheme in canonical:
            return structs.replace(value, scheme=canonical[value.scheme])
        if isinstance(value, tuple) and value and isinstance(value[0], Code):
            return tuple(map(read, value))
        return value

    def changed(item: _Object) -> _Object:
        changes = {
            name: new
            for name in item.__struct_fields__
            if (new := read(value := getattr(item, name))) is not value and new != value
        }
        return structs.replace(item, **changes) if changes else item

    return tuple(map(changed, objects))


def _has_reference(patterns: Iterable[str]) -> Callable[[DocumentEntry], bool]:
    """LIKE over the CXi texts of referenceIdList: `%` is any text, `_` any character."""
    alternatives = "|".join(
        "".join({"%": ".*", "_": "."}.get(char) or re.escape(char) for char in pattern)
        for pattern in patterns
    )
    like = re.compile(alternatives, re.DOTALL)
    return lambda entry: any(
        like.fullmatch(hl7.write_reference_id(reference)) for reference in entry.reference_ids
    )
