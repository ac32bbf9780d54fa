"""XDS DTM: `YYYY[MM[DD[hh[mm[ss]]]]]`, always UTC, no zone suffix (ITI TF-3 Table 4.2.3.1.7-2).

The model keeps a time as this string because its length is its precision, which FHIR needs back.
A DTM stands for the interval of its precision: `2024` is the whole year.
"""

import re
from datetime import UTC, datetime, timedelta

_DTM = re.compile(r"\d{4}(?:\d{2}){0,5}")


def is_dtm(value: str) -> bool:
    """True for 4, 6, 8, 10, 12 or 14 digits that name an existing time."""
    if not _DTM.fullmatch(value):
        return False
    try:
        dtm_start(value)
    except ValueError:
        return False
    return True


def dtm_start(value: str) -> datetime:
    """First instant of the interval that `value` stands for. Raises ValueError where it names no time."""
    if not _DTM.fullmatch(value):
        raise ValueError(f"not a DTM: {value!r}")
    padded = value + "00000101000000"[len(value) :]
    return datetime(
        int(padded[0:4]),
        int(padded[4:6]),
        int(padded[6:8]),
        int(padded[8:10]),
        int(padded[10:12]),
        # a leap second is legal in HL7 v2 and unknown to datetime
        min(int(padded[12:14]), 59) if padded[12:14] == "60" else int(padded[12:14]),
        tzinfo=UTC,
    )


def dtm_end(value: str) -> datetime:
    """First instant after the interval that `value` stands for."""
    start = dtm_start(value)
    match len(value):
        case 4:
            return (
                start.replace(year=start.year + 1) if start.year < 9999 else datetime.max.replace(tzinfo=UTC)
            )
        case 6:
            return (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        case 8:
            return start + timedelta(days=1)
        case 10:
            return start + timedelta(hours=1)
        case 12:
            return start + timedelta(minutes=1)
        case _:
            return start + timedelta(seconds=1)


def to_dtm(moment: datetime) -> str:
    """14 digits of an aware datetime, shifted to UTC, fraction of a second cut."""
    if moment.tzinfo is None:
        raise ValueError("a DTM needs a time with a zone")
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S").rjust(14, "0")
