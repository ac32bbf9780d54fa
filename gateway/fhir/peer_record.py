"""The associations that resources of an MHD server stand for: members of Lists and relatesTo of
DocumentReferences (IHE MHD 4.2.4, ConceptMap AssociationTypeVsRelatesTo).

FHIR gives them no ids, so each has one that follows from its ends and its type. Of the SubmissionSets that
hold a document the first brought it (Original), the others refer to it. Members that are Associations are
unknown to FHIR.
"""

import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.fhir.peer_resources import FoundDocument, FoundList, ResourceKey
from gateway.model import codes
from gateway.model.metadata import Association, SubmissionSet

_NAMESPACE: Final = uuid.UUID("6d3c1f0e-4b0a-5a39-8f0c-6f5d2e9b7a10")
_RELATIONS: Final[Mapping[frozenset[str], tuple[str, ...]]] = {
    frozenset({"replaces"}): (codes.RPLC,),
    frozenset({"transforms"}): (codes.XFRM,),
    frozenset({"appends"}): (codes.APND,),
    frozenset({"signs"}): (codes.SIGNS,),
    frozenset({"replaces", "transforms"}): (codes.XFRM_RPLC,),
}


def associations_of(
    documents: Iterable[FoundDocument], lists: Iterable[FoundList]
) -> tuple[Association, ...]:
    """The associations whose both ends are among the resources."""
    documents, lists = tuple(documents), tuple(lists)
    uuids = {found.key: found.entry.entry_uuid for found in documents}
    uuids |= {found.key: found.item.entry_uuid for found in lists}
    return (*_memberships(lists, uuids), *_relations(documents, uuids))


def _memberships(lists: tuple[FoundList, ...], uuids: Mapping[ResourceKey, str]) -> Iterable[Association]:
    sets = [found for found in lists if isinstance(found.item, SubmissionSet)]
    sets.sort(key=lambda found: getattr(found.item, "submission_time", ""))
    folders = [found for found in lists if not isinstance(found.item, SubmissionSet)]
    brought: set[ResourceKey] = set()
    for found in sets:
        for member in found.members:
            if member not in uuids:
                continue
            status = None
            if member[0] == "DocumentReference":
                status = "Reference" if member in brought else "Original"
                brought.add(member)
            yield _association(codes.HAS_MEMBER, found.item.entry_uuid, uuids[member], status)
    for found in folders:
        for member in found.members:
            if member in uuids:
                yield _association(codes.HAS_MEMBER, found.item.entry_uuid, uuids[member])


def _relations(
    documents: tuple[FoundDocument, ...], uuids: Mapping[ResourceKey, str]
) -> Iterable[Association]:
    for found in documents:
        said: dict[ResourceKey, set[str]] = {}
        for code, target in found.relations:
            said.setdefault(target, set()).add(code.lower())
        for target, relation in said.items():
            if target not in uuids:
                continue
            kinds = _RELATIONS.get(frozenset(relation)) or tuple(
                kind for code in sorted(relation) for kind in _RELATIONS.get(frozenset({code}), ())
            )
            for kind in kinds:
                yield _association(kind, found.entry.entry_uuid, uuids[target])


def _association(kind: str, source: str, target: str, status: str | None = None) -> Association:
    name = uuid.uuid5(_NAMESPACE, f"{kind} {source} {target}")
    return Association(
        entry_uuid=name.urn, type=kind, source=source, target=target, submission_set_status=status
    )
