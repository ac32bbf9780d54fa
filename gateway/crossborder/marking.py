"""Ids of queries and of their answers, as this gateway and as another community have them.

See `gateway.model.object_ids`. Pure.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from gateway.model import QueryResult
from gateway.model.object_ids import marked, unmarked
from gateway.model.query import StoredQuery

_LISTS: Final = ("entry_uuids", "logical_ids", "uuids")
_SINGLE: Final = "entry_uuid"
_OBJECTS: Final = ("entries", "submission_sets", "folders")


def names_objects(query: StoredQuery) -> bool:
    """True for a query that names objects by ids which say whose they are."""
    return any(getattr(query, name, None) for name in (*_LISTS, _SINGLE))


def by_mark(query: StoredQuery) -> dict[str | None, StoredQuery]:
    """The query for each community whose objects it names, with their ids there; None is the own one."""
    ids: dict[str | None, dict[str, Any]] = {}
    for name in _LISTS:
        for object_id in getattr(query, name, ()):
            uuid, mark = unmarked(object_id)
            ids.setdefault(mark, {}).setdefault(name, []).append(uuid)
    single = getattr(query, _SINGLE, None)
    if single:
        uuid, mark = unmarked(single)
        ids.setdefault(mark, {})[_SINGLE] = uuid
    return {mark: structs.replace(query, **_all_of(query, named)) for mark, named in ids.items()}


def _all_of(query: StoredQuery, named: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of ids, those without an id of this community empty."""
    lists = {name: tuple(named.get(name, ())) for name in _LISTS if hasattr(query, name)}
    single = {_SINGLE: named.get(_SINGLE)} if hasattr(query, _SINGLE) else {}
    return {**lists, **single}


def with_marks(result: QueryResult, home: str) -> QueryResult:
    """The answer of the community `home` with the ids that its objects have in this gateway."""
    homes: dict[str, str] = {}
    changes: dict[str, Any] = {}
    for name in _OBJECTS:
        changed = []
        for item in getattr(result, name):
            own = item.home_community_id or home
            homes[item.entry_uuid] = own
            new = {"entry_uuid": marked(item.entry_uuid, own), "home_community_id": own}
            logical_id = getattr(item, "logical_id", None)
            if logical_id is not None:
                homes[logical_id] = own
                new["logical_id"] = marked(logical_id, own)
            changed.append(structs.replace(item, **new))
        changes[name] = tuple(changed)
    changes["object_refs"] = tuple(
        structs.replace(ref, id=marked(ref.id, ref.home_community_id or home)) for ref in result.object_refs
    )
    changes["associations"] = tuple(
        structs.replace(
            a,
            entry_uuid=marked(a.entry_uuid, a.home_community_id or home),
            source=marked(a.source, homes.get(a.source, a.home_community_id or home)),
            target=marked(a.target, homes.get(a.target, a.home_community_id or home)),
            home_community_id=a.home_community_id or home,
        )
        for a in result.associations
    )
    return structs.replace(result, **changes)


def without_marks(result: QueryResult) -> QueryResult:
    """The answer with the ids that its objects have in their communities."""
    changes: dict[str, Any] = {}
    for name in _OBJECTS:
        changed = []
        for item in getattr(result, name):
            new = {"entry_uuid": unmarked(item.entry_uuid)[0]}
            logical_id = getattr(item, "logical_id", None)
            if logical_id is not None:
                new["logical_id"] = unmarked(logical_id)[0]
            changed.append(structs.replace(item, **new))
        changes[name] = tuple(changed)
    changes["object_refs"] = tuple(structs.replace(ref, id=unmarked(ref.id)[0]) for ref in result.object_refs)
    changes["associations"] = tuple(
        structs.replace(
            a,
            entry_uuid=unmarked(a.entry_uuid)[0],
            source=unmarked(a.source)[0],
            target=unmarked(a.target)[0],
        )
        for a in result.associations
    )
    return structs.replace(result, **changes)
