"""Delivery (ITI-20): repositories get each record once and in order, also where they were away."""

import asyncio
import sqlite3
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trustme
from lxml import etree
from structlog.testing import capture_logs

from gateway.audit import delivery as delivering
from gateway.audit.delivery import Delivery
from gateway.audit.dicom_message import write_audit_message
from gateway.audit.fhir_event import write_audit_event
from gateway.audit.fhir_feed import FhirRepository
from gateway.audit.queue import AuditQueue
from gateway.audit.syslog import SyslogRepository, write_frame
from gateway.tls import ClientTls, Identity
from gateway.watched_files import refresh_all
from tests.audit.repositories import FhirArchive, SyslogArchive
from tests.audit.samples import SOURCE_ID, http_record
from tests.audit.test_queue import opened, some


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(delivering, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivering, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(delivering, "_GATHER", 0.01)


def event_of(record):
    return write_audit_event(record, source_id=SOURCE_ID)


def frame_of(record):
    message = write_audit_message(record, source_id=SOURCE_ID)
    return write_frame(record, message, host="gw", application="gateway", process="1")


@asynccontextmanager
async def fhir_archive():
    archive = await FhirArchive().start()
    try:
        yield archive
    finally:
        await archive.stop()


@asynccontextmanager
async def syslog_archive(tls=None):
    archive = await SyslogArchive(tls).start()
    try:
        yield archive
    finally:
        await archive.stop()


@asynccontextmanager
async def delivering_to(tmp_path, repository):
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(opened(tmp_path, "r", sync_seconds=0.05))
        yield queue, await stack.enter_async_context(Delivery(queue, "r", repository))


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("send_as", ["create", "update"])
async def test_every_event_arrives_once_and_in_order(tmp_path, batch, send_as):
    async with fhir_archive() as archive:
        repository = FhirRepository(archive.url, event_of, batch=batch, send_as=send_as)
        if send_as == "update" and batch > 1:
            pytest.skip("the archive of this test takes updates one by one")
        records = some(20)
        async with delivering_to(tmp_path, repository) as (queue, delivery):
            queue.add(records)
            assert await delivery.drained(30)
            assert delivery.sent == 20
        assert archive.received == [record.id for record in records]
        assert archive.events[records[3].id] == event_of(records[3])


async def test_a_repository_that_is_away_gets_everything_when_it_is_back(tmp_path):
    async with fhir_archive() as archive:
        await archive.stop()
        records = some(30)
        async with delivering_to(tmp_path, FhirRepository(archive.url, event_of, batch=8)) as (
            queue,
            delivery,
        ):
            queue.add(records)
            queue.flush()
            async with asyncio.timeout(30):
                while delivery.failures < 3:
                    await asyncio.sleep(0.01)
            assert delivery.away
            assert queue.length("r") == 30
            await archive.start()
            assert await delivery.drained(30)
            assert not delivery.away
        assert archive.received == [record.id for record in records]


@pytest.mark.parametrize("of", ["queue", "repository"])
@pytest.mark.parametrize("error", [sqlite3.OperationalError, UnicodeError, RecursionError])
async def test_no_error_ends_the_delivery(tmp_path, monkeypatch, error, of):
    def failing(*_):
        raise error("of Eva Muster")

    async with fhir_archive() as archive:
        repository = FhirRepository(archive.url, event_of)
        broken, name = (AuditQueue, "waiting") if of == "queue" else (repository, "send")
        async with delivering_to(tmp_path, repository) as (queue, delivery):
            with monkeypatch.context() as trouble, capture_logs() as logs:
                trouble.setattr(broken, name, failing)
                queue.add(records := some(3))
                async with asyncio.timeout(30):
                    while delivery.failures < 2:
                        await asyncio.sleep(0.01)
                assert delivery.away
            assert await delivery.drained(30)
            assert not delivery.away
        assert archive.received == [record.id for record in records]
    failures = [entry for entry in logs if entry["event"] == "audit.delivery_failed"]
    assert failures[0] == {
        "event": "audit.delivery_failed",
        "log_level": "critical",
        "destination": "r",
        "error": error.__name__,
    }


@pytest.mark.parametrize("batch", [1, 7])
async def test_what_is_sent_again_after_a_lost_answer_is_stored_once(tmp_path, batch):
    async with fhir_archive() as archive:
        archive.forget_answers = 2 if batch > 1 else 0
        records = some(14)
        async with delivering_to(tmp_path, FhirRepository(archive.url, event_of, batch=batch)) as (
            queue,
            delivery,
        ):
            queue.add(records)
            assert await delivery.drained(30)
        assert len(archive.received) == (14 + 2 * batch if batch > 1 else 14)
        assert list(archive.events) == [record.id for record in records]


@pytest.mark.parametrize("status", [-503, -401, -429, 503, 429])
async def test_a_repository_that_takes_nothing_now_is_asked_again(tmp_path, status):
    async with fhir_archive() as archive:
        archive.status = status
        async with delivering_to(tmp_path, FhirRepository(archive.url, event_of)) as (queue, delivery):
            queue.add(some(3))
            async with asyncio.timeout(30):
                while delivery.failures < 2:
                    await asyncio.sleep(0.01)
            archive.status = 201
            assert await delivery.drained(30)
        assert len(archive.events) == 3


async def test_a_record_that_is_refused_for_good_does_not_hold_up_the_others(tmp_path):
    async with fhir_archive() as archive:
        archive.status = 422
        async with delivering_to(tmp_path, FhirRepository(archive.url, event_of)) as (queue, delivery):
            queue.add(some(2))
            assert await delivery.drained(30)
            assert (delivery.refused, delivery.sent) == (2, 0)
            archive.status = 201
            queue.add(some(1))
            assert await delivery.drained(30)
        assert len(archive.events) == 1


async def test_a_token_is_read_whenever_it_is_needed(tmp_path):
    token = tmp_path / "token"
    async with fhir_archive() as archive:
        repository = FhirRepository(
            archive.url, event_of, authorization=lambda: f"Bearer {token.read_text()}"
        )
        async with delivering_to(tmp_path, repository) as (queue, delivery):
            queue.add(some(1))
            async with asyncio.timeout(30):
                while not delivery.failures:
                    await asyncio.sleep(0.01)
            token.write_text("t-1")
            assert await delivery.drained(30)
        assert archive.headers[-1]["Authorization"] == "Bearer t-1"


# --- syslog -----------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_context(authority, *, client_needed=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if client_needed:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def client_tls(folder, authority, *, certificate=False):
    """What the gateway has in files: whom it believes, and its own certificate."""
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    identity = None
    if certificate:
        identity = Identity(folder / "own.pem", folder / "own.key")
        renew(identity, authority)
    return ClientTls(authorities=folder / "authority.pem", identity=identity)


def renew(identity, authority):
    issued = authority.issue_cert("gateway.example")
    issued.cert_chain_pems[0].write_to_path(str(identity.certificate))
    issued.private_key_pem.write_to_path(str(identity.key))


def syslog_to(archive, tls):
    return SyslogRepository("127.0.0.1", archive.port, frame_of, tls=tls, confirm_seconds=0.05)


async def test_messages_go_by_tls_with_a_certificate_of_both_sides(tmp_path, authority):
    async with syslog_archive(server_context(authority, client_needed=True)) as archive:
        records = some(25)
        repository = syslog_to(archive, client_tls(tmp_path, authority, certificate=True))
        async with delivering_to(tmp_path, repository) as (queue, delivery):
            queue.add(records)
            assert await delivery.drained(30)
        assert archive.messages == [frame_of(record).partition(b" ")[2] for record in records]


async def test_without_the_certificate_that_the_repository_asks_for_nothing_counts_as_delivered(
    tmp_path, authority
):
    async with syslog_archive(server_context(authority, client_needed=True)) as archive:
        async with delivering_to(tmp_path, syslog_to(archive, client_tls(tmp_path, authority))) as (
            queue,
            delivery,
        ):
            queue.add(some(1))
            async with asyncio.timeout(30):
                while delivery.failures < 2:
                    await asyncio.sleep(0.01)
            assert queue.length("r") == 1
        assert archive.messages == []


async def test_a_certificate_that_is_renewed_is_taken_without_a_restart(tmp_path, authority):
    async with syslog_archive(server_context(authority, client_needed=True)) as archive:
        tls = client_tls(tmp_path, authority, certificate=True)
        renew(tls.identity, trustme.CA())
        async with delivering_to(tmp_path / "queue", syslog_to(archive, tls)) as (queue, delivery):
            queue.add(records := some(3))
            queue.flush()
            async with asyncio.timeout(30):
                while not delivery.failures:
                    await asyncio.sleep(0.01)
            renew(tls.identity, authority)
            refresh_all()
            assert await delivery.drained(60)
        assert archive.messages == [frame_of(record).partition(b" ")[2] for record in records]


async def test_a_server_that_is_not_trusted_is_sent_nothing(tmp_path, authority):
    async with syslog_archive(server_context(trustme.CA())) as archive:
        async with delivering_to(tmp_path, syslog_to(archive, client_tls(tmp_path, authority))) as (
            queue,
            delivery,
        ):
            queue.add(some(1))
            async with asyncio.timeout(30):
                while delivery.failures < 2:
                    await asyncio.sleep(0.01)
        assert archive.messages == []


async def test_after_a_restart_of_the_repository_all_messages_are_there(tmp_path):
    async with syslog_archive() as archive:
        records = some(40)
        async with delivering_to(tmp_path, syslog_to(archive, None)) as (queue, delivery):
            queue.add(records[:20])
            assert await delivery.drained(30)
            await archive.stop()
            queue.add(records[20:])
            queue.flush()
            async with asyncio.timeout(30):
                while not delivery.failures:
                    await asyncio.sleep(0.01)
            await archive.start()
            assert await delivery.drained(30)
        expected = [frame_of(record).partition(b" ")[2] for record in records]
        # a message may come twice where the connection ended, and is the same then
        assert list(dict.fromkeys(archive.messages)) == expected


def test_a_frame_counts_bytes_and_has_the_header_of_its_outcome():
    record = http_record("ITI-67", "server")
    count, _, line = frame_of(record).partition(b" ")
    assert int(count) == len(line)
    assert len(line) > len(line.decode()), "the sample has characters of several bytes"
    head, _, message = line.partition(b" - ")
    assert head == b"<85>1 2026-09-21T14:13:20.123Z gw gateway 1 IHE+RFC-3881"
    assert etree.fromstring(message).tag == "AuditMessage"
    failed = frame_of(http_record("ITI-67", "server", failed=True))
    assert b" <84>1 " in b" " + failed.partition(b" ")[2]


def test_names_in_the_header_have_no_blanks():
    frame = write_frame(http_record("ITI-67", "server"), b"x", host="a b\nc", application="", process="1")
    assert frame.partition(b" ")[2].split(b" ")[2:5] == [b"abc", b"-", b"1"]
