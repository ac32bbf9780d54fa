"""Writes are whole or not at all, each for itself, and readers never wait for them."""

import sqlite3
import threading

import pytest

from gateway.affinity.database import Database
from gateway.affinity.objects import entry_by_uuid, insert_entry, latest_version
from gateway.affinity.schema import VERSION, StateUnusable, open_writer
from tests.affinity.samples import entry


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "registry.sqlite", 2)
    yield opened
    opened.close()


def add(number):
    def work(connection):
        connection.execute(
            "INSERT INTO document (unique_id, sha1, size, mime_type) VALUES (?, '', 0, '')", (str(number),)
        )
        return number

    return work


def stored(database):
    return database.read(lambda c: {u for (u,) in c.execute("SELECT unique_id FROM document")}).result()


def test_a_failing_write_is_undone_and_its_neighbours_in_the_commit_stay(database):
    entered, go_on = threading.Event(), threading.Event()

    def hold(connection):
        entered.set()
        go_on.wait(10)

    def fail(connection):
        add("half")(connection)
        raise LookupError("no")

    database.write(hold)
    entered.wait(10)
    before, failing, after = database.write(add(1)), database.write(fail), database.write(add(2))
    go_on.set()
    assert (before.result(), after.result()) == (1, 2)
    with pytest.raises(LookupError):
        failing.result()
    assert stored(database) == {"1", "2"}


def test_a_write_that_is_given_up_before_its_turn_is_not_made(database):
    entered, go_on = threading.Event(), threading.Event()

    def hold(connection):
        entered.set()
        go_on.wait(10)

    first = database.write(hold)
    entered.wait(10)
    waiting = database.write(add("never"))
    assert waiting.cancel()
    go_on.set()
    first.result()
    database.write(add("later")).result()
    assert stored(database) == {"later"}


def test_readers_see_the_last_commit_while_a_write_is_under_way(database):
    database.write(add("old")).result()
    entered, go_on = threading.Event(), threading.Event()

    def hold(connection):
        add("new")(connection)
        entered.set()
        go_on.wait(10)

    writing = database.write(hold)
    entered.wait(10)
    assert stored(database) == {"old"}
    go_on.set()
    writing.result()
    assert stored(database) == {"old", "new"}


def test_a_reader_cannot_write(database):
    with pytest.raises(sqlite3.OperationalError):
        database.read(add("x")).result()


def test_writes_that_wait_are_made_before_the_end(tmp_path):
    database = Database(tmp_path / "registry.sqlite", 1)
    waiting = [database.write(add(number)) for number in range(200)]
    database.close()
    assert [future.result() for future in waiting] == list(range(200))


def test_the_database_of_a_later_release_is_left_alone(tmp_path):
    path = tmp_path / "registry.sqlite"
    connection = open_writer(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateUnusable, match="schema 99"):
        open_writer(path)


def test_the_database_of_the_release_before_is_brought_up_to_date(tmp_path):
    path, old = tmp_path / "registry.sqlite", entry()
    connection = open_writer(path)
    insert_entry(connection, old)
    connection.execute("DROP INDEX document_entry_version")
    for column in ("logical_id", "version", "latest"):
        connection.execute(f"ALTER TABLE document_entry DROP COLUMN {column}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    connection = open_writer(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert entry_by_uuid(connection, old.entry_uuid) == old
    assert latest_version(connection, old.entry_uuid) == (old, 1)
    insert_entry(connection, entry())
    connection.close()
