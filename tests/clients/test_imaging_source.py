"""The imaging source client against what imaging sources answer, over real sockets (RAD-69, RAD-75)."""

import asyncio
import base64
from contextlib import asynccontextmanager

import pytest
from lxml import etree

from gateway.clients.imaging_source import ImagingDocumentSource
from gateway.clients.quirks import ImagingSourceQuirks
from gateway.model import RegistryFailure
from gateway.model.errors import PeerDisconnected, PeerError, PeerFault, PeerProtocolError, PeerUnreachable
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.imaging import RetrieveLocation
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.clients.test_repository import error, response, retrieved
from tests.soap.wire import (
    RELATED,
    answering,
    document_part,
    envelope,
    http,
    include,
    raw_peer,
    related,
    root_part,
)

LOCATION = RetrieveLocation(uid="2.999.1")
SOAP = "application/soap+xml; charset=UTF-8"
CONTENTS = {"2.999.4.1": b"\r\nfirst\0\r\n", "2.999.4.2": b"second", "2.999.4.3": b""}
UIDS = tuple(CONTENTS)
FAULT = envelope(
    '<env:Fault><env:Code><env:Value>env:Receiver</env:Value></env:Code><env:Reason><env:Text xml:lang="en">x'
    "</env:Text></env:Reason></env:Fault>"
)


def series(*uids, series_uid="2.999.3", location=LOCATION, home=None):
    return SeriesWanted("2.999.2", series_uid, uids or UIDS, location, home)


def image(uid: str, content: str, mime_type="application/dicom") -> str:
    return (
        "<DocumentResponse><RepositoryUniqueId>2.999.1</RepositoryUniqueId>"
        f"<DocumentUniqueId>{uid}</DocumentUniqueId><mimeType>{mime_type}</mimeType>"
        f"<Document>{content}</Document></DocumentResponse>"
    )


def attached(*uids: str) -> list[str]:
    return [image(uid, include(f"cid:{uid}@peer")) for uid in uids]


def parts(*uids: str) -> list[bytes]:
    return [document_part(CONTENTS[uid], f"{uid}@peer") for uid in uids]


def complete(*uids: str, status="Success", errors=()) -> bytes:
    xml = retrieved(status, *attached(*uids), errors=errors)
    return http(related(root_part(xml), *parts(*uids)), RELATED)


@asynccontextmanager
async def source(respond, **options):
    respond = respond if callable(respond) else answering(respond)
    async with raw_peer(respond) as peer, SoapClient(load_contract()) as soap:
        one = Peer(name="pacs", url=peer.url, max_attempts=1)
        yield ImagingDocumentSource(soap, one, **options), peer


async def collect(client, *wanted, syntaxes=("1.2.840.10008.1.2.1",)):
    """Contents by SOP Instance UID in the order of arrival, and errors as (UID, code)."""
    contents, errors = {}, []
    async with client.retrieve(wanted or [series()], syntaxes) as items:
        async for item in items:
            if isinstance(item, ImageError):
                assert item.peer == "pacs"
                errors.append((item.sop_instance_uid, item.code))
            else:
                assert item.sop_instance_uid not in contents
                contents[item.sop_instance_uid] = b"".join([chunk async for chunk in item.chunks])
    return contents, errors


async def fetch(answer, *wanted):
    async with source(answer) as (client, _):
        return await collect(client, *wanted)


def sent(request):
    body = request.body
    return etree.fromstring(body[body.index(b"<", body.index(b"\r\n\r\n")) : body.rindex(b">") + 1])


async def test_the_request_is_that_of_rad_69():
    two = [
        series("2.999.4.1", "2.999.4.2"),
        series("2.999.4.3", series_uid="2.999.3.2", home="urn:oid:2.999.9"),
    ]
    async with source(complete(*UIDS)) as (client, peer):
        await collect(client, *two, syntaxes=("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"))
        root = sent(peer.requests[0])
    body = root.find("{*}Body")[0]
    load_contract().validate(body)
    assert root.findtext(".//{*}Action") == "urn:ihe:rad:2009:RetrieveImagingDocumentSet"
    assert peer.requests[0].header("Content-Type").startswith("multipart/related")
    assert [
        (
            s.getparent().get("studyInstanceUID"),
            s.get("seriesInstanceUID"),
            [d.findtext("{*}DocumentUniqueId") for d in s],
        )
        for s in body.iter("{*}SeriesRequest")
    ] == [
        ("2.999.2", "2.999.3", ["2.999.4.1", "2.999.4.2"]),
        ("2.999.2", "2.999.3.2", ["2.999.4.3"]),
    ]
    assert {d.findtext("{*}RepositoryUniqueId") for d in body.iter("{*}DocumentRequest")} == {"2.999.1"}
    assert [d.findtext("{*}HomeCommunityId") for d in body.iter("{*}DocumentRequest")] == [
        None,
        None,
        "urn:oid:2.999.9",
    ]
    assert [s.text for s in body.iter("{*}TransferSyntaxUID")] == [
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.4.70",
    ]


async def test_another_community_is_asked_by_rad_75():
    async with source(complete(*UIDS), transaction="RAD-75") as (client, peer):
        await collect(client, series(home="urn:oid:2.999.9"))
        root = sent(peer.requests[0])
    assert root.findtext(".//{*}Action") == "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet"
    assert {d.findtext("{*}HomeCommunityId") for d in root.iter("{*}DocumentRequest")} == {"urn:oid:2.999.9"}


async def test_without_a_wish_every_transfer_syntax_but_those_of_jpip_is_listed():
    async with source(complete(*UIDS)) as (client, peer):
        await collect(client, syntaxes=())
        listed = [s.text for s in sent(peer.requests[0]).iter("{*}TransferSyntaxUID")]
    assert len(set(listed)) == len(listed)
    assert {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"} <= set(listed)
    assert not {"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95"} & set(listed)


async def test_images_come_byte_for_byte_in_the_order_of_the_parts():
    xml = retrieved("Success", *attached(*UIDS))
    answer = http(related(root_part(xml), *parts(*reversed(UIDS))), RELATED)
    contents, errors = await fetch(answer)
    assert list(contents) == list(reversed(UIDS))
    assert (contents, errors) == (CONTENTS, [])


async def test_an_image_is_passed_on_before_the_next_has_been_sent():
    body = related(root_part(retrieved("Success", *attached(*UIDS[:2]))), *parts(*UIDS[:2]))
    cut = body.index(b"first") + 3
    taken = asyncio.Event()

    async def respond(request, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:cut])
        await taken.wait()
        writer.write(body[cut:])

    async with source(respond) as (client, _), client.retrieve([series(*UIDS[:2])], ()) as items:
        first = await anext(items)
        assert await anext(first.chunks)
        taken.set()
        assert [item.sop_instance_uid async for item in items] == ["2.999.4.2"]


async def test_parts_before_the_envelope_are_kept_until_it_has_been_read():
    answer = http(related(*parts(*UIDS), root_part(retrieved("Success", *attached(*UIDS)))), RELATED)
    assert await fetch(answer) == (CONTENTS, [])


@pytest.mark.parametrize("multipart", [True, False])
async def test_inline_images_and_attached_ones_may_be_mixed(multipart):
    inline = [image(uid, f"\n{base64.b64encode(CONTENTS[uid]).decode()} ") for uid in UIDS]
    if multipart:
        xml = retrieved("Success", inline[0], *attached(UIDS[1]), inline[2])
        answer = http(related(root_part(xml), *parts(UIDS[1])), RELATED)
    else:
        answer = http(retrieved("Success", *inline).encode(), SOAP)
    assert await fetch(answer) == (CONTENTS, [])


async def test_uids_are_known_with_prefix_brackets_and_blanks():
    ways = ["urn:oid:2.999.4.1", " 2.999.4.2\n", "&lt;2.999.4.3&gt;"]
    listed = [image(way, include(f"cid:{uid}@peer")) for way, uid in zip(ways, UIDS, strict=True)]
    answer = http(related(root_part(retrieved("Success", *listed)), *parts(*UIDS)), RELATED)
    assert await fetch(answer) == (CONTENTS, [])


async def test_images_that_nobody_asked_for_and_second_copies_are_dropped():
    xml = retrieved(
        "Success",
        *attached(*UIDS),
        image("2.999.4.9", include("cid:z@peer")),
        image("2.999.4.1", include("cid:y@peer")),
    )
    more = [document_part(b"strange", "z@peer"), document_part(b"again", "y@peer")]
    answer = http(related(root_part(xml), more[0], *parts(*UIDS), more[1]), RELATED)
    assert await fetch(answer) == (CONTENTS, [])


async def test_the_media_type_is_that_of_the_metadata():
    xml = retrieved(
        "Success", image("2.999.4.1", include("cid:2.999.4.1@peer")), image("2.999.4.2", "eA==", "")
    )
    answer = http(related(root_part(xml), *parts("2.999.4.1")), RELATED)
    async with source(answer) as (client, _), client.retrieve([series(*UIDS[:2])], ()) as items:
        found = {item.sop_instance_uid: item.media_type async for item in items}
    assert found == dict.fromkeys(UIDS[:2], "application/dicom")


# --- what does not come ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Success", "PartialSuccess"])
async def test_an_image_that_neither_comes_nor_is_reported_is_an_error(status):
    assert await fetch(complete(*UIDS[:2], status=status)) == (
        {uid: CONTENTS[uid] for uid in UIDS[:2]},
        [("2.999.4.3", "missing")],
    )


async def test_success_with_nothing_is_an_error_for_each_image():
    contents, errors = await fetch(http(retrieved("Success").encode(), SOAP))
    assert (contents, errors) == ({}, [(uid, "missing") for uid in UIDS])


async def test_errors_come_before_the_images_of_the_same_answer():
    answer = complete(
        *UIDS[:2], status="PartialSuccess", errors=[error("XDSDocumentUniqueIdError", "2.999.4.3")]
    )
    async with source(answer) as (client, _), client.retrieve([series()], ()) as items:
        kinds = [type(item) async for item in items]
    assert kinds == [ImageError, ImagePart, ImagePart]


@pytest.mark.parametrize(
    "told",
    [
        error("XDSDocumentUniqueIdError", "2.999.4.3"),
        error("XDSDocumentUniqueIdError", "urn:oid:2.999.4.3"),
        error("XDSDocumentUniqueIdError", "").replace('"why"', '"no object 2.999.4.3, sorry"'),
        error("XDSDocumentUniqueIdError", "").replace('"why"', '"one is lacking"'),
    ],
    ids=["by its location", "with a prefix", "by a UID in its text", "not at all"],
)
async def test_an_error_finds_its_image(told):
    _, errors = await fetch(complete(*UIDS[:2], status="PartialSuccess", errors=[told]))
    assert errors == [("2.999.4.3", "XDSDocumentUniqueIdError")]


async def test_a_uid_that_is_part_of_another_names_no_image():
    told = error("XDSRepositoryError", "").replace('"why"', '"no 2.999.4.31, no 12.999.4.3"')
    mine = error("XDSDocumentUniqueIdError", "2.999.4.3")
    _, errors = await fetch(complete(*UIDS[:2], status="PartialSuccess", errors=[told, mine]))
    assert errors == [("2.999.4.3", "XDSDocumentUniqueIdError")]


async def test_an_error_beside_all_images_is_told_without_an_image():
    answer = complete(*UIDS, status="PartialSuccess", errors=[error("XDSRepositoryError", "2.999.8")])
    assert await fetch(answer) == (CONTENTS, [(None, "XDSRepositoryError")])


async def test_a_warning_is_no_error():
    assert await fetch(complete(*UIDS, errors=[error("XDSX", "2.999.4.1", "Warning")])) == (CONTENTS, [])


async def test_an_unavailable_transfer_syntax_is_known_by_the_code_in_the_text():
    told = error("XDSRepositoryError", "2.999.4.3").replace(
        '"why"', '"urn:dicom:wado:0007 not in that syntax"'
    )
    _, errors = await fetch(complete(*UIDS[:2], status="PartialSuccess", errors=[told]))
    assert errors == [("2.999.4.3", "urn:dicom:wado:0007")]


@pytest.mark.parametrize("bare", [True, False])
async def test_a_failure_is_raised_with_the_peers_errors(bare):
    errors = [error("XDSUnknownRepositoryId", uid) for uid in UIDS]
    xml = envelope(response("Failure", *errors)) if bare else retrieved("Failure", errors=errors)
    with pytest.raises(RegistryFailure) as caught:
        await fetch(http(xml.encode(), SOAP))
    assert caught.value.transaction == "RAD-69"
    assert [(e.code, e.location) for e in caught.value.errors] == [
        ("XDSUnknownRepositoryId", uid) for uid in UIDS
    ]


async def test_a_series_without_a_location_uid_is_an_error_and_does_not_keep_back_the_rest():
    lost = series("2.999.4.9", series_uid="2.999.3.9", location=RetrieveLocation(url="http://pacs.example"))
    assert await fetch(complete(*UIDS), lost, series()) == (
        CONTENTS,
        [("2.999.4.9", "XDSUnknownRepositoryId")],
    )


async def test_nothing_wanted_asks_nothing():
    async with source(complete(*UIDS)) as (client, peer):
        async with client.retrieve([], ()) as items:
            assert [item async for item in items] == []
        assert peer.requests == []


# --- more than one request ------------------------------------------------------------------------------


def by(images_per_request, pieces_at_once=1):
    return ImagingSourceQuirks(images_per_request=images_per_request, pieces_at_once=pieces_at_once)


def by_request(*answers: bytes):
    """Answers in turn; an empty one closes the connection."""
    left = list(answers)

    async def respond(request, writer):
        answer = left.pop(0)
        if answer:
            writer.write(answer)
        else:
            writer.close()

    return respond


async def test_images_are_asked_for_in_as_many_requests_as_the_peer_needs():
    async with source(by_request(complete(*UIDS[:2]), complete(UIDS[2])), quirks=by(2)) as (
        client,
        peer,
    ):
        assert await collect(client) == (CONTENTS, [])
        asked = [[d.text for d in sent(r).iter("{*}DocumentUniqueId")] for r in peer.requests]
    assert asked == [list(UIDS[:2]), [UIDS[2]]]


async def test_the_next_request_is_under_way_before_an_answer_has_been_read():
    begun = asyncio.Event()

    async def respond(request, writer):
        (uid,) = [d.text for d in sent(request).iter("{*}DocumentUniqueId")]
        answer = complete(uid)
        if uid == UIDS[0]:
            cut = answer.index(b"first") + 2
            writer.write(answer[:cut])
            await begun.wait()
            answer = answer[cut:]
        else:
            begun.set()
        writer.write(answer)

    async with source(respond, quirks=by(1, pieces_at_once=2)) as (client, _):
        contents, errors = await collect(client)
    assert (list(contents), errors) == (list(UIDS), [])


async def test_an_image_that_is_wanted_twice_is_asked_for_once():
    async with source(complete(*UIDS)) as (client, peer):
        assert await collect(client, series(), series()) == (CONTENTS, [])
        assert peer.requests[0].body.count(b">2.999.4.1<") == 1


REFUSED = http(retrieved("Failure", errors=[error("XDSDocumentUniqueIdError", UIDS[0])]).encode(), SOAP)
BROKEN = http(b"<html/>", "text/html")


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (REFUSED, "XDSDocumentUniqueIdError"),
        (http(FAULT.encode(), SOAP, "500 Internal Server Error"), "XDSRepositoryError"),
        (BROKEN, "XDSRepositoryError"),
    ],
    ids=["refused", "fault", "no SOAP"],
)
@pytest.mark.parametrize("first", [True, False])
async def test_one_request_that_fails_does_not_take_the_others_along(bad, code, first):
    order = UIDS[:2] if first else UIDS[1::-1]
    answers = [bad if uid == UIDS[0] else complete(uid) for uid in order]
    async with source(by_request(*answers), quirks=by(1)) as (client, _):
        contents, errors = await collect(client, series(*order))
    assert contents == {UIDS[1]: CONTENTS[UIDS[1]]}
    assert errors == [(UIDS[0], code)]


async def test_when_each_request_is_refused_all_errors_are_raised():
    async with source(by_request(REFUSED, REFUSED, REFUSED), quirks=by(1)) as (client, _):
        with pytest.raises(RegistryFailure) as caught:
            await collect(client)
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(http(FAULT.encode(), SOAP, "500 Internal Server Error"), PeerFault), (BROKEN, PeerProtocolError)],
)
async def test_a_peer_that_gives_nothing_is_an_error_on_entering(answer, kind):
    with pytest.raises(kind):
        await fetch(answer)


async def test_a_peer_that_is_gone_is_not_asked_again():
    async with source(by_request(complete(UIDS[0]), b"", complete(UIDS[2])), quirks=by(1)) as (
        client,
        peer,
    ):
        contents, errors = await collect(client)
        assert len(peer.requests) == 2
    assert list(contents) == [UIDS[0]]
    assert errors == [(uid, "XDSRepositoryError") for uid in UIDS[1:]]


async def test_a_peer_that_cannot_be_reached_is_an_error_on_entering():
    async with source(b"") as (client, peer):
        pass
    async with SoapClient(load_contract()) as soap:
        client = ImagingDocumentSource(soap, Peer(name="pacs", url=peer.url, max_attempts=1))
        with pytest.raises(PeerUnreachable):
            await collect(client)


# --- answers that break -----------------------------------------------------------------------------------


def cut_off(at: bytes):
    body = related(root_part(retrieved("Success", *attached(*UIDS[:2]))), *parts(*UIDS[:2]))

    async def respond(request, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[: body.index(at) + 3])
        await writer.drain()
        writer.close()

    return respond


async def test_an_image_that_breaks_off_is_an_error_of_its_chunks_and_the_rest_are_errors():
    async with source(cut_off(b"second")) as (client, _), client.retrieve([series(*UIDS[:2])], ()) as items:
        first = await anext(items)
        assert b"".join([chunk async for chunk in first.chunks]) == CONTENTS[UIDS[0]]
        second = await anext(items)
        with pytest.raises(PeerError):
            [chunk async for chunk in second.chunks]
        assert [item async for item in items] == []
    async with source(cut_off(b"first")) as (client, _), client.retrieve([series(*UIDS[:2])], ()) as items:
        first = await anext(items)
        with pytest.raises(PeerDisconnected):
            [chunk async for chunk in first.chunks]
        rest = [item async for item in items]
    assert [(item.sop_instance_uid, item.code) for item in rest] == [(UIDS[1], "XDSRepositoryError")]


async def test_an_attachment_that_is_missing_is_an_error_of_its_image():
    answer = http(related(root_part(retrieved("Success", *attached(*UIDS))), *parts(*UIDS[:2])), RELATED)
    contents, errors = await fetch(answer)
    assert list(contents) == list(UIDS[:2])
    assert errors == [("2.999.4.3", "XDSRepositoryError")]


@pytest.mark.parametrize("href", ["http://example.org/a", "file:///etc/passwd", ""])
async def test_an_href_that_leads_elsewhere_is_refused(href):
    with pytest.raises(PeerProtocolError):
        await fetch(http(related(root_part(retrieved("Success", image(UIDS[0], include(href))))), RELATED))


async def test_leaving_early_ends_the_answer():
    gone = asyncio.Event()
    body = related(root_part(retrieved("Success", *attached(*UIDS[:2]))), *parts(*UIDS[:2]))

    async def respond(request, writer):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {RELATED}\r\nContent-Length: {1 << 40}\r\n\r\n"
        writer.write(head.encode() + body[: body.index(b"first") + 5])
        try:
            while True:
                writer.write(bytes(1 << 16))
                await writer.drain()
        except ConnectionError:
            gone.set()

    async with source(respond) as (client, _):
        async with client.retrieve([series()], ()) as items:
            await anext(items)
            await anext((await anext(items)).chunks)
        async with asyncio.timeout(20):
            await gone.wait()
