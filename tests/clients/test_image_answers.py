"""Whatever a source answers, each image that was asked for ends as one item, and never as none or two."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.clients.image_answers import Batch
from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument, XopHref
from gateway.model import DocumentHeader, ImageRequest, RegistryError, ResponseStatus, Severity
from gateway.model.errors import PeerTimeout

UIDS = ("2.999.1", "2.999.1.1", "2.999.11", "2.999.2")
requested = st.lists(st.sampled_from(UIDS), min_size=1, unique=True)
spelled = st.builds(
    lambda uid, around: around.format(uid),
    st.sampled_from((*UIDS, "2.999.9", "", "urn:uuid:1")),
    st.sampled_from(("{}", "urn:oid:{}", "<{}>", " {}\n", "{}\0")),
)
cids = st.sampled_from(("a", "b", "c", "d"))
documents = st.builds(
    RetrievedDocument,
    st.builds(DocumentHeader, st.just("2.999.3"), spelled, st.sampled_from(("", "application/dicom"))),
    st.one_of(st.binary(max_size=3), cids.map(lambda cid: XopHref(f"cid:{cid}"))),
)
errors = st.builds(
    RegistryError,
    st.sampled_from(("XDSDocumentUniqueIdError", "XDSRepositoryError")),
    st.lists(st.sampled_from((*UIDS, "lost", "urn:dicom:wado:0007")), max_size=3).map(" ".join),
    st.sampled_from(Severity),
    st.one_of(st.none(), spelled),
)
answers = st.builds(
    RetrieveAnswer,
    st.sampled_from(ResponseStatus),
    st.lists(errors, max_size=4).map(tuple),
    st.lists(documents, max_size=6).map(tuple),
)


@settings(max_examples=400, deadline=None)
@given(requested, answers, st.lists(cids, max_size=6))
def test_each_image_is_one_item(uids, answer, arriving):
    batch = Batch("pacs", tuple(ImageRequest("2.999.3", "2.4", "2.5", uid) for uid in uids))
    batch.take(answer)
    told = list(batch.errors(answer.errors))
    items = [e.sop_instance_uid for e in told if e.sop_instance_uid is not None]
    items += [uid for uid, _, _ in batch.inline()]
    items += [known[0] for cid in arriving if (known := batch.attached(cid)) is not None]
    items += [e.sop_instance_uid for e in batch.failed(PeerTimeout("pacs", "RAD-69", "late"))]
    assert sorted(items) == sorted(uids)
    assert all(e.peer == "pacs" for e in told)


@settings(max_examples=200, deadline=None)
@given(requested, answers)
def test_what_is_said_beside_all_images_is_not_lost(uids, answer):
    batch = Batch("pacs", tuple(ImageRequest("2.999.3", "2.4", "2.5", uid) for uid in uids))
    batch.take(answer)
    told = list(batch.errors(answer.errors))
    complete = batch.expected == len(uids)
    assert all(e.sop_instance_uid is None for e in told) is complete or not told
    if complete:
        assert len(told) == sum(e.severity is Severity.ERROR for e in answer.errors)
