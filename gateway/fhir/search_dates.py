"""Date search (FHIR R4 search 3.1.1.4.5) against times with DTM precision (ITI TF-2 3.18.4.1.2.3.7).

Both sides are intervals, in whole microseconds of UTC, end exclusive: a search value stands for the interval
of its precision, so does a DTM, and a period runs from the start of its first to the end of its last time.
A date without time is a day in UTC, as DTM has no zone.

XDS cuts fractions of a second. `eq` and the equal part of `ge` and `le` therefore ask for the whole seconds
that the value touches, otherwise a document could not be found by the time it was published with.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum

from gateway.fhir.search_values import SearchProblem
from gateway.model.dtm import dtm_end, dtm_start, is_dtm, to_dtm

_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
NEVER = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND + 1
"""After every time that can be written; -1 is before every one."""

_VALUE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[+\- ]\d\d:\d\d)?)?)?)?"
)


_WITH_ZONE = re.compile(r"T.*(?:Z|[+\- ]\d\d:\d\d)$")


class Prefix(StrEnum):
    """Comparison of a date parameter."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True)
class Interval:
    """`start` <= t < `end` in microseconds since year 1."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DateCondition:
    """One alternative of a date parameter. `whole` is `exact` widened to whole seconds."""

    prefix: Prefix
    exact: Interval
    whole: Interval

    def matches(self, start: int, end: int) -> bool:
        """True where the time `start` <= t < `end` of a document meets the condition.

        FHIR defines `gt` and `lt` by overlap with what lies beyond the value, `sa` and `eb` by lying beyond
        it as a whole.
        """
        exact = self.exact
        match self.prefix:
            case Prefix.EQ:
                return self._contains(start, end)
            case Prefix.NE:
                return not self._contains(start, end)
            case Prefix.GT:
                return end > exact.end
            case Prefix.GE:
                return end > exact.end or self._contains(start, end)
            case Prefix.LT:
                return start < exact.start
            case Prefix.LE:
                return start < exact.start or self._contains(start, end)
            case Prefix.SA:
                return start >= exact.end
            case Prefix.EB:
                return end <= exact.start
            case Prefix.AP:
                return start < exact.end and end > exact.start

    def _contains(self, start: int, end: int) -> bool:
        return self.whole.start <= start < end <= self.whole.end


@dataclass(frozen=True, slots=True)
class Limits:
    """What a registry can be asked, as DTM: From <= first time, To > first time, and so for the last time.

    Each limit holds for every document that meets the condition; None is no limit.
    """

    start_from: str | None = None
    start_to: str | None = None
    stop_from: str | None = None
    stop_to: str | None = None


def microseconds(moment: datetime) -> int:
    """Microseconds of an aware time since year 1."""
    return (moment - _EPOCH) // _MICROSECOND


def dtm_interval(value: str | None) -> Interval | None:
    """Interval of a DTM; None where the entry has none or it names no time."""
    if value is None or not is_dtm(value):
        return None
    try:
        end = microseconds(dtm_end(value))
    except OverflowError:
        end = NEVER
    return Interval(microseconds(dtm_start(value)), end)


def read_date(text: str, parameter: str, now: datetime) -> DateCondition:
    """Read one alternative of a date parameter, for example `ge2024-01-01T10:00:00+01:00`.

    `now` is the reference of `ap`. Raises SearchProblem.
    """
    prefix, value = Prefix.EQ, text.strip()
    if value[:2].isalpha():
        try:
            prefix = Prefix(value[:2])
        except ValueError:
            raise SearchProblem(
                "value", f"{parameter}: the prefix has to be one of {', '.join(Prefix)}, or none."
            ) from None
        value = value[2:]
    try:
        exact = _interval(value)
    except (ValueError, OverflowError):
        raise SearchProblem(
            "value",
            f"{parameter}: the value has to be a date or time that exists: YYYY, YYYY-MM, YYYY-MM-DD or "
            "YYYY-MM-DDThh:mm[:ss[.sss]] with Z or a zone such as +01:00.",
        ) from None
    if prefix is Prefix.AP:
        exact = _widened(exact, now)
    whole = Interval(exact.start // SECOND * SECOND, _ceil(exact.end))
    return DateCondition(prefix, exact, whole)


def read_date_in_zone(text: str, parameter: str, now: datetime, zone: tzinfo) -> DateCondition:
    """The same; days and times without zone are those of `zone`. Raises SearchProblem."""
    condition = read_date(text, parameter, now)
    if _WITH_ZONE.search(text.strip()):
        return condition
    return replace(condition, exact=_moved(condition.exact, zone), whole=_moved(condition.whole, zone))


def _moved(interval: Interval, zone: tzinfo) -> Interval:
    """An interval that was read as UTC, as one of the zone."""
    return Interval(_to_utc(interval.start, zone), _to_utc(interval.end, zone))


def _to_utc(moment: int, zone: tzinfo) -> int:
    try:
        local = _EPOCH.replace(tzinfo=None) + timedelta(microseconds=moment)
        return microseconds(local.replace(tzinfo=zone).astimezone(UTC))
    except OverflowError:
        return moment


def registry_limits(conditions: Sequence[DateCondition], coarsest: int, *, period: bool) -> Limits:
    """Limits that every time which meets one of `conditions` keeps.

    With `period` False the document has one time and only `start_from` and `start_to` are used. `coarsest`
    is the number of digits of the least precise DTM in the registry (4: a year). A registry compares the
    first instant of a DTM, so a time of the year 2024 meets `ge2024-06` but not From=20240601: a lower limit
    from `ge`, `gt` and `ap` is moved back to where such a time may start.
    """
    each = [_limits(condition, coarsest) for condition in conditions]
    if not period:
        each = [
            Limits(limit.start_from or limit.stop_from, limit.start_to or limit.stop_to) for limit in each
        ]
    return Limits(
        start_from=_loosest([limit.start_from for limit in each], min),
        start_to=_loosest([limit.start_to for limit in each], max),
        stop_from=_loosest([limit.stop_from for limit in each], min),
        stop_to=_loosest([limit.stop_to for limit in each], max),
    )


def strictest(all_limits: Sequence[Limits]) -> Limits:
    """Limits that hold where all of `all_limits` hold."""
    return Limits(
        start_from=max((x.start_from for x in all_limits if x.start_from), default=None),
        start_to=min((x.start_to for x in all_limits if x.start_to), default=None),
        stop_from=max((x.stop_from for x in all_limits if x.stop_from), default=None),
        stop_to=min((x.stop_to for x in all_limits if x.stop_to), default=None),
    )


def _loosest(values: list[str | None], pick: Callable[[Iterable[str]], str]) -> str | None:
    present = [value for value in values if value is not None]
    return pick(present) if present and len(present) == len(values) else None


def _limits(condition: DateCondition, coarsest: int) -> Limits:
    exact, whole = condition.exact, condition.whole
    match condition.prefix:
        case Prefix.EQ:
            return Limits(start_from=_dtm(whole.start), stop_to=_dtm(whole.end))
        case Prefix.GT:
            return Limits(stop_from=_floor(exact.end, coarsest))
        case Prefix.GE:
            return Limits(stop_from=_floor(whole.start, coarsest))
        case Prefix.LT:
            return Limits(start_to=_dtm(_ceil(exact.start)))
        case Prefix.LE:
            return Limits(start_to=_dtm(whole.end))
        case Prefix.SA:
            return Limits(start_from=_dtm(_ceil(exact.end)))
        case Prefix.EB:
            return Limits(stop_to=_dtm(_ceil(exact.start)))
        case Prefix.AP:
            return Limits(stop_from=_floor(exact.start, coarsest), start_to=_dtm(_ceil(exact.end)))
        case Prefix.NE:
            return Limits()


def _ceil(value: int) -> int:
    return -(-value // SECOND) * SECOND


def _dtm(value: int) -> str | None:
    """14 digits of whole seconds; None at and beyond the ends of the calendar."""
    if value <= 0 or value >= NEVER // SECOND * SECOND:
        return None
    return to_dtm(_EPOCH + timedelta(microseconds=value))


def _floor(value: int, digits: int) -> str | None:
    written = _dtm(min(value, NEVER) // SECOND * SECOND)
    return written if written is None else written[:digits] + "00000101000000"[digits:]


def _widened(interval: Interval, now: datetime) -> Interval:
    """10 % of the distance between now and the value on both sides, as FHIR recommends for dates."""
    at = microseconds(now)
    distance = max(interval.start - at, at - interval.end, 0)
    return Interval(max(interval.start - distance // 10, 0), min(interval.end + distance // 10, NEVER))


def _interval(value: str) -> Interval:
    parts = _VALUE.fullmatch(value)
    if parts is None:
        raise ValueError
    if parts["hour"] is None:
        dtm = "".join(p for p in (parts["year"], parts["month"], parts["day"]) if p)
        found = dtm_interval(dtm)
        if found is None:
            raise ValueError
        return found
    return _time_interval(parts)


def _time_interval(parts: re.Match[str]) -> Interval:
    second = min(int(parts["second"] or 0), 59) if parts["second"] == "60" else int(parts["second"] or 0)
    local = datetime(
        int(parts["year"]),
        int(parts["month"]),
        int(parts["day"]),
        int(parts["hour"]),
        int(parts["minute"]),
        second,
        tzinfo=UTC,
    )
    start = microseconds(local) - _offset(parts["zone"])
    fraction = parts["fraction"]
    if parts["second"] is None:
        width = 60 * SECOND
    elif fraction is None:
        width = SECOND
    else:
        digits = fraction[:6]
        width = 10 ** (6 - len(digits))
        start += int(digits) * width
    if start < 0 or start + width > NEVER:
        raise OverflowError
    return Interval(start, start + width)


def _offset(zone: str | None) -> int:
    """Microseconds east of UTC. No zone is UTC, as for dates; a blank is a `+` that was not encoded."""
    if zone in {None, "Z"}:
        return 0
    assert zone is not None
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError
    size = (hours * 60 + minutes) * 60 * SECOND
    return -size if zone[0] == "-" else size
