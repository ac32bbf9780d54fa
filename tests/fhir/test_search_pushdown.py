"""For generated entries and searches: the filter means what FHIR says, and the registry is never asked for less.

`naive_*` is a second, slow reading of FHIR search over the values that the DocumentReference shows;
`registry_finds` is a small registry that evaluates FindDocuments as ITI TF-2 3.18 describes it.
"""

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import given, settings

from gateway.fhir.document_search import parse_document_search
from gateway.model import AvailabilityStatus, Cx, DocumentEntry, ReferenceId, codes
from gateway.model.query import FindDocuments, FindDocumentsByReferenceId, GetDocuments
from tests.fhir.naive_search import (
    CONTEXT,
    PATIENT,
    UUIDS,
    a_code,
    author_texts,
    authors,
    date_values,
    dtms,
    escaped,
    has,
    in_limits,
    like,
    lists_of,
    naive_code,
    naive_date,
    naive_identifiers,
    naive_name,
    plain,
    span,
    tokens,
)

# --- generated entries ----------------------------------------------------------------------------------

maybe_code = st.none() | a_code
references = st.lists(
    st.builds(
        ReferenceId,
        st.sampled_from(["ACC_1", "ACC1", "1.2.3", "1.2.34"]),
        st.sampled_from([None, "2.999.7", "2.999.8"]),
        st.sampled_from([codes.REFERENCE_ACCESSION, codes.REFERENCE_STUDY, codes.REFERENCE_ORDER]),
    ),
    max_size=2,
).map(tuple)
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
    return naive_name(entry.authors, full_name, values)


def naive_matches(entry, parameters):
    parameters = list(parameters)
    named = {name.partition(":")[0] for name, _ in parameters}
    asks_by_id = "_id" in named or any(n == "identifier" and v != "ext" for n, v in parameters)
    if "status" not in named and not asks_by_id:
        parameters.append(("status", "current"))
    return all(naive_parameter(entry, *p) for p in parameters)


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
    texts = author_texts(entry.authors)
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
