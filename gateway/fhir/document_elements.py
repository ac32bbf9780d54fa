"""Where the values of ITI-67 parameters stand in a DocumentEntry (IHE MHD 4.2.4 2:3.67.4.1.2)."""

from types import MappingProxyType
from typing import Final

from gateway.fhir.matching import Elements, persons_of
from gateway.fhir.reference_ids import ORDERS_AND_STUDIES
from gateway.fhir.search_dates import NEVER, Interval, dtm_interval
from gateway.model import codes
from gateway.model.metadata import Code, DocumentEntry


def _single(code: Code | None) -> tuple[Code, ...]:
    return () if code is None else (code,)


def _period(entry: DocumentEntry) -> Interval | None:
    """context.period; an absent or unreadable end is open."""
    start, stop = dtm_interval(entry.service_start_time), dtm_interval(entry.service_stop_time)
    if start is None and stop is None:
        return None
    return Interval(-1 if start is None else start.start, NEVER + 1 if stop is None else stop.end)


DOCUMENT_ELEMENTS: Final[Elements[DocumentEntry]] = Elements(
    codes=MappingProxyType(
        {
            "category": lambda e: _single(e.class_code),
            "type": lambda e: _single(e.type_code),
            "setting": lambda e: _single(e.practice_setting),
            "facility": lambda e: _single(e.facility_type),
            "format": lambda e: _single(e.format_code),
            "event": lambda e: e.event_codes,
            "security-label": lambda e: e.confidentiality,
        }
    ),
    intervals=MappingProxyType({"creation": lambda e: dtm_interval(e.creation_time), "period": _period}),
    persons=lambda e: persons_of(e.authors),
    presence=MappingProxyType(
        {
            "related": lambda e: bool(e.reference_ids),
            "encounter": lambda e: any(r.type == codes.REFERENCE_ENCOUNTER for r in e.reference_ids),
            "based-on": lambda e: any(r.type in ORDERS_AND_STUDIES for r in e.reference_ids),
        }
    ),
)
