"""The own server lives as long as its gateway, and what it holds lives longer."""

import asyncio
import fcntl
import os
import signal
import stat
import subprocess
import sys

import pytest

from gateway.correlation import embedded
from gateway.correlation.connection import connect
from gateway.correlation.embedded import EmbeddedRedis, EmbeddedRedisError, find_server
from gateway.correlation.store import CorrelationStore

from .conftest import RING
from .servers import PATIENCE, eventually


def on(server: EmbeddedRedis) -> CorrelationStore:
    return CorrelationStore(connect(server.options), RING)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_state_is_there_after_a_restart(tmp_path):
    async with EmbeddedRedis(tmp_path / "a state") as server, on(server) as store:
        assert await store.set("kind", "key", b"value", 600)
        pid = server.pid
    assert not alive(pid)
    async with EmbeddedRedis(tmp_path / "a state") as server, on(server) as store:
        assert await store.get("kind", "key") == b"value"


async def test_a_killed_server_is_started_again_with_its_state(tmp_path, logged):
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        for times in (1, 2):
            assert await store.set("kind", "key", b"%d" % times, 600)
            await asyncio.sleep(1.1)  # what everysec may lose
            os.kill(server.pid, signal.SIGKILL)

            async def back(times=times):
                restarts = logged().count(("warning", "redis.embedded.restarted"))
                return restarts == times and await store.get("kind", "key")

            await eventually(back)
            assert await store.get("kind", "key") == b"%d" % times
    events = [event for _, event in logged() if event.startswith("redis.")]
    assert events == ["redis.embedded.ended", "redis.embedded.restarted"] * 2


async def test_only_this_user_reaches_it_and_there_is_no_port(tmp_path):
    async with EmbeddedRedis(tmp_path, max_memory_mib=32) as server:
        socket = server.options.unix_socket
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        async with connect(server.options) as client:
            settings = await client.config_get("port", "appendonly", "appendfsync", "maxmemory")
    assert {k: str(v) for k, v in settings.items()} == {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory": str(32 * 1024 * 1024),
    }


async def test_two_gateways_on_one_state_directory_are_told_apart(tmp_path):
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        with pytest.raises(
            EmbeddedRedisError, match=rf"another gateway \(process {os.getpid()}\).*state_dir"
        ):
            await EmbeddedRedis(tmp_path).__aenter__()
        assert await store.set("kind", "key", b"value", 60)
    async with EmbeddedRedis(tmp_path):
        pass


GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.correlation.connection import connect
from gateway.correlation.embedded import EmbeddedRedis
from gateway.correlation.store import CorrelationStore
from gateway.security.sealing import KeyRing

async def main():
    async with EmbeddedRedis(Path(sys.argv[1])) as server:
        async with CorrelationStore(connect(server.options), KeyRing([bytes(range(32))])) as store:
            await store.set("kind", "key", b"value", 600)
            print(server.pid, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel ends children with their parent on Linux only"
)
async def test_a_killed_gateway_leaves_no_server_and_the_next_one_has_its_state(tmp_path):
    gateway = subprocess.Popen([sys.executable, "-c", GATEWAY, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        pid = int(await asyncio.to_thread(gateway.stdout.readline))
        gateway.kill()
        gateway.wait()
        async with EmbeddedRedis(tmp_path) as server, on(server) as store:
            assert server.pid != pid
            assert await store.get("kind", "key") == b"value"

        async def ended():
            return not alive(pid)

        await eventually(ended)
    finally:
        gateway.kill()
        gateway.stdout.close()


async def test_a_server_that_was_left_behind_is_ended_first(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_ORPHAN_SECONDS", 0.2)
    folder = tmp_path / "redis"
    folder.mkdir()
    lock = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    left = subprocess.Popen(
        [find_server(), "--port", "0", "--unixsocket", folder / "server.sock", "--dir", folder],
        pass_fds=[lock],
        stdout=subprocess.DEVNULL,
    )
    os.pwrite(lock, f"{left.pid}\n".encode(), 0)
    os.close(lock)
    try:
        async with EmbeddedRedis(tmp_path) as server, on(server) as store:
            assert await store.set("kind", "key", b"value", 60)
            assert left.wait(PATIENCE) is not None
            assert server.pid != left.pid
    finally:
        left.kill()
        left.wait()


async def test_a_long_path_gets_a_short_socket(tmp_path):
    deep = tmp_path / ("x" * 120)
    async with EmbeddedRedis(deep) as server, on(server) as store:
        socket = server.options.unix_socket
        assert len(str(socket)) <= embedded.LONGEST_SOCKET_PATH
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert await store.set("kind", "key", b"value", 60)
    assert not socket.parent.exists()
    # one that a kill left behind is removed by the next start
    left = tmp_path / "left"
    left.mkdir()
    (left / "server.sock").touch()
    (deep / "redis" / "socket-folder").write_text(str(left))
    async with EmbeddedRedis(deep) as server, on(server) as store:
        assert await store.get("kind", "key") == b"value"
    assert not left.exists()


async def test_a_torn_end_of_the_file_costs_the_last_record_only(tmp_path):
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        await store.set("kind", "first", b"value", 600)
        await store.set("kind", "last", b"value", 600)
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes()[:-10])
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        assert await store.get("kind", "first") == b"value"
        assert await store.get("kind", "last") is None


async def test_a_file_that_cannot_be_read_is_put_aside(tmp_path, logged):
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        await store.set("kind", "key", b"value", 600)
    (file,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    spoilt = b"spoilt" + file.read_bytes()
    file.write_bytes(spoilt)
    async with EmbeddedRedis(tmp_path) as server, on(server) as store:
        assert await store.get("kind", "key") is None
        assert await store.set("kind", "key", b"value", 600)
    assert (tmp_path / "redis" / "appendonlydir.unreadable" / file.name).read_bytes() == spoilt
    assert ("error", "redis.embedded.data_unreadable") in logged()


async def test_short_lived_state_makes_room_for_what_lives_longer(tmp_path):
    async with EmbeddedRedis(tmp_path, max_memory_mib=16) as server, on(server) as store:
        answers = [f"answer {n}" for n in range(50)]
        for key in answers:
            assert await store.set("publish", key, key.encode(), 86_400)
        for n in range(40):
            assert await store.set_parts("search", str(n), [bytes(100_000)] * 10, 900)
        assert [await store.get("publish", key) for key in answers] == [key.encode() for key in answers]
        assert store.available


async def test_a_server_that_does_not_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded.EmbeddedRedis, "_arguments", lambda self: ["--port", "many"])
    with pytest.raises(EmbeddedRedisError, match="did not start: argument"):
        await EmbeddedRedis(tmp_path).__aenter__()


async def test_a_state_directory_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedRedisError, match="file/redis: Not a directory"):
        await EmbeddedRedis(tmp_path / "file").__aenter__()


def test_a_machine_without_a_server_is_told_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EmbeddedRedisError, match=r"set redis\.url"):
        find_server()


def test_a_server_on_the_path_is_second_choice(monkeypatch, tmp_path):
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() != program
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_server() == program
