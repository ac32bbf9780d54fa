"""`_include` and `_revinclude` of ITI-66 and ITI-67 (FHIR R4 search 3.1.1.5.5).

What can come along with a page is what XDS relates to it: the patient, documents by association, members of
SubmissionSets and Folders, the SubmissionSets and Folders that hold a document, and the Provenance that the
SubmissionSet of a document makes.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_PATIENT, _DOCUMENT, _LIST = "Patient", "DocumentReference", "List"
_PROVENANCE: Final = "Provenance"


class Inclusion(StrEnum):
    """One kind of resources that come along with the matches."""

    PATIENTS = "patients"
    RELATED_DOCUMENTS = "documents that matches relate to"
    RELATING_DOCUMENTS = "documents that relate to matches"
    MEMBER_DOCUMENTS = "documents in matching Lists"
    MEMBER_LISTS = "Folders in matching SubmissionSets"
    HOLDING_LISTS = "SubmissionSets and Folders that hold matches"
    PROVENANCES = "where matching documents come from"


def included_type(inclusion: Inclusion) -> str:
    """The resource type that comes along with documents and Lists."""
    return _TYPES[inclusion]


_TYPES: Final = {
    Inclusion.PATIENTS: _PATIENT,
    Inclusion.RELATED_DOCUMENTS: _DOCUMENT,
    Inclusion.RELATING_DOCUMENTS: _DOCUMENT,
    Inclusion.MEMBER_DOCUMENTS: _DOCUMENT,
    Inclusion.MEMBER_LISTS: _LIST,
    Inclusion.HOLDING_LISTS: _LIST,
    Inclusion.PROVENANCES: _PROVENANCE,
}

_Paths = Mapping[str, Mapping[str, Inclusion]]
"""`Type:parameter` to what it brings by the type of its target."""

_FORWARD: Final[_Paths] = MappingProxyType(
    {
        f"{_DOCUMENT}:patient": {_PATIENT: Inclusion.PATIENTS},
        f"{_DOCUMENT}:subject": {_PATIENT: Inclusion.PATIENTS},
        f"{_DOCUMENT}:relatesto": {_DOCUMENT: Inclusion.RELATED_DOCUMENTS},
        f"{_LIST}:patient": {_PATIENT: Inclusion.PATIENTS},
        f"{_LIST}:subject": {_PATIENT: Inclusion.PATIENTS},
        f"{_LIST}:item": {_DOCUMENT: Inclusion.MEMBER_DOCUMENTS, _LIST: Inclusion.MEMBER_LISTS},
    }
)
_REVERSE: Final[_Paths] = MappingProxyType(
    {
        f"{_DOCUMENT}:relatesto": {_DOCUMENT: Inclusion.RELATING_DOCUMENTS},
        f"{_LIST}:item": {_DOCUMENT: Inclusion.HOLDING_LISTS, _LIST: Inclusion.HOLDING_LISTS},
        f"{_PROVENANCE}:target": {_DOCUMENT: Inclusion.PROVENANCES},
    }
)


def paths(control: str, resource_type: str) -> tuple[str, ...]:
    """Values of `_include` or `_revinclude` that a search of the type takes, without their target types.

    An empty type is the search over all of them.
    """
    if control == "_include":
        return tuple(path for path in _FORWARD if path.startswith(resource_type))
    return tuple(path for path, targets in _REVERSE.items() if not resource_type or resource_type in targets)


def read_include(control: str, value: str, resource_type: str) -> frozenset[Inclusion]:
    """What `Type:parameter[:TargetType]` brings along, or `*` for all; empty where it is not supported."""
    known = paths(control, resource_type)
    table = _FORWARD if control == "_include" else _REVERSE
    if value == "*":
        return frozenset(inclusion for path in known for inclusion in table[path].values())
    source, _, rest = value.partition(":")
    parameter, _, target = rest.partition(":")
    if f"{source}:{parameter}" not in known:
        return frozenset()
    targets = table[f"{source}:{parameter}"]
    if not target:
        return frozenset(targets.values())
    return frozenset({targets[target]}) if target in targets else frozenset()
