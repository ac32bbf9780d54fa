"""Which reports are current: several DiagnosticReports with one identifier are versions of one report
(HL7 Europe Imaging Report 1.0.0-ballot, document rules).

A registry tells by its associations which documents replace others; where a source registers a new version
beside the old one, only the identifier of the report says so. The latest document then counts. An addendum
(`relatesTo` appends) replaces nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from gateway.fhir.held import identifiers_in
from gateway.fhir.terminology import Terminology
from gateway.imaging.reports import KnownReport
from gateway.model import AvailabilityStatus


def current_reports(reports: Sequence[KnownReport], terminology: Terminology) -> frozenset[str]:
    """The entryUUIDs of the documents that no later version replaces."""
    latest_first = sorted(reports, key=_age, reverse=True)
    replaced: set[tuple[str, str]] = set()
    current = set()
    for report in latest_first:
        if report.entry.status is not AvailabilityStatus.APPROVED:
            continue
        keys = set(_identifiers(report, terminology))
        if not keys & replaced:
            current.add(report.entry.entry_uuid)
        if not _is_addendum(report):
            replaced |= keys
    return frozenset(current)


def latest_first(reports: Iterable[KnownReport]) -> list[KnownReport]:
    """Reports by the time of their documents."""
    return sorted(reports, key=_age, reverse=True)


def _age(report: KnownReport) -> tuple[str, str]:
    issued = (str(r.get("issued") or "") for r in _content(report, "DiagnosticReport"))
    return report.entry.creation_time or "", next(issued, "")


def _identifiers(report: KnownReport, terminology: Terminology) -> Iterator[tuple[str, str]]:
    for resource in _content(report, "DiagnosticReport"):
        listed = resource.get("identifier")
        yield from identifiers_in(listed if isinstance(listed, list) else (), terminology)


def _is_addendum(report: KnownReport) -> bool:
    for composition in _content(report, "Composition"):
        relations = composition.get("relatesTo")
        for relation in relations if isinstance(relations, list) else ():
            if isinstance(relation, dict) and relation.get("code") == "appends":
                return True
    return False


def _content(report: KnownReport, kind: str) -> Iterator[dict[str, Any]]:
    return (orjson.loads(entry.content) for entry in report.content.entries if entry.kind == kind)
