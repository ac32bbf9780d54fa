"""One address, a Sentinel group or a Cluster: the store works alike."""

import asyncio
import contextlib
import ssl
import subprocess
import uuid
from dataclasses import replace

import pytest
import trustme
from redis.exceptions import ResponseError

from gateway.correlation.connection import RedisOptions, close, connect
from gateway.correlation.embedded import find_server
from gateway.correlation.idempotency import Done, Fresh, IdempotencyStore, InProgress
from gateway.correlation.snapshots import SnapshotStore
from gateway.correlation.store import CorrelationStore
from gateway.model import DocumentEntry
from gateway.tls import ClientTls, Identity
from tests.certificates import Authority
from tests.ports import free_port

from .conftest import RING
from .servers import PATIENCE, SentinelServer, Server, eventually


async def it_works(options: RedisOptions) -> None:
    """Every kind of command that the gateway sends, by two replicas."""
    options = replace(options, connect_timeout=PATIENCE, operation_timeout=PATIENCE)
    async with (
        CorrelationStore(connect(options), RING, deadline=PATIENCE) as one,
        CorrelationStore(connect(options), RING, deadline=PATIENCE) as two,
    ):
        assert one.status() == {"available": True}
        for n in range(20):  # spread over slots
            assert await one.set("kind", str(n), b"value %d" % n, 60)
            assert await two.get("kind", str(n)) == b"value %d" % n
        first, second = IdempotencyStore(one), IdempotencyStore(two)
        for digest in (str(uuid.uuid4()) for _ in range(3)):
            claim = await first.begin(digest, 5)
            assert isinstance(claim, Fresh)
            assert isinstance(await second.begin(digest, 5), InProgress)
            async with first.renewing(claim, 5):
                await first.finish(claim, b"answer", 60)
            assert await second.begin(digest, 5) == Done(b"answer")
            other = await first.begin(f"not {digest}", 5)
            await first.abandon(other)
            assert isinstance(await second.begin(f"not {digest}", 5), Fresh)
        entries = tuple(DocumentEntry(entry_uuid=f"urn:uuid:{n}", unique_id=str(n)) for n in range(120))
        snapshot = await SnapshotStore(one, DocumentEntry).put("search", entries, 50, 60)
        assert await SnapshotStore(two, DocumentEntry).page(snapshot, 40, 70) == entries[40:110]
        assert one.available
        assert two.available


async def test_a_url(server):
    await it_works(RedisOptions(url=server.url))


async def test_a_unix_socket(tmp_path):
    server = Server(tmp_path, "--unixsocket", str(tmp_path / "s")).start()
    try:
        await it_works(RedisOptions(unix_socket=tmp_path / "s"))
        await it_works(RedisOptions(url=f"unix://{tmp_path / 's'}"))
    finally:
        server.kill()


async def test_a_user_with_a_password(tmp_path):
    server = Server(tmp_path, "--user", *["gateway", "on", ">se/cret", "~gw:*", "+@all"]).start()
    try:
        await it_works(RedisOptions(url=server.url, username="gateway", password="se/cret"))
        await it_works(RedisOptions(url=f"redis://gateway:se%2Fcret@{server.address}/0"))
    finally:
        server.kill()


async def test_tls(server, tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def copy(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def forward(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    listener = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    await it_works(RedisOptions(url=f"rediss://localhost:{port}?ssl_ca_certs={tmp_path / 'ca.pem'}"))
    async with CorrelationStore(connect(RedisOptions(url=f"rediss://localhost:{port}")), RING) as store:
        assert not store.available  # an unknown authority is not trusted
    listener.close()


async def test_mutual_tls(server, tmp_path):
    authority, clients = Authority(), Authority("clients")
    key, certificate = authority.certify("redis", "localhost").write(tmp_path, "redis")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(cadata=clients.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED

    async def copy(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def forward(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    listener = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    url = f"rediss://localhost:{listener.sockets[0].getsockname()[1]}"
    own_key, own = clients.certify("gateway").write(tmp_path, "own")
    believed = authority.write(tmp_path)
    await it_works(RedisOptions(url=url, tls=ClientTls(believed, identity=Identity(own, own_key))))
    for tls in (ClientTls(believed), ClientTls(identity=Identity(own, own_key))):
        async with CorrelationStore(connect(RedisOptions(url=url, tls=tls)), RING) as store:
            assert not store.available
    listener.close()


@pytest.fixture
def sentinel(tmp_path):
    """A master with a replica, and a sentinel that watches them."""
    master = Server(tmp_path / "master").start()
    replica = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {master.port}").start()
    started = SentinelServer(tmp_path / "sentinel", master)
    try:
        yield started.start()
    finally:
        for each in (started, replica, master):
            each.kill()


async def test_sentinels_lead_to_the_master(sentinel):
    # the first address answers nothing
    addresses = (f"127.0.0.1:{free_port()}", sentinel.address)
    await it_works(RedisOptions(sentinels=addresses))
    async with CorrelationStore(
        connect(RedisOptions(sentinels=addresses, master_name="none")), RING
    ) as store:
        assert store.status()["error"] == "MasterNotFoundError"


async def test_a_failover_is_followed(sentinel):
    watcher = connect(RedisOptions(url=sentinel.url))
    async with CorrelationStore(connect(RedisOptions(sentinels=(sentinel.address,))), RING) as store:

        async def replicated():
            return len(await watcher.execute_command("SENTINEL", "REPLICAS", "mymaster")) == 1

        async def moved():
            # a replica is eligible some time after the sentinel first saw it
            with contextlib.suppress(ResponseError):
                await watcher.execute_command("SENTINEL", "FAILOVER", "mymaster")
            _, port = await watcher.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
            return int(port) != sentinel.master.port

        await eventually(replicated)
        await eventually(moved)
        sentinel.master.kill()

        async def stored():
            return await store.set("kind", "key", b"value", 60)

        await eventually(stored)
        assert await store.get("kind", "key") == b"value"
    await close(watcher)


@pytest.fixture
async def cluster(tmp_path):
    """Two nodes with half of the slots each."""
    nodes = [
        Server(tmp_path / str(n), "--cluster-enabled", "yes", "--cluster-node-timeout", "2000").start()
        for n in range(2)
    ]
    clients = [connect(RedisOptions(url=node.url)) for node in nodes]
    try:
        for client, (low, high) in zip(clients, ((0, 8191), (8192, 16383)), strict=True):
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high)
        await clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[1].port)

        async def formed():
            infos = [await client.execute_command("CLUSTER", "INFO") for client in clients]
            return all(b"cluster_state:ok" in i and b"cluster_slots_assigned:16384" in i for i in infos)

        await eventually(formed)
        yield nodes
    finally:
        for client in clients:
            await close(client)
        for node in nodes:
            node.kill()


async def test_a_cluster_serves_and_when_it_is_gone_it_is_a_server_that_is_away(cluster):
    # the first address answers nothing
    await it_works(RedisOptions(cluster=(f"127.0.0.1:{free_port()}", *(node.address for node in cluster))))
    options = RedisOptions(cluster=tuple(node.address for node in cluster))
    async with CorrelationStore(connect(options), RING) as store:
        assert await store.set("kind", "key", b"value", 60)
        for node in cluster:
            node.kill()
        for n in range(20):
            assert await store.get("kind", str(n)) is None
        assert not store.available


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "redis://a", "cluster": ("b",)},
        {"sentinels": ("a",), "cluster": ("b",)},
    ],
)
def test_there_is_one_kind_of_address(fields):
    with pytest.raises(ValueError, match="exactly one"):
        RedisOptions(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://a"},
        {"sentinels": ("http://a:1",)},
        {"cluster": (":1",)},
        {"cluster": ("a:port",)},
        {"cluster": ("redis://a", "rediss://b")},
    ],
)
def test_an_address_that_is_none_is_refused_at_once(fields):
    with pytest.raises(ValueError):
        connect(RedisOptions(**fields))


def test_a_password_is_not_printed():
    options = RedisOptions(url="redis://:secret@a", password="secret", sentinel_password="secret")
    assert "secret" not in repr(options)


def test_the_server_program_is_a_redis_server():
    done = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    assert "server v=" in done.stdout
