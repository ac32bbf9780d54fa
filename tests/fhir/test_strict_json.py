"""JSON that FHIR does not allow is refused before anything else looks at it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir.issues import OutcomeError
from gateway.fhir.strict_json import MAX_DEPTH, read_json


def refusal(raw):
    with pytest.raises(OutcomeError) as caught:
        read_json(raw, "Bundle")
    assert caught.value.status == 400
    return caught.value.issues


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b'{"a":1',
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"{'a':1}",
        b'{"a":1}{"b":2}',
        b'\xef\xbb\xbf{"a":1}\x00',
        b'{"a":1,}',
    ],
)
def test_what_is_not_one_json_object_is_refused(raw):
    assert refusal(raw)[0].code == "structure"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":"x:\\"","b" : "y"}}',
        b'{"a":[{"b":1},{"b":1,"c":2,"b":3}]}',
        b'{"a":1,"\\u0061":2}',
        b'{"a\\\\":1,"a\\\\":2}',
    ],
)
def test_a_property_that_comes_twice_is_refused(raw):
    assert "twice" in refusal(raw)[0].diagnostics


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a":null}', "Bundle.a"),
        (b'{"a":""}', "Bundle.a"),
        (b'{"a":[1,""]}', "Bundle.a[1]"),
        (b'{"a":"x\\u0000"}', "Bundle.a"),
        (b'{"a":["x","\\u001b"]}', "Bundle.a[1]"),
        (b'{"a":{"b":"\\ufffe"}}', "Bundle.a.b"),
        (b'{"a":{}}', "Bundle.a"),
        (b'{"a":[]}', "Bundle.a"),
        (b'{"a":[{"b":1},{}]}', "Bundle.a[1]"),
        (b"{}", "Bundle"),
    ],
)
def test_nothing_may_be_empty(raw, place):
    assert [issue.expression for issue in refusal(raw)] == [place]


def test_nesting_is_bounded():
    def nested(levels):
        return b'{"a":' + b"[" * (levels - 1) + b"1" + b"]" * (levels - 1) + b"}"

    assert read_json(nested(MAX_DEPTH), "Bundle")
    assert refusal(nested(MAX_DEPTH + 1))[0].code == "too-long"
    assert refusal(nested(100_000))[0].code == "structure"


_texts = st.text(st.sampled_from('"\\:{}[], aé\n'), max_size=8)
_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-9, 9), _texts.filter(bool)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3), st.dictionaries(_texts, inner, min_size=1, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(_texts, _values, min_size=1, max_size=4), st.sampled_from((None, 2)), st.booleans())
@settings(max_examples=150, deadline=None)
def test_every_other_object_is_read_as_it_is(value, indent, ascii_only):
    assert read_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(), "Bundle") == value


def test_properties_are_bounded_before_they_take_memory(monkeypatch):
    monkeypatch.setattr("gateway.fhir.strict_json.MOST_MARKS", 100)
    for raw in (
        b'{"a":[' + b"1," * 200 + b"1]}",
        b'{"a":1' + b"".join(b',"b%d":1' % n for n in range(60)) + b"}",
    ):
        with pytest.raises(OutcomeError) as caught:
            read_json(raw, "Bundle")
        assert (caught.value.status, caught.value.issues[0].code) == (413, "too-costly")
    few = b'{"a":"' + b"x" * 1000 + b'"}'
    assert read_json(few, "Bundle") == {"a": "x" * 1000}
