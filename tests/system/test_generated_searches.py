"""Generated searches over sockets, against a registry of odd documents: each is answered as a slow second
reading of FHIR search filters the same documents, or is refused with an OperationOutcome exactly where it has
to be.

Every run makes the same searches. `GATEWAY_TEST_SEARCHES=20000` makes that many of each kind together.
"""

import asyncio
import http.client
import json
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateway.fhir.search_values import split_unescaped
from gateway.fhir.xml_reader import read_xml
from gateway.model import DocumentEntry, Folder, SubmissionSet, codes
from tests.fhir import naive_search
from tests.fhir import test_list_search_pushdown as of_lists
from tests.fhir import test_search_pushdown as of_documents
from tests.fhir.naive_search import PATIENT, date_values, lists_of, naive_date, naive_identifiers, span
from tests.system.odd_registry import fill as fill_registry
from tests.system.odd_registry import odd_registry
from tests.system.stack import running_stack

SEARCHES = int(os.environ.get("GATEWAY_TEST_SEARCHES", "1500"))
CONTENT = odd_registry()
ITEMS = {item.entry_uuid[9:]: item for item in (*CONTENT.documents, *CONTENT.lists)}
FORM = "application/x-www-form-urlencoded"

# --- the grammar ----------------------------------------------------------------------------------------

submitted = st.tuples(st.sampled_from(["date", "_lastUpdated"]), lists_of(date_values())) | st.tuples(
    st.sampled_from(["date:missing", "_lastUpdated:missing"]), st.sampled_from(["true", "false"])
)


def ids_of(items):
    """Searches by id for some that are there and some that are not."""
    uuids = st.sampled_from([*(i.entry_uuid[9:] for i in items), "00000000-0000-4000-8000-000000000000"])
    identifiers = st.sampled_from(sorted({i for item in items for i in naive_identifiers(item) if "|" in i}))
    return st.tuples(st.just("_id"), lists_of(uuids)) | st.tuples(
        st.just("identifier"), lists_of(identifiers)
    )


DOCUMENT_PARAMETERS = st.one_of(
    of_documents.code_parameters,
    of_documents.code_parameters,
    of_documents.date_parameters,
    of_documents.name_parameters,
    of_documents.related_parameters,
    st.tuples(st.just("related:missing"), st.sampled_from(["true", "false"])),
    of_documents.status_parameters,
    submitted,
    ids_of(CONTENT.documents),
)
_LIST_NAMES = ("code", "date", "designationType", "source", "status")
LIST_PARAMETERS = st.one_of(
    of_lists.parameters.filter(lambda p: p[0].startswith(_LIST_NAMES)),
    of_lists.parameters.filter(lambda p: p[0].startswith(_LIST_NAMES)),
    submitted,
    ids_of(CONTENT.lists),
)
ALL_PARAMETERS = st.one_of(submitted, of_documents.status_parameters, ids_of(list(ITEMS.values())))
CONTROLS = st.one_of(
    st.tuples(st.just("_count"), st.sampled_from(["0", "10", "1000"])),
    st.tuples(
        st.just("_sort"),
        st.lists(
            st.sampled_from(["_id", "-_id", "_lastUpdated", "-_lastUpdated", "date", "-date"]),
            min_size=1,
            max_size=2,
        ).map(",".join),
    ),
    st.tuples(st.just("_summary"), st.sampled_from(["true", "text", "data", "count", "false"])),
    st.tuples(
        st.just("_elements"),
        st.sampled_from(["status", "identifier,subject", "DocumentReference.type,List.title"]),
    ),
    st.sampled_from([("_total", "accurate"), ("_format", "xml"), ("_format", "json"), ("_pretty", "true")]),
    st.sampled_from([("_include", "*"), ("_revinclude", "*")]),
)
UNKNOWN = st.sampled_from(
    [
        ("flavour", "sweet"),
        ("custodian", "Organization/1"),
        ("_sort", "flavour"),
        ("_include", "Observation:subject"),
        ("_elements", "flavour"),
        ("status", ","),
        ("_has:Observation:patient:code", "1"),
    ]
)
"""What is left out with a warning, and refused when strict."""
WRONG = st.sampled_from(
    [
        ("date", "2024-13"),
        ("date", "gx2024"),
        ("_lastUpdated", "2024-06-15T25:00:00Z"),
        ("date:in", "2024"),
        ("status", "open"),
        ("status:text", "current"),
        ("identifier", "urn:ietf:rfc:3986|"),
        ("patient.identifier", "P1"),
        ("patient.identifier", "http://unmapped.example|P1"),
        ("patient.identifier", "urn:oid:2.999.1|P2"),
        ("_count", "-1"),
        ("_count", "1.5"),
        ("_summary", "all"),
        ("_total", "some"),
        ("date:missing", "perhaps"),
        ("targetCommunityIdList", "urn:oid:2.999.9"),
        ("identifier", "urn:oid:1.2|\x07"),
    ]
)
"""What is refused in any case."""


@dataclass(frozen=True)
class Request:
    """`wrong` and `unknown` are among the parameters; `way` is how they are sent."""

    parameters: tuple[tuple[str, str], ...]
    wrong: bool
    unknown: bool
    strict: bool
    way: str


@st.composite
def requests(draw, parameters):
    who = draw(
        st.sampled_from(
            [
                ("patient.identifier", "urn:oid:2.999.1|P1"),
                ("patient.identifier", "urn:oid:2.999.1|P1"),
                ("patient", "p1"),
                ("subject", "p1"),
                ("subject:identifier", "urn:oid:2.999.1|P1"),
                ("patient.identifier", "urn:oid:2.999.1|P1,urn:oid:2.999.1|P1"),
            ]
        )
    )
    sent = [who, *draw(st.lists(parameters, max_size=3))]
    shapes = {name: (name, value) for name, value in draw(st.lists(CONTROLS, max_size=2))}
    if "_elements" in shapes or shapes.get("_summary", ("", ""))[1] == "text":
        # these exclude each other
        shapes = {n: v for n, v in shapes.items() if n not in ("_summary", "_include", "_revinclude")}
    sent += shapes.values()
    wrong = draw(st.lists(WRONG, max_size=1)) if draw(st.integers(0, 9)) == 0 else []
    unknown = draw(st.lists(UNKNOWN, max_size=1)) if draw(st.integers(0, 9)) == 0 else []
    if "_elements" in shapes or "_sort" in shapes:
        unknown = [p for p in unknown if p[0] not in shapes]
    wrong = [p for p in wrong if p[0] not in shapes]
    everything = draw(st.permutations([*sent, *wrong, *unknown]))
    way = draw(st.sampled_from(["GET", "GET", "POST", "both"]))
    return Request(tuple(everything), bool(wrong), bool(unknown), draw(st.integers(0, 3)) == 0, way)


# --- what is expected -----------------------------------------------------------------------------------

_SHAPING = (
    "_count",
    "_sort",
    "_summary",
    "_elements",
    "_total",
    "_format",
    "_pretty",
    "_include",
    "_revinclude",
    "_type",
)
_UNKNOWN_NAMES = ("flavour", "custodian", "_has")


def submission_of(item):
    if isinstance(item, DocumentEntry):
        return CONTENT.submitted.get(item.entry_uuid)
    return item.submission_time if isinstance(item, SubmissionSet) else item.last_update_time


def time_matches(full_name, value, item):
    held = submission_of(item)
    if full_name.endswith(":missing"):
        return (held is None) is (value == "true")
    return held is not None and any(naive_date(v, span(held)) for v in value.split(","))


def is_called(entry, token):
    """Whether a document has the identifier, or is about something that has it: a study, an order, a visit."""
    if of_documents.naive_matches(entry, [("identifier", token), ("status", "current,superseded")]):
        return True
    system, bar, value = token.strip().rpartition("|")
    bare = value.removeprefix("urn:oid:")
    for number in entry.reference_ids:
        if number.id.removeprefix("urn:oid:") != bare:
            continue
        if not bar or number.authority == OIDS.get(system, system.removeprefix("urn:oid:")):
            return True
        no_issuer = number.authority is None or number.type == codes.REFERENCE_STUDY
        if system in ("", "urn:ietf:rfc:3986", "urn:dicom:uid") and no_issuer:
            return True
    return False


OIDS = {"http://ids.example": "2.999.7"}


def expected(item, parameters):
    """Whether an object matches, by the oracle of its type and what is added here.

    The identifier of a document may also be that of what it is about.
    """
    rest, named = [], False
    for name, value in parameters:
        bare = name.partition(":")[0]
        if bare in _SHAPING or bare in _UNKNOWN_NAMES or value == ",":
            continue
        if bare in ("patient", "patient.identifier", "subject", "subject.identifier"):
            if item.patient_id != PATIENT:
                return False
        elif bare in ("date", "_lastUpdated"):
            if not time_matches(name, value, item):
                return False
        elif name == "related:missing":
            if (not item.reference_ids) is not (value == "true"):
                return False
        elif name == "identifier" and isinstance(item, DocumentEntry):
            if not any(is_called(item, one) for one in split_unescaped(value, ",") if one.strip()):
                return False
            # a search that names documents has no default of status
            named |= value != "ext"
        else:
            rest.append((name, value))
    if isinstance(item, DocumentEntry):
        if named and not any(name.partition(":")[0] == "status" for name, _ in rest):
            rest.append(("status", "current,superseded"))
        return of_documents.naive_matches(item, rest)
    return of_lists.naive_matches(item, rest)


def in_order(ids, rules):
    """Whether ids come as `_sort` says; a time that is absent comes last."""
    keys = []
    for name in ids:
        item, key = ITEMS[name], []
        for rule in rules:
            backwards = rule.startswith("-")
            if rule.removeprefix("-") == "_id":
                key.append((False, [-ord(c) for c in name] if backwards else [ord(c) for c in name]))
            else:
                held = submission_of(item)
                start = None if held is None else span(held)[0]
                key.append((start is None, 0 if start is None else -start if backwards else start))
        keys.append(key)
    return keys == sorted(keys)


# --- asking ---------------------------------------------------------------------------------------------


class Client:
    """Blocking requests to a gateway that runs in a thread of its own."""

    def __init__(self, base_url):
        self.base = urlsplit(base_url)
        self.connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=60)
        self.patient = ""

    def send(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        content = answer.read()
        kind = answer.headers.get("Content-Type", "")
        return answer.status, read_xml(content) if "xml" in kind else json.loads(content)

    def search(self, resource, request):
        named = [(n, self.patient if v == "p1" else v) for n, v in request.parameters]
        path = f"{self.base.path}/{resource}".rstrip("/")
        headers = {"Prefer": "handling=strict"} if request.strict else {}
        if request.way == "GET":
            return self.send("GET", f"{path}?{urlencode(named)}", headers=headers)
        split = 0 if request.way == "POST" else len(named) // 2
        query = f"?{urlencode(named[:split])}" if split else ""
        body = urlencode(named[split:])
        return self.send("POST", f"{path}/_search{query}", body, {**headers, "Content-Type": FORM})

    def follow(self, bundle):
        """The matches of all pages."""
        found = []
        while True:
            found += [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            if not following:
                return found
            parts = urlsplit(following[0])
            status, bundle = self.send("GET", f"{parts.path}?{parts.query}")
            assert status == 200, bundle


@contextmanager
def in_a_thread(folder):
    """A stack over the odd registry; its base URL."""
    ready, stop, urls = threading.Event(), [], []

    async def run():
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        terms = {
            "code_systems": {"http://codes.example/a": "2.999.5"},
            "assigning_authorities": {"http://ids.example": "2.999.7"},
        }
        async with running_stack(folder, terminology=terms, log={"level": "error"}) as stack:
            fill_registry(folder / "affinity" / "registry.sqlite", CONTENT)
            urls.append(stack.base_url)
            stop.append(lambda: loop.call_soon_threadsafe(ended.set))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield urls[0]
    finally:
        stop[0]()
        thread.join(30)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with in_a_thread(tmp_path_factory.mktemp("searches")) as base_url:
        made = Client(base_url)
        query = urlencode({"patient.identifier": "urn:oid:2.999.1|P1", "status": "current", "_count": 1})
        status, bundle = made.send("GET", f"{made.base.path}/DocumentReference?{query}")
        assert status == 200, bundle
        made.patient = bundle["entry"][0]["resource"]["subject"]["reference"]
        yield made


@pytest.fixture(autouse=True)
def same_time(monkeypatch):
    """`ap` is compared with the time at which the gateway answers."""
    monkeypatch.setattr(naive_search, "NOW", datetime.now(UTC))


def names_what_folders_lack(parameters):
    """A source where Folders alone are searched: left out with a warning, too."""
    kinds = [
        kind
        for kind in (Folder(entry_uuid="", unique_id=""), of_lists.EMPTY_SET)
        if all(of_lists.naive_parameter(kind, *p) for p in parameters if p[0].startswith("code"))
    ]
    of_source = any(name.startswith(("source.", "sourceId")) for name, _ in parameters)
    return of_source and bool(kinds) and all(isinstance(kind, Folder) for kind in kinds)


def check(client, resource, request, items):
    status, answer = client.search(resource, request)
    unknown = request.unknown or (resource == "List" and names_what_folders_lack(request.parameters))
    if request.wrong or (unknown and request.strict):
        assert status == 400, (request, answer)
        assert answer["resourceType"] == "OperationOutcome"
        assert all(issue["diagnostics"] for issue in answer["issue"])
        assert any(issue["severity"] == "error" for issue in answer["issue"])
        return
    assert status == 200, (request, answer)
    shape = dict(p for p in request.parameters if p[0] in _SHAPING and p[1] != "flavour")
    wanted = sorted(item.entry_uuid[9:] for item in items if expected(item, request.parameters))
    assert answer["total"] == len(wanted), request
    outcomes = [e["resource"] for e in answer.get("entry", ()) if e["search"]["mode"] == "outcome"]
    warnings = [i for o in outcomes for i in o["issue"] if i["code"] == "not-supported"]
    assert bool(warnings) is unknown, (request, warnings)
    if shape.get("_count") == "0" or shape.get("_summary") == "count":
        assert not client.follow(answer)
        return
    found = [resource["id"] for resource in client.follow(answer)]
    assert sorted(found) == wanted, request
    if "_sort" in shape:
        assert in_order(found, shape["_sort"].split(",")), request


def budget(share):
    return settings(
        max_examples=max(SEARCHES * share // 100, 1),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@budget(60)
@given(requests(DOCUMENT_PARAMETERS))
@pytest.mark.timeout(3600)
def test_searches_of_documents(client, request_):
    check(client, "DocumentReference", request_, CONTENT.documents)


@budget(30)
@given(requests(LIST_PARAMETERS))
@pytest.mark.timeout(3600)
def test_searches_of_lists(client, request_):
    check(client, "List", request_, CONTENT.lists)


@budget(10)
@given(requests(ALL_PARAMETERS))
@pytest.mark.timeout(3600)
def test_searches_of_both(client, request_):
    check(client, "", request_, tuple(ITEMS.values()))


def test_the_registry_has_what_is_odd():
    documents = CONTENT.documents
    assert any(d.creation_time is None for d in documents if not d.on_demand)
    assert any(d.on_demand for d in documents)
    assert any(len(d.event_codes) > 1 for d in documents)
    assert any(d.creation_time and len(d.creation_time) == 4 for d in documents)
    assert {"0001", "9999"} & {t for d in documents for t in (d.creation_time, d.service_start_time)}
    assert len({d.unique_id for d in documents}) < len(documents)
    assert any(isinstance(item, Folder) for item in CONTENT.lists)
    assert set(CONTENT.submitted) < {d.entry_uuid for d in documents}
