"""The picture of where something is held: its boxes and lines follow from the trace alone."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.console.picture import GAP, HEIGHT, WIDTH, picture_of
from gateway.trace.findings import HeldDocument, HeldSeries, Trace, Unconfirmed, Way

OK = Way(transaction="RAD-69", peer="imaging source 2.999.5", location="2.999.5")
LOST = Way(
    transaction="", peer="no way to the images", problem="location 2.999.6 is unknown", location="2.999.6"
)


def document(number=1, home=None, *, series=(), status="current", problem=None):
    return HeldDocument(
        community="the own community" if home is None else home,
        home_community_id=home,
        entry_uuid=f"urn:uuid:{number}",
        fhir_id=str(number),
        document_unique_id=f"1.2.{number}",
        repository_unique_id="2.999.10",
        mime_type="application/dicom",
        status=status,
        registered=Way(transaction="ITI-18", peer="registry", tried=True),
        way=Way(transaction="ITI-43", peer="repository 2.999.10"),
        study_instance_uid="1.2.3" if series else None,
        series=series,
        problem=problem,
    )


def series(number, *ways):
    return HeldSeries(
        series_instance_uid=f"1.2.3.{number}",
        instances=number,
        retrieve_location_uids=(),
        ways=ways,
        modality="CT",
    )


def states(picture, kind):
    return [box.state for box in picture.boxes if box.kind == kind]


def test_nothing_gives_no_picture():
    assert picture_of(Trace(id="1.2.3")) is None


def test_it_leads_from_the_community_to_the_series():
    picture = picture_of(Trace(id="1", documents=(document(series=(series(3, OK),)),)))
    assert [box.kind for box in picture.boxes] == ["community", "document", "repository", "series", "source"]
    assert {line.label for line in picture.lines} == {"ITI-18", "ITI-43", "RAD-69", ""}
    assert "1 document in the own community" in picture.summary
    assert "1 series" in picture.summary
    [community] = picture.tree
    [manifest] = community.branches
    assert (manifest.leg, [each.leg for each in manifest.branches]) == ("ITI-18", ["ITI-43", ""])
    assert [each.leg for each in manifest.branches[1].branches] == ["RAD-69"]


def test_a_series_is_as_good_as_its_ways():
    trace = Trace(
        id="1",
        documents=(document(series=(series(1, OK), series(2, OK, LOST), series(3, LOST))),),
    )
    picture = picture_of(trace)
    assert states(picture, "series") == ["ok", "warn", "bad"]
    assert "no way leads to 1 of them" in picture.summary
    assert any("2.999.6" in box.detail for box in picture.boxes if box.label == "No way")


def test_superseded_and_remembered_documents_look_different():
    known = Unconfirmed(
        community="other",
        home_community_id="urn:oid:2.999.2",
        entry_uuid="urn:uuid:9",
        document_unique_id="1.9",
        repository_unique_id="2.999.11",
        reason="its registry cannot be asked now",
    )
    picture = picture_of(Trace(id="1", documents=(document(status="superseded"),), unconfirmed=(known,)))
    assert states(picture, "document") == ["warn", "bad"]
    assert "remembered" in picture.summary


def test_of_very_many_series_the_picture_shows_some():
    many = tuple(series(number, OK) for number in range(1, 200))
    picture = picture_of(Trace(id="1", documents=(document(series=many),)))
    assert len(picture.boxes) < 40
    assert any("175 more" in box.label for box in picture.boxes)


WAYS = st.lists(st.sampled_from([OK, LOST]), min_size=1, max_size=3).map(tuple)


@given(
    st.lists(
        st.tuples(st.sampled_from([None, "urn:oid:2.999.2", "urn:oid:2.999.3"]), st.lists(WAYS, max_size=5)),
        min_size=1,
        max_size=4,
    )
)
def test_no_box_lies_on_another_and_all_are_inside(held):
    documents = tuple(
        document(number, home, series=tuple(series(10 * number + n, *w) for n, w in enumerate(ways)))
        for number, (home, ways) in enumerate(held)
    )
    picture = picture_of(Trace(id="1", documents=documents))
    places = [(box.x, box.y) for box in picture.boxes]
    assert all(x >= 0 and x + WIDTH <= picture.width for x, _ in places)
    assert all(y >= 0 and y + HEIGHT <= picture.height for _, y in places)
    by_column = {}
    for x, y in places:
        by_column.setdefault(x, []).append(y)
    for rows in by_column.values():
        rows.sort()
        assert all(b - a >= HEIGHT + GAP for a, b in pairwise(rows))
