"""How long an answer of patient discovery may be kept is read and written as xs:duration in the SOAP header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.hl7v3.time_to_live import read_time_to_live, write_time_to_live

DAY = 86_400


def header(text):
    return etree.fromstring(
        '<h><CorrelationTimeToLive xmlns="urn:ihe:iti:xcpd:2009">' + text + "</CorrelationTimeToLive></h>"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("P0Y0M7D", 7 * DAY),
        (" P7D ", 7 * DAY),
        ("PT36H", 36 * 3600),
        ("P1DT2H3M4.5S", DAY + 2 * 3600 + 3 * 60 + 4),
        ("P1Y", 365 * DAY),
        ("P", 0),
        ("-P7D", 0),
        ("7 days", 0),
        ("", 0),
        ("P99999999999999999999D", 0),
    ],
)
def test_durations_are_read_and_what_is_none_allows_nothing(text, seconds):
    assert read_time_to_live(header(text)) == seconds


def test_a_header_that_does_not_say_is_told_from_one_that_allows_nothing():
    assert read_time_to_live(None) is None
    assert read_time_to_live(etree.Element("h")) is None


@given(st.integers(0, 31_536_000))
def test_what_is_written_is_read(seconds):
    whole = etree.Element("h")
    whole.append(write_time_to_live(seconds))
    assert read_time_to_live(etree.fromstring(etree.tostring(whole))) == seconds
