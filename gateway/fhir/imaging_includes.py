"""`_include` and `_revinclude` of the resources that manifests and reports of a patient give (FHIR R4 search
3.1.1.5.5), with target types and `:iterate`.

Every reference that can be searched by can be followed, in both directions.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from gateway.fhir.report_parameters import REPORT_TABLES
from gateway.fhir.search_table import Kind

_PATIENT, _STUDY, _ORDER = "Patient", "ImagingStudy", "ServiceRequest"
_PEOPLE: Final = ("Practitioner", "PractitionerRole", "Organization")
_ANY: Final = ("*",)
FOLLOWED: Final = frozenset({_STUDY, "Endpoint", *REPORT_TABLES})
"""Types whose searches follow references."""
ELEMENTS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        **{
            (table.resource, row.name): row.expression
            for table in REPORT_TABLES.values()
            for row in table.rows
            if row.kind is Kind.REFERENCE and row.name not in ("patient", "subject", "entity")
        },
        **{
            (name, parameter): f"{name}.subject | {name}.patient"
            for name in (_STUDY, *REPORT_TABLES)
            for parameter in ("patient", "subject")
        },
        (_STUDY, "basedon"): f"{_STUDY}.basedOn",
        (_STUDY, "endpoint"): f"{_STUDY}.endpoint | {_STUDY}.series.endpoint",
        (_STUDY, "performer"): f"{_STUDY}.series.performer.actor",
        (_STUDY, "referrer"): f"{_STUDY}.referrer",
        ("PractitionerRole", "practitioner"): "PractitionerRole.practitioner",
        ("PractitionerRole", "organization"): "PractitionerRole.organization",
    }
)
"""Type and parameter to the elements that hold the references, see `gateway.fhir.held`."""

_TARGETS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = MappingProxyType(
    {
        ("DiagnosticReport", "based-on"): (_ORDER,),
        ("DiagnosticReport", "study"): (_STUDY,),
        ("DiagnosticReport", "composition"): ("Composition",),
        ("DiagnosticReport", "performer"): _PEOPLE,
        ("DiagnosticReport", "results-interpreter"): _PEOPLE,
        ("DiagnosticReport", "result"): ("Observation",),
        ("Composition", "author"): (*_PEOPLE, "Device", _PATIENT),
        ("Composition", "attester"): (*_PEOPLE, _PATIENT),
        ("Observation", "based-on"): (_ORDER, "CarePlan"),
        ("Observation", "derived-from"): (_STUDY, "Observation", "Media", "DocumentReference"),
        ("Observation", "device"): ("Device",),
        ("Procedure", "based-on"): (_ORDER, "CarePlan"),
        ("Procedure", "performer"): (*_PEOPLE, "Device", _PATIENT),
        (_ORDER, "requester"): (*_PEOPLE, "Device", _PATIENT),
        ("MedicationRequest", "requester"): (*_PEOPLE, "Device", _PATIENT),
        (_STUDY, "basedon"): (_ORDER,),
        (_STUDY, "endpoint"): ("Endpoint",),
        (_STUDY, "performer"): (*_PEOPLE, "Device", _PATIENT),
        (_STUDY, "referrer"): _PEOPLE[:2],
        ("PractitionerRole", "practitioner"): ("Practitioner",),
        ("PractitionerRole", "organization"): ("Organization",),
    }
)
"""What a reference may lead to; any resource where it is not here."""

_NEVER_REFERRED_TO: Final = frozenset({"Endpoint", "Provenance"})
"""Types that references to any resource do not lead to here."""

SPELLINGS: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("DiagnosticReport", "imagingstudy"): "study",
        ("DiagnosticReport", "imaging-study"): "study",
        (_STUDY, "based-on"): "basedon",
    }
)
"""Other names of parameters."""


class Step(Struct, frozen=True):
    """One value of `_include` or `_revinclude`: references of a type by a parameter.

    `target` is the type that they have to lead to, None for all. `iterates` follows what came along, too.
    """

    source: str
    parameter: str
    target: str | None = None
    is_reverse: bool = False
    iterates: bool = False


def targets_of(source: str, parameter: str) -> tuple[str, ...]:
    """Types that a reference may lead to; `*` is every type."""
    if parameter in ("patient", "subject"):
        return (_PATIENT,)
    return _TARGETS.get((source, parameter), _ANY)


def imaging_paths(control: str, resource_type: str) -> tuple[str, ...]:
    """Values of `_include` or `_revinclude` that a search of the type takes, without target types."""
    named = [*ELEMENTS, *SPELLINGS]
    if control == "_include":
        return tuple(f"{source}:{name}" for source, name in named if source == resource_type)
    return tuple(
        f"{source}:{name}"
        for source, name in named
        if source != "PractitionerRole" and _leads_to(source, name, resource_type)
    )


def read_steps(control: str, value: str, resource_type: str, *, iterates: bool) -> tuple[Step, ...]:
    """What `Type:parameter[:TargetType]` stands for, or `*`; empty where it is not supported.

    A path starts at the searched type, unless it `iterates`: then it may start at what other paths bring.
    """
    is_reverse = control == "_revinclude"
    if value == "*":
        paths = (path.split(":") for path in imaging_paths(control, resource_type))
        named = ELEMENTS if iterates else ((source, _canonical(source, name)) for source, name in paths)
        return tuple(Step(*each, is_reverse=is_reverse, iterates=iterates) for each in dict.fromkeys(named))
    source, _, rest = value.partition(":")
    name, _, target = rest.partition(":")
    parameter = _canonical(source, name)
    if (source, parameter) not in ELEMENTS:
        return ()
    if not iterates and not (
        _leads_to(source, parameter, resource_type) if is_reverse else source == resource_type
    ):
        return ()
    possible = targets_of(source, parameter)
    if target and possible != _ANY and target not in possible:
        return ()
    return (Step(source, parameter, target or None, is_reverse, iterates),)


def _canonical(source: str, name: str) -> str:
    return SPELLINGS.get((source, name), name)


def _leads_to(source: str, name: str, resource_type: str) -> bool:
    possible = targets_of(source, _canonical(source, name))
    if possible == _ANY:
        return resource_type not in _NEVER_REFERRED_TO
    return resource_type in possible
