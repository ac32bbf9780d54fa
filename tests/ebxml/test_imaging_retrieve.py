"""Retrieve Imaging Document Set requests (RAD-69, RAD-75)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.imaging_retrieve import read_imaging_request, write_imaging_request
from gateway.model import ImageRequest, ImageSetRequest
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

uids = st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,9})){1,4}", fullmatch=True)
few_uids = st.sampled_from(("2.999.1", "2.999.2", "2.999.3"))
requests = st.builds(
    ImageSetRequest,
    strategies.several(
        st.builds(ImageRequest, few_uids, few_uids, few_uids, uids, strategies.maybe(strategies.homes)),
        8,
        min_size=1,
    ),
    strategies.several(uids, 3, min_size=1),
)
XDSI = 'xmlns:i="urn:ihe:rad:xdsi-b:2009"'
SYNTAXES = "<i:TransferSyntaxUIDList><i:TransferSyntaxUID>1.2.840.10008.1.2.1</i:TransferSyntaxUID></i:TransferSyntaxUIDList>"


def document(repository="2.999.1", unique_id="2.999.4", prefix="xds", home=""):
    return (
        f"<{prefix}:DocumentRequest>{home}<{prefix}:RepositoryUniqueId>{repository}</{prefix}:RepositoryUniqueId>"
        f"<{prefix}:DocumentUniqueId>{unique_id}</{prefix}:DocumentUniqueId></{prefix}:DocumentRequest>"
    )


def request(*documents, study="2.999.2", series="2.999.3", syntaxes=SYNTAXES):
    return parse(
        f'<i:RetrieveImagingDocumentSetRequest {XDSI}><i:StudyRequest studyInstanceUID="{study}">'
        f'<i:SeriesRequest seriesInstanceUID="{series}">{"".join(documents)}</i:SeriesRequest></i:StudyRequest>'
        f"{syntaxes}</i:RetrieveImagingDocumentSetRequest>"
    )


@settings(max_examples=100, deadline=None)
@given(requests)
def test_a_request_survives_and_is_valid(assert_valid, wanted):
    element = write_imaging_request(wanted)
    assert_valid(element)
    assert read_imaging_request(over_the_wire(element)) == wanted


def test_images_share_study_and_series_and_keep_the_namespace_of_xds_for_their_ids():
    images = [
        ImageRequest("2.999.1", "2.999.2", series, uid)
        for series, uid in (("2.3", "2.4"), ("2.3", "2.5"), ("2.6", "2.7"))
    ]
    element = write_imaging_request(ImageSetRequest(tuple(images), ("1.2.840.10008.1.2",)))
    (study, syntaxes) = element
    assert [len(series) for series in study] == [2, 1]
    assert study.attrib == {"studyInstanceUID": "2.999.2"}
    assert [series.get("seriesInstanceUID") for series in study] == ["2.3", "2.6"]
    assert {item.tag for item in study.iter("{*}DocumentRequest")} == {
        "{urn:ihe:iti:xds-b:2007}DocumentRequest"
    }
    assert [uid.text for uid in syntaxes] == ["1.2.840.10008.1.2"]


@pytest.mark.parametrize("prefix", ["xds", "i"])
def test_a_document_request_is_read_in_the_namespace_that_a_widespread_schema_has(prefix):
    read = read_imaging_request(request(document(prefix=prefix)))
    assert read.images == (ImageRequest("2.999.1", "2.999.2", "2.999.3", "2.999.4"),)


def test_uids_are_read_without_the_prefix_that_some_peers_put_on_them_and_an_empty_community_is_none():
    home = "<xds:HomeCommunityId/>"
    listed = document("urn:oid:2.999.1", " urn:oid:2.999.4\n", home=home)
    read = read_imaging_request(request(listed, study="urn:oid:2.999.2"))
    assert read.images == (ImageRequest("2.999.1", "2.999.2", "2.999.3", "2.999.4"),)


@pytest.mark.parametrize(
    ("element", "named"),
    [
        (request(document(), study=""), "studyInstanceUID"),
        (request(document(), series=" "), "seriesInstanceUID"),
        (request(document(unique_id="")), "DocumentUniqueId"),
        (request(document(repository="")), "RepositoryUniqueId"),
        (request(), "DocumentRequest"),
        (request(document(), syntaxes=""), "TransferSyntaxUIDList"),
        (request(document(), syntaxes="<i:TransferSyntaxUIDList/>"), "TransferSyntaxUID"),
        (parse(f"<i:RetrieveImagingDocumentSetRequest {XDSI}>{SYNTAXES}</i:RetrieveImagingDocumentSetRequest>"), "StudyRequest"),
        (parse(f"<i:RetrieveImagingDocumentSetRequest {XDSI}><i:StudyRequest studyInstanceUID='2.9'/></i:RetrieveImagingDocumentSetRequest>"), "SeriesRequest"),
        (parse("<xds:RetrieveDocumentSetRequest/>"), "RetrieveImagingDocumentSetRequest"),
    ],
)  # fmt: skip
def test_what_a_request_lacks_is_named(element, named):
    with pytest.raises(MetadataError, match=named) as caught:
        read_imaging_request(element)
    assert caught.value.code == "XDSIRequestError"


@pytest.mark.parametrize(
    "wanted", [ImageSetRequest((), ("1.2",)), ImageSetRequest((ImageRequest("1", "2", "3", "4"),), ())]
)
def test_a_request_that_no_source_takes_is_not_written(wanted):
    with pytest.raises(MetadataError):
        write_imaging_request(wanted)
