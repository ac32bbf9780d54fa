"""Accept, If-None-Match and Range decide what of a document is sent."""

import pytest

from gateway.mhd.conditions import (
    ByteRange,
    UnsatisfiableRange,
    accepts,
    is_media_type,
    none_match,
    parse_range,
)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("text/plain", True),
        ("application/fhir+json; fhirVersion=4.0", True),
        ("Application/DICOM", True),
        ("", False),
        ("pdf", False),
        ("text/", False),
        ("text/plain\r\nX: y", False),
        ("text/plain; a=\nb", False),
        ("text/plain\r\n;a=b", False),
        ("text /plain", False),
    ],
)
def test_a_media_type_is_a_type_and_a_subtype(text, is_one):
    assert is_media_type(text) is is_one


def test_parameters_of_the_documents_media_type_need_not_be_accepted():
    assert accepts("text/plain", "text/plain; charset=utf-8")
    assert not accepts("text/html", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("accept", "allowed"),
    [
        ("application/fhir+json", True),
        ("application/fhir+json; fhirVersion=4.0", True),
        ("application/fhir+json; fhirVersion=4.0.1", True),
        ("application/fhir+json; fhirVersion=5.0", False),
        ('application/fhir+json; FHIRVersion="5.0"', False),
        ("application/fhir+json; fhirVersion=3.0", False),
        ("application/fhir+json; fhirVersion=5.0, */*;q=0.1", True),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+json; fhirVersion=4.0;q=0.1", True),
    ],
)
def test_a_document_of_one_release_of_fhir_is_not_of_another(accept, allowed):
    assert accepts(accept, "application/fhir+json; fhirVersion=4.0") is allowed
    assert accepts(accept, "application/fhir+json")


ETAG = '"da39a3"'


@pytest.mark.parametrize(
    ("accept", "allowed"),
    [
        (None, True),
        ("", True),
        ("*/*", True),
        ("application/*", True),
        ("application/pdf", True),
        ("APPLICATION/PDF;q=0.3", True),
        ("text/plain, application/pdf", True),
        ("text/plain, */*;q=0.1", True),
        ("text/plain", False),
        ("application/pdf;q=0", False),
        ("application/pdf;q=0, */*", False),
        ("*/*;q=0, application/pdf", True),
        ("application/fhir+json", False),
        ("application/pdf;q=nonsense", False),
    ],
)
def test_accept_allows_a_type(accept, allowed):
    assert accepts(accept, "application/pdf") is allowed


@pytest.mark.parametrize(
    ("header", "matches"),
    [
        (None, False),
        ("*", True),
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"other", {ETAG}', True),
        ('"o"', False),
    ],
)
def test_if_none_match_names_the_etag(header, matches):
    assert none_match(header, ETAG) is matches


def test_without_an_etag_nothing_matches():
    assert not none_match("*", None)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 0)),
        ("bytes=2-5", ByteRange(2, 5)),
        ("bytes=2-", ByteRange(2, 9)),
        ("bytes=-3", ByteRange(7, 9)),
        ("bytes=-99", ByteRange(0, 9)),
        ("bytes=5-99", ByteRange(5, 9)),
        ("Bytes = 5 - 6", ByteRange(5, 6)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("lines=0-1", None),
    ],
)
def test_one_satisfiable_range_is_taken_and_the_rest_means_all(header, expected):
    assert parse_range(header, None, 10, ETAG) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=11-12", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(header):
    with pytest.raises(UnsatisfiableRange):
        parse_range(header, None, 10, ETAG)


def test_if_range_must_name_the_current_document():
    assert parse_range("bytes=0-1", ETAG, 10, ETAG) == ByteRange(0, 1)
    assert parse_range("bytes=0-1", '"older"', 10, ETAG) is None


def test_without_a_size_the_whole_document_is_sent():
    assert parse_range("bytes=0-1", None, None, ETAG) is None
