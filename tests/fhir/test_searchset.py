"""Searchset Bundles are valid FHIR whatever they hold."""

import json

import pytest
from fhir.resources.R4B.bundle import Bundle

from gateway.fhir.issues import Issue
from gateway.fhir.searchset import write_searchset

WARNING = Issue("warning", "incomplete", "something is missing", details_code="XDSRegistryError")


def written(**changes):
    values = {"entries": [], "total": 0, "links": {"self": "http://gw.example/fhir/DocumentReference?x=1"}}
    return json.loads(write_searchset(**(values | changes)))


def a_match(number):
    resource = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"url": f"http://gw.example/d/{number}"}}],
    }
    return (f"http://gw.example/fhir/DocumentReference/{number}", json.dumps(resource).encode())


def test_an_empty_result_has_a_total_and_no_entries():
    bundle = written()
    assert bundle["total"] == 0
    assert "entry" not in bundle
    Bundle.model_validate(bundle)


def test_matches_keep_their_order_and_their_bytes():
    matches = [a_match(n) for n in range(3)]
    raw = write_searchset(entries=matches, total=7, links={"self": "http://s", "next": 'http://n?a="b"'})
    assert all(resource in raw for _, resource in matches)
    bundle = json.loads(raw)
    Bundle.model_validate(bundle)
    assert [e["fullUrl"] for e in bundle["entry"]] == [url for url, _ in matches]
    assert {e["search"]["mode"] for e in bundle["entry"]} == {"match"}
    assert {link["relation"]: link["url"] for link in bundle["link"]} == {
        "self": "http://s",
        "next": 'http://n?a="b"',
    }
    assert bundle["total"] == 7


@pytest.mark.parametrize("matches", [[], [a_match(1)]])
def test_issues_are_one_outcome_entry_that_does_not_count(matches):
    bundle = written(entries=matches, total=len(matches), issues=(WARNING, WARNING))
    Bundle.model_validate(bundle)
    last = bundle["entry"][-1]
    assert last["search"]["mode"] == "outcome"
    assert last["fullUrl"].startswith("urn:uuid:")
    assert [i["code"] for i in last["resource"]["issue"]] == ["incomplete", "incomplete"]
    assert len(bundle["entry"]) == len(matches) + 1
    assert bundle["total"] == len(matches)
