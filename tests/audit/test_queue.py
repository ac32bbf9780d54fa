"""The queue: what it has taken outlives the process, goes to each repository in order, and is bounded."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from gateway.audit.queue import AuditQueue
from gateway.audit.record import Outcome
from gateway.audit.trail import AuditFull, Held, Identity, Trail
from tests.audit.samples import RECORDED, http_record

KEY = 0x5A


def sealed(content: bytes) -> bytes:
    return bytes(byte ^ KEY for byte in content)


def opened(folder, *destinations, **more):
    return AuditQueue(folder, destinations, seal=sealed, unseal=sealed, **more)


def some(count, **changes):
    """Records of requests that differ in what names them."""
    return [
        http_record("ITI-67", "server", **{"request_id": str(uuid.uuid4()), **changes}) for _ in range(count)
    ]


def ids(waiting):
    return [record.id for _, record in waiting]


async def test_records_come_out_as_and_in_the_order_in_which_they_went_in(tmp_path):
    queue = opened(tmp_path, "a")
    records = some(5)
    queue.add(records)
    assert [record for _, record in queue.waiting("a", 3)] == records[:3]
    queue.delivered("a", queue.waiting("a", 3)[-1][0])
    assert ids(queue.waiting("a", 9)) == [record.id for record in records[3:]]
    assert queue.length("a") == 2
    queue.close()


async def test_each_repository_has_its_own_place(tmp_path):
    queue = opened(tmp_path, "a", "b")
    queue.add(some(4))
    queue.delivered("a", queue.waiting("a", 4)[-1][0])
    assert (queue.length("a"), queue.length("b")) == (0, 4)
    queue.close()
    again = opened(tmp_path, "a", "b")
    assert (again.length("a"), again.length("b")) == (0, 4)
    again.close()


async def test_a_repository_that_is_added_gets_what_is_still_there(tmp_path):
    queue = opened(tmp_path, "a", keep_seconds=1e12)
    queue.add(some(2))
    queue.delivered("a", queue.waiting("a", 2)[-1][0])
    queue.close()
    again = opened(tmp_path, "a", "b")
    assert (again.length("a"), again.length("b")) == (0, 2)
    again.close()


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.audit.test_queue import opened, some

async def main():
    queue = opened(Path(sys.argv[1]), "a")
    records = some(3)
    queue.add(records[:2])
    queue.hold(records[2:])
    queue.flush()
    print(*(record.id for record in records), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_killed_process_leaves_its_records_and_those_of_answers_that_had_begun(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = process.stdout.readline().split()
        os.kill(process.pid, signal.SIGKILL)
    queue = opened(tmp_path, "a")
    found = queue.waiting("a", 9)
    queue.close()
    assert ids(found) == written
    assert [record.outcome_text for _, record in found][:2] == ["", ""]
    assert "before the end of the answer" in found[2][1].outcome_text


async def test_processes_with_one_folder_have_files_of_their_own_and_nothing_is_left_behind(tmp_path):
    first, second = opened(tmp_path, "a"), opened(tmp_path, "a")
    first.add(some(1))
    second.add(some(2))
    assert (first.length("a"), second.length("a")) == (1, 2)
    second.close()
    assert first.length("a") == 1
    first.close()
    alone = opened(tmp_path, "a")
    assert alone.length("a") == 3
    assert len(set(ids(alone.waiting("a", 9)))) == 3
    alone.close()
    assert [path.name for path in tmp_path.glob("*.db")] == ["queue-1.db"]


async def test_an_answer_that_flows_is_sent_when_its_end_is_known(tmp_path):
    queue = opened(tmp_path, "a")
    good, bad = some(1), some(1)
    held, broken = Held(queue, good), Held(queue, bad)
    queue.hold([*good, *bad])
    assert queue.waiting("a", 9) == []
    held.settle()
    broken.settle("the client left")
    outcomes = [(record.outcome, record.outcome_text) for _, record in queue.waiting("a", 9)]
    assert outcomes == [(Outcome.SUCCESS, ""), (Outcome.SERIOUS, "the client left")]
    queue.close()
    again = opened(tmp_path, "a")
    assert again.length("a") == 2, "nothing is held any more"
    again.close()


async def test_a_full_queue_loses_loudly_or_has_requests_refused(tmp_path):
    queue = opened(tmp_path, "a", most=3)
    queue.add(some(3))
    queue.add(some(2))
    assert (queue.length("a"), queue.lost) == (3, 2)
    Trail(queue, Identity("x")).check_room()
    with pytest.raises(AuditFull):
        Trail(queue, Identity("x"), refuse_when_full=True).check_room()
    queue.delivered("a", queue.waiting("a", 3)[-1][0])
    Trail(queue, Identity("x"), refuse_when_full=True).check_room()
    queue.close()


async def test_an_answer_that_had_begun_is_recorded_though_the_queue_is_full_at_its_end(tmp_path):
    queue = opened(tmp_path, "a", most=3)
    trail = Trail(queue, Identity("x"))
    held = trail.hold(begun := some(1))
    trail.add(others := some(3))
    assert queue.full
    held.settle("the client left")
    assert queue.lost == 0
    queue.close()
    again = opened(tmp_path, "a", most=3)
    found = again.waiting("a", 9)
    assert ids(found) == [record.id for record in [*others, *begun]]
    assert found[-1][1].outcome_text == "the client left"
    again.close()


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_everyone_has_is_kept_for_a_while(tmp_path):
    now = [RECORDED]
    async with opened(tmp_path, "a", keep_seconds=100, sync_seconds=0.01, clock=lambda: now[0]) as queue:
        queue.add([*some(2), *some(1, recorded=RECORDED + 200)])
        now[0] += 150
        await asyncio.sleep(0.1)
        assert len(list(queue.find(0, 1e12, 10))) == 3, "the repository has nothing of it"
        queue.delivered("a", queue.waiting("a", 3)[-1][0])
        await until(lambda: len(list(queue.find(0, 1e12, 10))) == 1)


async def test_without_repository_the_latest_are_kept_up_to_the_bound(tmp_path):
    async with opened(tmp_path, most=4, keep_seconds=1e12, sync_seconds=0.01) as queue:
        records = some(9)
        for record in records:
            queue.add([record])
        await until(lambda: len(list(queue.find(0, 1e12, 20))) == 4)
        assert queue.lost == 0
        left = {record.id for record in queue.find(0, 1e12, 20)}
        assert left == {record.id for record in records[5:]}


async def test_records_lie_sealed_and_only_for_their_owner(tmp_path):
    queue = opened(tmp_path, "a")
    queue.add(some(3))
    queue.close()
    files = [path for path in tmp_path.iterdir() if path.stat().st_size]
    assert files
    for path in files:
        assert b"dr-eva" not in path.read_bytes()
    assert (tmp_path / "queue-1.db").stat().st_mode & 0o077 == 0


async def test_a_record_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    queue = AuditQueue(tmp_path, ("a",), seal=lambda content: content[::-1], unseal=sealed)
    queue.add(some(2))
    queue.close()
    queue = opened(tmp_path, "a")
    queue.add(some(1))
    assert len(queue.waiting("a", 9)) == 1
    queue.close()


async def test_any_number_of_records_that_cannot_be_read_is_passed_over(tmp_path):
    count = sys.getrecursionlimit() + 10
    queue = AuditQueue(tmp_path, ("a",), seal=lambda content: content[::-1], unseal=sealed)
    queue.add(some(1) * count)
    queue.close()
    queue = opened(tmp_path, "a")
    assert queue.waiting("a", 1) == []
    assert queue.length("a") == 0
    queue.close()


async def test_what_is_found_is_the_latest_first_within_a_time(tmp_path):
    queue = opened(tmp_path, "a")
    records = [replace(record, recorded=float(n)) for n, record in enumerate(some(5))]
    queue.add(records)
    assert [record.recorded for record in queue.find(1, 3, 2)] == [3.0, 2.0]
    queue.close()


async def test_what_the_journal_has_is_there_though_the_database_takes_it_only_later(tmp_path):
    queue = opened(tmp_path, "a")
    records = some(3)
    queue.add(records)
    queue.flush()
    (journal,) = tmp_path.glob("*.journal")
    assert journal.stat().st_size, "nothing is in the database yet"
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copied", "*.lock"))
    queue.close()
    assert journal.stat().st_size == 0
    # the same process, killed before the database took anything
    again = opened(copied, "a")
    assert ids(again.waiting("a", 9)) == [record.id for record in records]
    again.close()


async def test_a_journal_that_the_database_has_taken_over_is_not_taken_twice(tmp_path):
    queue = opened(tmp_path, "a")
    queue.add(some(2))
    queue.hold(held := some(1))
    queue.flush()
    (journal,) = tmp_path.glob("*.journal")
    before = journal.read_bytes()
    queue.settle(held)
    queue.close()
    journal.write_bytes(before)
    # as if the process had been killed between the commit and the emptying of the journal
    again = opened(tmp_path, "a")
    assert again.length("a") == 3
    assert len(set(ids(again.waiting("a", 9)))) == 3
    again.close()


@pytest.mark.parametrize("other", [False, True])
async def test_what_is_taken_over_is_on_the_disk_before_its_source_goes(tmp_path, monkeypatch, other):
    first, left = opened(tmp_path, "a"), opened(tmp_path, "a")
    (left if other else first).add(some(3))
    (left if other else first).flush()
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copied", "*.lock"))
    first.close()
    left.close()
    source = copied / ("queue-2.db" if other else "queue-1.journal")
    synchronise, seen = os.fdatasync, []

    def look(descriptor):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        database = sqlite3.connect(copied / "queue-1.db")
        (count,) = database.execute("SELECT count(*) FROM records").fetchone()
        database.close()
        seen.append((name, count, source.exists() and source.stat().st_size > 0))
        synchronise(descriptor)

    monkeypatch.setattr("os.fdatasync", look)
    again = opened(copied, "a")
    assert ("queue-1.db-wal", 3, True) in seen
    assert not (source.exists() and source.stat().st_size)
    again.close()


@pytest.mark.parametrize("left", [1, 7, 9, 40])
async def test_what_was_cut_off_in_the_journal_is_left_out_and_nothing_else(tmp_path, left):
    queue = opened(tmp_path, "a")
    whole, cut = some(2), some(1)
    queue.add(whole)
    queue.flush()
    (journal,) = tmp_path.glob("*.journal")
    first = journal.stat().st_size
    queue.add(cut)
    queue.flush()
    content = journal.read_bytes()[: first + left]
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copied", "*.lock"))
    queue.close()
    (copied / journal.name).write_bytes(content)
    again = opened(copied, "a")
    assert ids(again.waiting("a", 9)) == [record.id for record in whole]
    again.add(cut)
    assert again.length("a") == 3, "the queue goes on behind it"
    again.close()


@pytest.mark.parametrize("damage", [b"\xff", bytes(40)], ids=["length", "zeros"])
@pytest.mark.parametrize("at", [0, 20])
async def test_a_journal_that_is_damaged_in_the_middle_is_kept_and_told_of(tmp_path, damage, at):
    queue = opened(tmp_path, "a")
    (journal,) = tmp_path.glob("*.journal")
    ends = []
    for record in (records := some(3)):
        queue.add([record])
        queue.flush()
        ends.append(journal.stat().st_size)
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copied", "*.lock"))
    queue.close()
    content = bytearray((copied / journal.name).read_bytes())
    content[ends[0] + at : ends[0] + at + len(damage)] = damage
    (copied / journal.name).write_bytes(content)
    with capture_logs() as logs:
        again = opened(copied, "a")
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("audit.journal_damaged", "critical")
    assert told["unread_bytes"] == len(content) - ends[0]
    assert (copied / told["kept_as"]).read_bytes() == content
    assert ids(again.waiting("a", 9)) == [records[0].id]
    again.add(later := some(1))
    again.close()
    last = opened(copied, "a")
    assert ids(last.waiting("a", 9)) == [records[0].id, later[0].id]
    last.close()


async def test_many_records_do_not_stay_in_the_journal(tmp_path):
    queue = opened(tmp_path, "a")
    (journal,) = tmp_path.glob("*.journal")
    for record in (records := some(200)):
        queue.add([record])
        queue.flush()
    assert journal.stat().st_size < 200 * 500
    assert ids(queue.waiting("a", 300)) == [record.id for record in records]
    queue.close()


async def test_while_the_database_takes_nothing_records_are_sent_and_none_is_lost(tmp_path, monkeypatch):
    queue = opened(tmp_path, "a")
    with monkeypatch.context() as broken:
        broken.setattr("gateway.audit.queue.insert_frames", raising(sqlite3.OperationalError("locked")))
        queue.add(records := some(70))
        waiting = queue.waiting("a", 100)
        assert ids(waiting) == [record.id for record in records]
        queue.delivered("a", waiting[9][0])
    assert queue.length("a") == 60
    queue.close()
    again = opened(tmp_path, "a")
    assert ids(again.waiting("a", 100)) == [record.id for record in records[10:]]
    again.close()


def raising(error):
    def fail(*_):
        raise error

    return fail


async def test_a_disk_that_takes_no_journal_loses_loudly(tmp_path, monkeypatch):
    queue = opened(tmp_path, "a")
    with monkeypatch.context() as full:
        full.setattr("gateway.audit.journal.os.write", lambda _, content: len(content) // 2)
        queue.add(some(2))
        queue.flush()
    assert queue.lost == 2
    queue.add(records := some(1))
    assert ids(queue.waiting("a", 9)) == [record.id for record in records]
    queue.close()
