"""`_include` and `_revinclude` of ITI-66, ITI-67 and of imaging studies (FHIR R4 search 3.1.1.5.5).

What can come along with a page is what XDS relates to it: the patient, documents by association, members of
SubmissionSets and Folders, and the SubmissionSets and Folders that hold a document.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

_PATIENT, _DOCUMENT, _LIST = "Patient", "DocumentReference", "List"
_STUDY, _ORDER, _REPORT = "ImagingStudy", "ServiceRequest", "DiagnosticReport"
_PEOPLE = "Practitioner"
_HELD: Final = (
    _REPORT,
    _ORDER,
    "Composition",
    "Observation",
    "Procedure",
    "Basic",
    "Device",
    "AdverseEvent",
    "Condition",
    "AllergyIntolerance",
    "Encounter",
    "Provenance",
)
"""Types that reports hold, Provenance last."""


class Inclusion(StrEnum):
    """One kind of resources that come along with the matches."""

    PATIENTS = "patients"
    RELATED_DOCUMENTS = "documents that matches relate to"
    RELATING_DOCUMENTS = "documents that relate to matches"
    MEMBER_DOCUMENTS = "documents in matching Lists"
    MEMBER_LISTS = "Folders in matching SubmissionSets"
    HOLDING_LISTS = "SubmissionSets and Folders that hold matches"
    ENDPOINTS = "where the images of matching studies can be retrieved"
    ORDERS = "orders that matching studies are based on"
    PROVENANCES = "what matches were made of"
    REPORTS = "reports on matches"
    STUDY = "study"
    COMPOSITION = "composition"
    BASED_ON = "based-on"
    PERFORMER = "performer"
    INTERPRETER = "results-interpreter"
    RESULT = "result"
    AUTHOR = "author"
    ATTESTER = "attester"
    ENTRY = "entry"
    DERIVED_FROM = "derived-from"
    DEVICE = "device"
    REQUESTER = "requester"
    TARGET = "target"
    """From STUDY on: what matches refer to by the search parameter of that name."""


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
    }
)
_IMAGING_FORWARD: Final[_Paths] = MappingProxyType(
    {
        f"{_STUDY}:patient": {_PATIENT: Inclusion.PATIENTS},
        f"{_STUDY}:subject": {_PATIENT: Inclusion.PATIENTS},
        f"{_STUDY}:endpoint": {"Endpoint": Inclusion.ENDPOINTS},
        f"{_STUDY}:basedon": {_ORDER: Inclusion.ORDERS},
        f"{_STUDY}:based-on": {_ORDER: Inclusion.ORDERS},
        f"{_REPORT}:study": {_STUDY: Inclusion.STUDY},
        f"{_REPORT}:imagingstudy": {_STUDY: Inclusion.STUDY},
        f"{_REPORT}:imaging-study": {_STUDY: Inclusion.STUDY},
        f"{_REPORT}:composition": {"Composition": Inclusion.COMPOSITION},
        f"{_REPORT}:based-on": {_ORDER: Inclusion.BASED_ON},
        f"{_REPORT}:performer": {_PEOPLE: Inclusion.PERFORMER},
        f"{_REPORT}:results-interpreter": {_PEOPLE: Inclusion.INTERPRETER},
        f"{_REPORT}:result": {"Observation": Inclusion.RESULT},
        "Composition:author": {_PEOPLE: Inclusion.AUTHOR},
        "Composition:attester": {_PEOPLE: Inclusion.ATTESTER},
        "Composition:entry": {"any": Inclusion.ENTRY},
        "Observation:based-on": {_ORDER: Inclusion.BASED_ON},
        "Observation:derived-from": {"any": Inclusion.DERIVED_FROM},
        "Observation:device": {"Device": Inclusion.DEVICE},
        "Procedure:based-on": {_ORDER: Inclusion.BASED_ON},
        "Procedure:performer": {_PEOPLE: Inclusion.PERFORMER},
        f"{_ORDER}:requester": {_PEOPLE: Inclusion.REQUESTER},
        "Provenance:target": {"any": Inclusion.TARGET},
        **{
            f"{name}:{parameter}": {_PATIENT: Inclusion.PATIENTS}
            for name in _HELD
            for parameter in ("patient", "subject")
        },
    }
)
_IMAGING_REVERSE: Final[_Paths] = MappingProxyType(
    {
        "Provenance:target": dict.fromkeys((_STUDY, *_HELD[:-1]), Inclusion.PROVENANCES),
        f"{_REPORT}:study": {_STUDY: Inclusion.REPORTS},
        f"{_REPORT}:imagingstudy": {_STUDY: Inclusion.REPORTS},
        f"{_REPORT}:imaging-study": {_STUDY: Inclusion.REPORTS},
        f"{_REPORT}:based-on": {_ORDER: Inclusion.REPORTS},
    }
)
_IMAGING: Final = frozenset({_STUDY, *_HELD})


def _tables(resource_type: str) -> tuple[_Paths, _Paths]:
    """What `_include` and `_revinclude` know in a search of the type."""
    if resource_type in _IMAGING:
        return _IMAGING_FORWARD, _IMAGING_REVERSE
    return _FORWARD, _REVERSE


def paths(control: str, resource_type: str) -> tuple[str, ...]:
    """Values of `_include` or `_revinclude` that a search of the type takes, without their target types.

    An empty type is the search over all of them.
    """
    forward, reverse = _tables(resource_type)
    if control == "_include":
        return tuple(path for path in forward if path.startswith(resource_type))
    return tuple(path for path, targets in reverse.items() if not resource_type or resource_type in targets)


def read_include(control: str, value: str, resource_type: str) -> frozenset[Inclusion]:
    """What `Type:parameter[:TargetType]` brings along, or `*` for all; empty where it is not supported."""
    known = paths(control, resource_type)
    table = _tables(resource_type)[0 if control == "_include" else 1]
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
