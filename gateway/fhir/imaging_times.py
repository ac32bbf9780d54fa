"""Dates and times of imaging: local time of the place where the study was made <-> FHIR dateTime.

A FHIR time needs a zone. The offset is that of the time itself, else of its document (0008,0201), else of
the zone that the settings give the community. Where nobody knows it, the day is kept and the period in which
the time can lie is written beside it (extension uncertainPeriod): a time is never taken for UTC in silence.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.model import imaging_codes as imaging
from gateway.model.dtm import to_dtm
from gateway.model.imaging import LocalTime, Manifest, Study

_DATE: Final = re.compile(r"\d{8}", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_OFFSET: Final = re.compile(r"[+-](?:0\d|1[0-3])[0-5]\d|[+-]1400", re.ASCII)
EARLIEST_OFFSET: Final = "+14:00"
LATEST_OFFSET: Final = "-12:00"
"""The offsets in use on Earth: an instant with an unknown one lies between these."""

WIDEST_OFFSET: Final = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Zones:
    """Where the offset of a time comes from: `document` is +-HHMM, `default` a zone with its rules."""

    document: str | None = None
    default: tzinfo | None = None

    @classmethod
    def of(cls, manifest: Manifest, default: tzinfo | None = None) -> "Zones":
        """The zones of the times of a manifest."""
        return cls(manifest.utc_offset, default)


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A dateTime and what goes beside it under its name with an underscore."""

    value: str
    beside: Json | None = None


def moment_of(time: LocalTime) -> datetime | None:
    """Date and time of day without zone; a missing part is zero. None where the date does not exist.

    A leap second is the second before it, which `datetime` knows.
    """
    if not _DATE.fullmatch(time.date):
        return None
    parts = _TIME.fullmatch(time.time or "000000")
    if parts is None:
        return None
    hour, minute, second = (int(part or 0) for part in parts.groups()[:3])
    try:
        return datetime(
            int(time.date[:4]),
            int(time.date[4:6]),
            int(time.date[6:]),
            hour,
            minute,
            59 if second == 60 else second,
            int((parts[4] or "0").ljust(6, "0")),
        )
    except ValueError:
        return None


def offset_of(time: LocalTime, zones: Zones) -> str | None:
    """Offset of a time as +-HH:MM; None where nobody knows it."""
    for known in (time.offset, zones.document):
        if known and _OFFSET.fullmatch(known):
            return f"{known[:3]}:{known[3:]}"
    moment = moment_of(time)
    if zones.default is None or moment is None:
        return None
    try:
        shift = moment.replace(tzinfo=zones.default).utcoffset()
    except OverflowError:
        return None
    return None if shift is None else _written_offset(shift)


def write_time(time: LocalTime | None, zones: Zones) -> WrittenTime | None:
    """dateTime of a local time; None where there is none, or it names no time. Zeros at the end of a
    fraction are cut."""
    moment = moment_of(time) if time is not None else None
    if time is None or moment is None:
        return None
    day = f"{time.date[:4]}-{time.date[4:6]}-{time.date[6:]}"
    if time.time is None:
        return WrittenTime(day)
    local = f"{day}T{_clock(time.time)}"
    offset = offset_of(time, zones)
    if offset is not None:
        return WrittenTime(local + offset)
    period = {"start": local + EARLIEST_OFFSET, "end": local + LATEST_OFFSET}
    return WrittenTime(day, {"extension": [{"url": imaging.EXT_UNCERTAIN_PERIOD, "valuePeriod": period}]})


def put_time(target: Json, name: str, time: LocalTime | None, zones: Zones) -> None:
    """Set an element of type dateTime."""
    written = write_time(time, zones)
    if written is None:
        return
    target[name] = written.value
    if written.beside is not None:
        target[f"_{name}"] = written.beside


def interval_of(time: LocalTime | None, zones: Zones) -> tuple[datetime, datetime] | None:
    """First instant and first instant after a time, in UTC; wider by every offset where it has none.

    The precision is that of the digits: a date is a day, HHMM a minute. None where it names no time, or one
    that UTC has no year for.
    """
    moment = moment_of(time) if time is not None else None
    if time is None or moment is None:
        return None
    offset = offset_of(time, zones)
    try:
        if offset is None:
            start, end = moment - WIDEST_OFFSET, moment + timedelta(hours=12)
        else:
            start = end = moment - _shift(offset)
        width = _width(time.time)
        return start.replace(tzinfo=UTC), (end + width).replace(tzinfo=UTC)
    except OverflowError:
        return None


def utc_dtm(time: LocalTime | None, zones: Zones) -> str | None:
    """XDS DTM of a time: in UTC where the offset is known, else the date alone, as XDS has no other zone."""
    moment = moment_of(time) if time is not None else None
    if time is None or moment is None:
        return None
    offset = offset_of(time, zones)
    if time.time is None or offset is None:
        return time.date
    try:
        return to_dtm(moment.replace(tzinfo=timezone(_shift(offset))))
    except OverflowError:
        return time.date


def common_offset(study: Study, created: LocalTime | None) -> str | None:
    """Offset of a document whose times have each their own: that of the study, else of the first time.

    None where a time of day has no offset, since that of the others need not be its own.
    """
    times = [study.started, created, *(series.started for series in study.series)]
    offsets = [time.offset for time in times if time is not None and time.time is not None]
    return offsets[0] if offsets and all(offsets) else None


def _clock(text: str) -> str:
    parts = _TIME.fullmatch(text)
    assert parts is not None  # `moment_of` has read it
    hour, minute, second = (part or "00" for part in parts.groups()[:3])
    fraction = (parts[4] or "").rstrip("0")
    return f"{hour}:{minute}:{second}{'.' if fraction else ''}{fraction}"


def _width(text: str | None) -> timedelta:
    if text is None:
        return timedelta(days=1)
    if "." in text:
        return timedelta(microseconds=10 ** (6 - len(text.partition(".")[2])))
    return {2: timedelta(hours=1), 4: timedelta(minutes=1)}.get(len(text), timedelta(seconds=1))


def _shift(offset: str) -> timedelta:
    size = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
    return -size if offset[0] == "-" else size


def _written_offset(shift: timedelta) -> str:
    minutes = round(shift.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
