"""Ids by which a request is found: taken over where they have no meaning, else made."""

import re
import uuid

import pytest

from gateway.telemetry.tracing import Asked, add_ids, asked_by, headers_for_peers, read_ids

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "given",
    [
        "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f",
        "591599cebc62488f90a243e68c09f2c8",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_a_uuid_or_ulid_is_taken_as_request_id(given):
    assert read_ids({"X-Request-Id": given}).request_id == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "1234567890",
        "123-45-6789",
        "Muster-Eva",
        "PAT^^^&2.999&ISO",
        "a" * 33,
        "x\ny",
        "01ILOU" + "0" * 20,
    ],
)
def test_an_id_that_may_mean_somebody_is_replaced(given):
    made = read_ids({"X-Request-Id": given}).request_id
    assert uuid.UUID(made).version == 4


def test_the_trace_goes_on():
    assert read_ids({"traceparent": PARENT}).trace_id == TRACE
    assert read_ids({"traceparent": PARENT}).flags == "01"


@pytest.mark.parametrize(
    "given",
    [
        "",
        PARENT.upper(),
        PARENT.replace(TRACE, "0" * 32),
        PARENT.replace("00f067aa0ba902b7", "0" * 16),
        PARENT.replace("00-", "ff-", 1),
        PARENT[:-1],
    ],
)
def test_a_traceparent_that_is_none_begins_a_trace(given):
    made = read_ids({"traceparent": given})
    assert re.fullmatch("[0-9a-f]{32}", made.trace_id)
    assert made.trace_id != TRACE


def test_peers_are_sent_the_trace_with_a_span_of_their_own():
    assert headers_for_peers() == {}
    with asked_by(Asked("r", TRACE, "01")):
        first, second = headers_for_peers(), headers_for_peers()
    assert first["X-Request-Id"] == "r"
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", first["traceparent"])
    assert first["traceparent"] != second["traceparent"] != PARENT
    assert headers_for_peers() == {}


def test_log_lines_of_a_request_have_its_ids_and_later_ones_have_not():
    with asked_by(Asked("r", TRACE)):
        assert add_ids(None, "info", {"event": "e"}) == {"event": "e", "request_id": "r", "trace_id": TRACE}
    assert add_ids(None, "info", {"event": "e"}) == {"event": "e"}
