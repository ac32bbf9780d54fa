"""Observations that the sections of a report name and its DiagnosticReport does not.

FHIR R5 wants each Observation of a section among the results of the DiagnosticReport, or among the members of
those (invariant dgr-1; HL7 Europe Imaging Report R5: DiagnosticReport.result 1..*). R4 has no such rule.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.held import reference_of, values_at
from gateway.model import imaging_codes as imaging
from gateway.model.report_entries import ReportEntry

_COMPOSITION: Final = f"DiagnosticReport.extension('{imaging.EXT_REPORT_COMPOSITION}').value"
_MOST_LEVELS: Final = 8

Resolver = Callable[[str, ReportEntry], ReportEntry | None]
"""The entry of the document that a reference of another names."""


def unlisted_results(
    report: ReportEntry, resolve: Resolver, read: Callable[[ReportEntry], Json]
) -> tuple[ReportEntry, ...]:
    """The entries of such Observations, in the order of the sections."""
    results = list(_targets(read(report), "DiagnosticReport.result", report, resolve))
    listed = {result.name for result in results}
    for result in results:
        listed |= {e.name for e in _targets(read(result), "Observation.hasMember", result, resolve)}
    found: dict[str, ReportEntry] = {}
    for composition in _targets(read(report), _COMPOSITION, report, resolve):
        for value in _entries(read(composition).get("section"), _MOST_LEVELS):
            literal = reference_of(value)
            entry = resolve(literal, composition) if literal is not None else None
            if entry is not None and entry.kind == "Observation" and entry.name not in listed:
                found.setdefault(entry.name, entry)
    return tuple(found.values())


def _targets(resource: Json, path: str, source: ReportEntry, resolve: Resolver) -> Iterator[ReportEntry]:
    for value in values_at(resource, path):
        literal = reference_of(value)
        entry = resolve(literal, source) if literal is not None else None
        if entry is not None:
            yield entry


def _entries(sections: Any, levels: int) -> Iterator[Any]:
    for section in sections if isinstance(sections, list) and levels else ():
        if isinstance(section, dict):
            listed = section.get("entry")
            yield from listed if isinstance(listed, list) else ()
            yield from _entries(section.get("section"), levels - 1)
