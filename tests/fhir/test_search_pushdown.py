"""For generated entries and searches: the filter means what FHIR says, and the registry is never asked for less.

`naive_*` is a second, slow reading of FHIR search over the values that the DocumentReference shows;
`registry_finds` is a small registry that evaluates FindDocuments as ITI TF-2 3.18 describes it.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import given, settings

from gateway.fhir.document_search import SearchContext, parse_document_search
from gateway.fhir.terminology import Terminology
from gateway.model import Author, AvailabilityStatus, Code, Cx, DocumentEntry, Person, ReferenceId, codes
from gateway.model.query import FindDocuments, FindDocumentsByReferenceId, GetDocuments

NOW = datetime(2024, 7, 1, tzinfo=UTC)
PATIENT = Cx("P1", "2.999.1")
CONTEXT = SearchContext(
    Terminology({"http://codes.example/a": "2.999.5"}, {"http://ids.example": "2.999.7"}),
    "http://gw.example/fhir",
    lambda reference: PATIENT if reference == "Patient/p1" else None,
    now=lambda: NOW,
)
SYSTEMS = {"http://codes.example/a": "2.999.5", "urn:oid:2.999.6": "2.999.6", "LOCAL": "LOCAL"}

# --- generated entries ----------------------------------------------------------------------------------


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
maybe_code = st.none() | a_code
names = st.sampled_from([None, "Welby", "WELBY", "Müller", "Mueller", "Anna Maria", "O'Hara & Söhne", "w"])
authors = st.lists(
    st.builds(
        Author,
        person=st.none() | st.builds(Person, family=names, given=names, further_given=names),
    ),
    max_size=2,
).map(tuple)
references = st.lists(
    st.builds(
        ReferenceId,
        st.sampled_from(["ACC_1", "ACC1", "1.2.3", "1.2.34"]),
        st.sampled_from([None, "2.999.7", "2.999.8"]),
        st.sampled_from([codes.REFERENCE_ACCESSION, codes.REFERENCE_STUDY, codes.REFERENCE_ORDER]),
    ),
    max_size=2,
).map(tuple)
UUIDS = [f"urn:uuid:0a3c1a5c-1f0f-4a2e-8fa0-00000000000{n}" for n in range(3)]
entries = st.builds(
    DocumentEntry,
    entry_uuid=st.sampled_from(UUIDS),
    unique_id=st.sampled_from(["1.2.3", "1.2.3^ext", UUIDS[0], UUIDS[2]]),
    patient_id=st.sampled_from([PATIENT] * 6 + [Cx("P2", "2.999.1"), None]),
    status=st.sampled_from(list(AvailabilityStatus)),
    object_type=st.sampled_from([codes.STABLE_DOCUMENT, codes.ON_DEMAND_DOCUMENT]),
    authors=authors,
    class_code=maybe_code,
    type_code=maybe_code,
    format_code=maybe_code,
    facility_type=maybe_code,
    practice_setting=maybe_code,
    confidentiality=st.lists(a_code, max_size=2).map(tuple),
    event_codes=st.lists(a_code, max_size=2).map(tuple),
    reference_ids=references,
    creation_time=st.none() | dtms(),
    service_start_time=st.none() | dtms(),
    service_stop_time=st.none() | dtms(),
)

# --- generated searches ---------------------------------------------------------------------------------

CODE_FIELDS = {
    "category": "class_code",
    "type": "type_code",
    "setting": "practice_setting",
    "facility": "facility_type",
    "format": "format_code",
    "event": "event_codes",
    "security-label": "confidentiality",
}
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
code_parameters = st.one_of(
    st.tuples(st.sampled_from(list(CODE_FIELDS)), lists_of(tokens)),
    st.tuples(st.sampled_from([f"{n}:not" for n in CODE_FIELDS]), lists_of(tokens)),
    st.tuples(st.sampled_from([f"{n}:text" for n in CODE_FIELDS]), st.sampled_from(["emil", "Émile", "oth"])),
    st.tuples(st.sampled_from([f"{n}:missing" for n in CODE_FIELDS]), st.sampled_from(["true", "false"])),
)
date_parameters = st.tuples(st.sampled_from(["creation", "period"]), lists_of(date_values())) | st.tuples(
    st.sampled_from(["creation:missing", "period:missing"]), st.sampled_from(["true", "false"])
)
name_parameters = st.tuples(
    st.sampled_from(
        [f"author.{part}{m}" for part in ("given", "family") for m in ("", ":exact", ":contains")]
    ),
    lists_of(
        st.sampled_from(["welby", "Welby", "mul", "Müller", "maria", "Anna Maria", "O'Hara & Söhne", "w"])
    ),
)
related_parameters = st.tuples(
    st.sampled_from(["related:identifier", "related.identifier"]),
    lists_of(
        st.sampled_from(
            [
                "http://ids.example|ACC_1",
                "urn:oid:2.999.8|ACC1",
                "ACC_1",
                "urn:dicom:uid|urn:oid:1.2.3",
                "|1.2.3",
            ]
        )
    ),
)
status_parameters = st.sampled_from(
    [
        ("status", "current"),
        ("status", "current,superseded"),
        ("status:not", "current"),
        ("status", "superseded"),
    ]
)
id_parameters = st.sampled_from(
    [
        ("identifier", "urn:ietf:rfc:3986|urn:oid:1.2.3"),
        ("identifier", "urn:oid:1.2.3|ext"),
        ("identifier", f"urn:ietf:rfc:3986|{UUIDS[0].upper().replace('URN:UUID', 'urn:uuid')}"),
        ("identifier", "ext"),
        ("_id", UUIDS[0][9:]),
        ("_id", f"{UUIDS[1][9:]},{UUIDS[2][9:]}"),
    ]
)
searches = st.tuples(
    st.sampled_from([("patient", "p1"), ("patient.identifier", "urn:oid:2.999.1|P1")]),
    st.lists(
        st.one_of(
            code_parameters,
            date_parameters,
            date_parameters,
            name_parameters,
            related_parameters,
            status_parameters,
            id_parameters,
        ),
        max_size=3,
    ),
).map(lambda parts: [parts[0], *parts[1]])

# --- FHIR, read a second time ---------------------------------------------------------------------------


def instant(moment):
    return Fraction((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), 10**6)


def span(text, zone=timedelta(0)):
    """Interval in seconds of digits such as 20240131, 202401312359 or 20240131235959.5."""
    whole, _, fraction = text.partition(".")
    padded = whole + "00000101000000"[len(whole) :]
    start = datetime.strptime(padded, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    if fraction:
        begin = instant(start - zone) + Fraction(int(fraction), 10 ** len(fraction))
        return begin, begin + Fraction(1, 10 ** len(fraction))
    match len(whole):
        case 4:
            end = start.replace(year=start.year + 1)
        case 6:
            end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        case 8:
            end = start + timedelta(days=1)
        case 10:
            end = start + timedelta(hours=1)
        case 12:
            end = start + timedelta(minutes=1)
        case _:
            end = start + timedelta(seconds=1)
    return instant(start - zone), instant(end - zone)


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


ALWAYS, NEVER = Fraction(-(10**15)), Fraction(10**15)


def naive_times(entry, name):
    if name == "creation":
        return [span(entry.creation_time)] if entry.creation_time else []
    if entry.service_start_time is None and entry.service_stop_time is None:
        return []
    low = span(entry.service_start_time)[0] if entry.service_start_time else ALWAYS
    high = span(entry.service_stop_time)[1] if entry.service_stop_time else NEVER
    return [(low, high)]


def naive_codes(entry, name):
    held = getattr(entry, CODE_FIELDS[name])
    return list(held) if isinstance(held, tuple) else [held] if held else []


def naive_code(value, code):
    if "|" not in value:
        return code.code == value
    system, wanted = value.split("|")
    return SYSTEMS.get(system, "") == code.scheme and wanted in ("", code.code)


def plain(text):
    return "".join(
        c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)
    ).casefold()


def naive_names(entry, part):
    for person in (author.person for author in entry.authors if author.person):
        if part == "family":
            yield person.family or ""
        else:
            yield from filter(
                None, [person.given, person.further_given, *(person.further_given or "").split()]
            )


def naive_related(value, reference):
    if "|" not in value:
        return reference.id == value
    system, wanted = value.split("|")
    wanted = wanted.removeprefix("urn:oid:")
    authority = {"http://ids.example": "2.999.7", "urn:oid:2.999.8": "2.999.8"}.get(system)
    if authority is None:
        unique = reference.authority is None or reference.type == codes.REFERENCE_STUDY
        return reference.id == wanted and unique
    return reference.id == wanted and reference.authority == authority


def naive_identifiers(entry):
    yield f"urn:ietf:rfc:3986|{entry.entry_uuid}"
    root, _, extension = entry.unique_id.partition("^")
    if extension:
        yield from (f"urn:oid:{root}|{extension}", extension)
    else:
        value = root if root.startswith("urn:") else f"urn:oid:{root}"
        yield f"urn:ietf:rfc:3986|{value}"


def naive_parameter(entry, full_name, value):
    name, _, modifier = full_name.partition(":")
    values = value.split(",")
    if name in ("patient", "patient.identifier"):
        return entry.patient_id == PATIENT
    if name == "status":
        status = "current" if entry.status is AvailabilityStatus.APPROVED else "superseded"
        return (status in values) is not (modifier == "not")
    if name in ("related", "related.identifier"):
        return any(naive_related(v, r) for v in values for r in entry.reference_ids)
    if name == "_id":
        return entry.entry_uuid[9:] in values
    if name == "identifier":
        return any(v.lower() in {i.lower() for i in naive_identifiers(entry)} for v in values)
    if name in CODE_FIELDS:
        held = naive_codes(entry, name)
        if modifier == "missing":
            return (not held) is (value == "true")
        if modifier == "text":
            return any(plain(c.display or "").startswith(plain(value)) for c in held)
        return any(naive_code(v, c) for v in values for c in held) is not (modifier == "not")
    if name in ("creation", "period"):
        held = naive_times(entry, name)
        if modifier == "missing":
            return (not held) is (value == "true")
        return any(naive_date(v, t) for v in values for t in held)
    fits = {
        "": lambda n, v: plain(n).startswith(plain(v)),
        "exact": lambda n, v: n == v,
        "contains": lambda n, v: plain(v) in plain(n),
    }[modifier]
    return any(fits(n, v) for n in naive_names(entry, name.removeprefix("author.")) if n for v in values)


def naive_matches(entry, parameters):
    parameters = list(parameters)
    named = {name.partition(":")[0] for name, _ in parameters}
    asks_by_id = "_id" in named or any(n == "identifier" and v != "ext" for n, v in parameters)
    if "status" not in named and not asks_by_id:
        parameters.append(("status", "current"))
    return all(naive_parameter(entry, *p) for p in parameters)


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


def registry_finds(query, entry):
    if isinstance(query, GetDocuments):
        return entry.entry_uuid in query.entry_uuids or entry.unique_id in query.unique_ids
    assert isinstance(query, FindDocuments)
    if entry.patient_id != query.patient_id or entry.status not in query.status:
        return False
    if entry.object_type not in (query.document_type or (codes.STABLE_DOCUMENT,)):
        return False
    single = (
        (query.class_code, entry.class_code),
        (query.type_code, entry.type_code),
        (query.practice_setting, entry.practice_setting),
        (query.facility_type, entry.facility_type),
        (query.format_code, entry.format_code),
    )
    if not all(has(wanted, (held,)) for wanted, held in single):
        return False
    if not all(has(group, entry.event_codes) for group in query.event_codes):
        return False
    if not all(has(group, entry.confidentiality) for group in query.confidentiality):
        return False
    persons = [a.person for a in entry.authors if a.person]
    texts = ["^".join(map(escaped, ("", p.family, p.given, p.further_given))) for p in persons]
    if query.author_person and not any(like(p, t) for p in query.author_person for t in texts):
        return False
    if isinstance(query, FindDocumentsByReferenceId):
        ids = [
            f"{escaped(r.id)}^^^{f'&{r.authority}&ISO' if r.authority else ''}^{r.type}"
            for r in entry.reference_ids
        ]
        if not all(any(like(p, i) for p in group for i in ids) for group in query.reference_ids):
            return False
    return (
        (entry.on_demand or in_limits(entry.creation_time, query.creation_time_from, query.creation_time_to))
        and in_limits(entry.service_start_time, query.service_start_time_from, query.service_start_time_to)
        and in_limits(entry.service_stop_time, query.service_stop_time_from, query.service_stop_time_to)
    )


@settings(max_examples=600, deadline=None)
@given(st.lists(entries, min_size=1, max_size=4), searches)
def test_every_match_is_asked_for_and_every_filter_is_exact(held, parameters):
    search = parse_document_search(parameters, CONTEXT)
    for entry in held:
        expected = naive_matches(entry, parameters)
        asked_for = any(registry_finds(query, entry) for query in search.queries())
        if expected:
            assert asked_for
        if asked_for:
            assert search.matches(entry) is expected


timed_entries = st.builds(
    DocumentEntry,
    entry_uuid=st.just(UUIDS[0]),
    unique_id=st.just("1.2.3"),
    patient_id=st.just(PATIENT),
    status=st.sampled_from(list(AvailabilityStatus)),
    creation_time=st.none() | dtms(),
    service_start_time=st.none() | dtms(),
    service_stop_time=st.none() | dtms(),
)


@settings(max_examples=1000, deadline=None)
@given(timed_entries, st.lists(date_parameters, min_size=1, max_size=2))
def test_times_of_any_precision_are_asked_for_and_filtered_exactly(entry, parameters):
    parameters = [("patient", "p1"), ("status", "current,superseded"), *parameters]
    search = parse_document_search(parameters, CONTEXT)
    expected = all(naive_parameter(entry, *p) for p in parameters)
    assert search.matches(entry) is expected
    if expected:
        assert any(registry_finds(query, entry) for query in search.queries())


authored_entries = st.builds(
    DocumentEntry,
    entry_uuid=st.just(UUIDS[0]),
    unique_id=st.just("1.2.3"),
    patient_id=st.just(PATIENT),
    authors=authors,
    reference_ids=references,
)


@settings(max_examples=500, deadline=None)
@given(authored_entries, st.lists(name_parameters | related_parameters, min_size=1, max_size=2))
def test_names_and_references_are_asked_for_and_filtered_exactly(entry, parameters):
    parameters = [("patient", "p1"), ("status", "current"), *parameters]
    search = parse_document_search(parameters, CONTEXT)
    expected = naive_matches(entry, parameters)
    assert search.matches(entry) is expected
    if expected:
        assert any(registry_finds(query, entry) for query in search.queries())


@settings(max_examples=100, deadline=None)
@given(st.lists(entries, min_size=1, max_size=4), searches)
def test_the_self_parameters_make_the_same_search_again(held, parameters):
    search = parse_document_search(parameters, CONTEXT)
    again = parse_document_search(search.parameters, CONTEXT, strict=True)
    assert again.queries() == search.queries()
    assert again.self_link == search.self_link
    assert not again.warnings
    assert [again.matches(e) for e in held] == [search.matches(e) for e in held]
