"""A second, slow reading of FHIR search, and what a registry does with a stored query (ITI TF-2 3.18).

Also the values that generated registry objects and searches are made of: few of each, so that they often meet.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import hypothesis.strategies as st

from gateway.fhir.search_request import SearchContext
from gateway.fhir.terminology import Terminology
from gateway.model import Author, Code, Cx, Person

NOW = datetime(2024, 7, 1, tzinfo=UTC)
PATIENT = Cx("P1", "2.999.1")
CONTEXT = SearchContext(
    Terminology({"http://codes.example/a": "2.999.5"}, {"http://ids.example": "2.999.7"}),
    "http://gw.example/fhir",
    lambda reference: PATIENT if reference == "Patient/p1" else None,
    now=lambda: NOW,
)
SYSTEMS = {"http://codes.example/a": "2.999.5", "urn:oid:2.999.6": "2.999.6", "LOCAL": "LOCAL"}


# few instants on the borders of years, months, days, hours and minutes, so that equal ones are common
moments = st.sampled_from(
    [
        datetime(2023, 12, 31, 23, 59, 59),
        datetime(2024, 1, 1),
        datetime(2024, 1, 1, 0, 59, 59),
        datetime(2024, 1, 1, 1),
        datetime(2024, 6, 1),
        datetime(2024, 6, 15, 12, 30),
        datetime(2024, 6, 15, 12, 30, 1),
        datetime(2024, 6, 30, 23, 59, 59),
        datetime(2025, 1, 1),
    ]
)


@st.composite
def dtms(draw):
    moment = draw(moments)
    return moment.strftime("%Y%m%d%H%M%S")[: draw(st.sampled_from([4, 6, 8, 10, 12, 14]))]


a_code = st.builds(
    Code,
    st.sampled_from(["A", "B", "a"]),
    st.sampled_from(list(SYSTEMS.values())),
    st.sampled_from([None, "Émile report", "Emil", "Other"]),
)
names = st.sampled_from([None, "Welby", "WELBY", "Müller", "Mueller", "Anna Maria", "O'Hara & Söhne", "w"])
authors = st.lists(
    st.builds(
        Author,
        person=st.none() | st.builds(Person, family=names, given=names, further_given=names),
    ),
    max_size=2,
).map(tuple)
UUIDS = [f"urn:uuid:0a3c1a5c-1f0f-4a2e-8fa0-00000000000{n}" for n in range(3)]
PREFIXES = ["", "eq", "ne", "lt", "le", "gt", "ge", "sa", "eb", "ap"]


@st.composite
def date_values(draw):
    moment = draw(moments)
    form = draw(st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
    text = moment.strftime(form)
    if "T" in text:
        if form.endswith("%S"):
            text += draw(st.sampled_from(["", ".5", ".000", ".123456"]))
        text += draw(st.sampled_from(["", "Z", "+01:00", "-05:30"]))
    return draw(st.sampled_from(PREFIXES)) + text


def lists_of(values):
    return st.lists(values, min_size=1, max_size=2).map(",".join)


tokens = st.builds(
    lambda system, code: code if system is None else f"{system}|{code}",
    st.sampled_from([None, "", *SYSTEMS]),
    st.sampled_from(["A", "B", "a"]),
) | st.sampled_from([f"{system}|" for system in SYSTEMS])


# --- FHIR, read a second time ---------------------------------------------------------------------------


def instant(moment):
    return Fraction((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 10**6)


END = instant(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)) + 1
"""Where the calendar ends."""


def span(text, zone=timedelta(0)):
    """Interval in seconds of digits such as 20240131, 202401312359 or 20240131235959.5."""
    whole, _, fraction = text.partition(".")
    padded = whole + "00000101000000"[len(whole) :]
    start = datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    if fraction:
        begin = instant(start - zone) + Fraction(int(fraction), 10 ** len(fraction))
        return begin, begin + Fraction(1, 10 ** len(fraction))
    try:
        end = end_of(start, len(whole))
    except (ValueError, OverflowError):
        return instant(start - zone), END
    return instant(start - zone), instant(end - zone)


def end_of(start, digits):
    """First instant after a time of that many digits."""
    match digits:
        case 4:
            return start.replace(year=start.year + 1)
        case 6:
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        case 8:
            return start + timedelta(days=1)
        case 10:
            return start + timedelta(hours=1)
        case 12:
            return start + timedelta(minutes=1)
        case _:
            return start + timedelta(seconds=1)


def naive_date(value, target):
    prefix = value[:2] if value[:2].isalpha() else "eq"
    parts = re.fullmatch(r"([\d\-]+)(?:T([\d:.]+)(Z|[+-]\d\d:\d\d)?)?", value.removeprefix(prefix))
    zone = timedelta(0)
    if parts[3] not in (None, "Z"):
        zone = timedelta(hours=int(parts[3][1:3]), minutes=int(parts[3][4:6])) * (
            -1 if parts[3][0] == "-" else 1
        )
    low, high = span((parts[1] + (parts[2] or "")).replace("-", "").replace(":", ""), zone)
    # documents hold whole seconds, so the value contains every second that it touches
    whole_low, whole_high = low // 1, -(-high // 1)
    start, end = target
    contained = whole_low <= start < end <= whole_high
    if prefix == "ap":
        now = instant(NOW)
        gap = max(low - now, now - high, Fraction(0)) / 10
        low, high = low - gap, high + gap
    return {
        "eq": contained,
        "ne": not contained,
        "gt": end > high,
        "lt": start < low,
        "ge": end > high or contained,
        "le": start < low or contained,
        "sa": start >= high,
        "eb": end <= low,
        "ap": start < high and end > low,
    }[prefix]


def naive_code(value, code):
    if "|" not in value:
        return code.code == value
    system, wanted = value.split("|")
    return SYSTEMS.get(system, "") == code.scheme and wanted in ("", code.code)


def plain(text):
    return "".join(
        c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)
    ).casefold()


def naive_names(authors, part):
    for person in (author.person for author in authors if author.person):
        if part == "family":
            yield person.family or ""
        else:
            yield from filter(
                None, [person.given, person.further_given, *(person.further_given or "").split()]
            )


def naive_identifiers(entry):
    yield f"urn:ietf:rfc:3986|{entry.entry_uuid}"
    root, _, extension = entry.unique_id.partition("^")
    if extension:
        yield from (f"urn:oid:{root}|{extension}", extension)
    else:
        value = root if root.startswith("urn:") else f"urn:oid:{root}"
        yield f"urn:ietf:rfc:3986|{value}"


NAME_RULES = {
    "": lambda n, v: plain(n).startswith(plain(v)),
    "exact": lambda n, v: n == v,
    "contains": lambda n, v: plain(v) in plain(n),
}


def naive_name(authors, full_name, values):
    """A string parameter such as author.family:exact over authors."""
    name, _, modifier = full_name.partition(":")
    return any(
        NAME_RULES[modifier](n, v) for n in naive_names(authors, name.partition(".")[2]) if n for v in values
    )


# --- a registry -----------------------------------------------------------------------------------------


def like(pattern, text):
    expression = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def escaped(text):
    return re.sub(
        r"[\\^&~|]",
        lambda m: {"\\": r"\E\\"[:3], "^": r"\S\\"[:3], "&": r"\T\\"[:3]}.get(m[0], m[0]),
        text or "",
    )


def in_limits(value, low, high):
    if value is None:
        return True
    first = value + "00000101000000"[len(value) :]
    return (low is None or first >= low) and (high is None or first < high)


def has(wanted, held):
    pairs = {(c.code, c.scheme) for c in held if c}
    return not wanted or any((c.code, c.scheme) in pairs for c in wanted)


def author_texts(authors):
    """XCN texts that $...AuthorPerson is compared with."""
    persons = [a.person for a in authors if a.person]
    return ["^".join(map(escaped, ("", p.family, p.given, p.further_given))) for p in persons]
