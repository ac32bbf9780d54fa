"""For generated Lists and searches: the filter means what FHIR says, and the registry is never asked for less.

`naive_matches` is a second, slow reading of FHIR search over the values that the List shows; `registry_finds`
is a small registry that evaluates FindSubmissionSets and FindFolders as ITI TF-2 3.18 describes them.
"""

import hypothesis.strategies as st
from hypothesis import given, settings

from gateway.fhir.list_search import parse_list_search
from gateway.model import Cx, Folder, SubmissionSet
from gateway.model.query import FindFolders, FindSubmissionSets, GetFolders, GetSubmissionSetAndContents
from tests.fhir.naive_search import (
    CONTEXT,
    PATIENT,
    UUIDS,
    a_code,
    author_texts,
    authors,
    date_values,
    dtms,
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

_ids = {
    "entry_uuid": st.sampled_from(UUIDS),
    "unique_id": st.sampled_from(["1.2.3", "1.2.4", UUIDS[0], "1.2.3^ext"]),
    "patient_id": st.sampled_from([PATIENT] * 6 + [Cx("P2", "2.999.1"), None]),
}
submission_sets = st.builds(
    SubmissionSet,
    **_ids,
    source_id=st.sampled_from(["2.999.3", "2.999.33", "LOCAL"]),
    submission_time=dtms(),
    content_type=st.none() | a_code,
    authors=authors,
)
folders = st.builds(
    Folder, **_ids, code_list=st.lists(a_code, max_size=2).map(tuple), last_update_time=st.none() | dtms()
)

LIST_TYPES = "https://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes"
kind_parameters = st.sampled_from(
    [
        ("code", "submissionset"),
        ("code", "folder"),
        ("code", f"{LIST_TYPES}|folder"),
        ("code", f"folder,{LIST_TYPES}|submissionset"),
        ("code:not", "folder"),
        ("code", f"{LIST_TYPES}|"),
    ]
)
parameters = st.one_of(
    kind_parameters,
    kind_parameters,
    st.sampled_from([("status", "current"), ("status", "superseded,current"), ("status:not", "current")]),
    st.sampled_from([("status", "superseded"), ("status", "retired"), ("status:not", "retired")]),
    st.tuples(st.just("designationType"), lists_of(tokens)),
    st.tuples(st.just("designationType:not"), lists_of(tokens)),
    st.tuples(st.just("designationType:text"), st.sampled_from(["emil", "Émile", "oth"])),
    st.tuples(
        st.sampled_from(["designationType:missing", "date:missing"]), st.sampled_from(["true", "false"])
    ),
    st.tuples(st.just("date"), lists_of(date_values())),
    st.tuples(st.just("date"), lists_of(date_values())),
    st.tuples(
        st.sampled_from(
            [f"source.{part}{m}" for part in ("given", "family") for m in ("", ":exact", ":contains")]
        ),
        st.lists(
            st.sampled_from(["welby", "Welby", "Müller", "Anna Maria", "O'Hara & Söhne", "w"]),
            min_size=1,
            max_size=6,
        ).map(",".join),
    ),
    st.tuples(
        st.just("sourceId"),
        lists_of(st.sampled_from(["urn:ietf:rfc:3986|urn:oid:2.999.3", "urn:oid:2.999.33", "LOCAL"])),
    ),
    st.sampled_from(
        [
            ("identifier", "urn:ietf:rfc:3986|urn:oid:1.2.3"),
            ("identifier", f"urn:ietf:rfc:3986|{UUIDS[0]}"),
            ("identifier", "urn:oid:1.2.3|ext"),
            ("identifier", "ext"),
            ("_id", f"{UUIDS[1][9:]},{UUIDS[2][9:]}"),
        ]
    ),
)
searches = st.tuples(
    st.sampled_from([("patient", "p1"), ("patient.identifier", "urn:oid:2.999.1|P1")]),
    st.lists(parameters, max_size=3),
).map(lambda parts: [parts[0], *parts[1]])

# --- FHIR, read a second time ---------------------------------------------------------------------------


def kind_of(item):
    return "submissionset" if isinstance(item, SubmissionSet) else "folder"


def designations(item):
    if isinstance(item, Folder):
        return list(item.code_list)
    return [item.content_type] if item.content_type else []


def times(item):
    held = item.submission_time if isinstance(item, SubmissionSet) else item.last_update_time
    return [span(held)] if held else []


def naive_parameter(item, full_name, value):
    name, _, modifier = full_name.partition(":")
    values = value.split(",")
    if modifier == "missing":
        return (not (designations(item) if name == "designationType" else times(item))) is (value == "true")
    if name in ("patient", "patient.identifier"):
        return item.patient_id == PATIENT
    if name == "code":
        asked = {v.rpartition("|")[2] for v in values}
        return ("" in asked or kind_of(item) in asked) is not (modifier == "not")
    if name == "status":
        return ("current" in values) is not (modifier == "not")
    if name == "_id":
        return item.entry_uuid[9:] in values
    if name == "identifier":
        return any(v in set(naive_identifiers(item)) for v in values)
    if name == "date":
        return any(naive_date(v, t) for v in values for t in times(item))
    if name == "designationType":
        held = designations(item)
        if modifier == "text":
            return any(plain(c.display or "").startswith(plain(value)) for c in held)
        return any(naive_code(v, c) for v in values for c in held) is not (modifier == "not")
    if isinstance(item, Folder):
        return False
    if name == "sourceId":
        return item.source_id in {v.rpartition("|")[2].removeprefix("urn:oid:") for v in values}
    return naive_name(item.authors, full_name, values)


def naive_matches(item, parameters):
    asked = [p for p in parameters if p[0].partition(":")[0] == "code"]
    kinds = [
        kind
        for kind, example in (("folder", Folder(entry_uuid="", unique_id="")), ("submissionset", EMPTY_SET))
        if all(naive_parameter(example, *p) for p in asked)
    ]
    # what a Folder does not have is ignored where Folders alone are asked for
    ignored = ("source.", "sourceId") if kinds == ["folder"] else ("none",)
    return all(naive_parameter(item, *p) for p in parameters if not p[0].startswith(ignored))


EMPTY_SET = SubmissionSet(entry_uuid="", unique_id="", source_id="", submission_time="2024")

# --- a registry -----------------------------------------------------------------------------------------


def registry_finds(query, item):
    match query:
        case GetSubmissionSetAndContents():
            named = query.entry_uuid == item.entry_uuid or query.unique_id == item.unique_id
            return isinstance(item, SubmissionSet) and named
        case GetFolders():
            named = item.entry_uuid in query.entry_uuids or item.unique_id in query.unique_ids
            return isinstance(item, Folder) and named
        case FindSubmissionSets() if isinstance(item, SubmissionSet):
            return (
                item.patient_id == query.patient_id
                and item.status in query.status
                and (not query.source_id or item.source_id in query.source_id)
                and has(query.content_type, (item.content_type,))
                and in_limits(item.submission_time, query.submission_time_from, query.submission_time_to)
                and (
                    query.author_person is None
                    or any(like(query.author_person, text) for text in author_texts(item.authors))
                )
            )
        case FindFolders() if isinstance(item, Folder):
            return (
                item.patient_id == query.patient_id
                and item.status in query.status
                and all(has(group, item.code_list) for group in query.code_list)
                and in_limits(item.last_update_time, query.last_update_time_from, query.last_update_time_to)
            )
    return False


@settings(max_examples=1000, deadline=None)
@given(st.lists(submission_sets | folders, min_size=1, max_size=4), searches)
def test_every_match_is_asked_for_and_every_filter_is_exact(held, parameters):
    search = parse_list_search(parameters, CONTEXT)
    for item in held:
        expected = naive_matches(item, parameters)
        asked_for = any(registry_finds(query, item) for query in search.queries())
        if expected:
            assert asked_for
        if asked_for:
            assert search.matches(item) is expected


@settings(max_examples=300, deadline=None)
@given(st.lists(submission_sets | folders, min_size=1, max_size=4), searches)
def test_the_self_parameters_make_the_same_search_again(held, parameters):
    search = parse_list_search(parameters, CONTEXT)
    again = parse_list_search(search.parameters, CONTEXT, strict=True)
    assert again.queries() == search.queries()
    assert again.self_link == search.self_link
    assert not again.warnings
    assert [again.matches(item) for item in held] == [search.matches(item) for item in held]


@settings(max_examples=300, deadline=None)
@given(st.lists(submission_sets | folders, max_size=6), searches)
def test_the_order_is_total_and_the_latest_come_first(held, parameters):
    ordered = sorted(held, key=parse_list_search(parameters, CONTEXT).sort_key)
    starts = [times(item)[0][0] if times(item) else None for item in ordered]
    present = [start for start in starts if start is not None]
    assert starts == sorted(present, reverse=True) + [None] * (len(starts) - len(present))
