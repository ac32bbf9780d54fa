"""Tokens are made by us, for one purpose, and unaltered, or they are nothing."""

import base64
import multiprocessing
import string
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.security.sealing import OVERHEAD, KeyRing, KeyRingError, NotOurs, Sealer

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
ALPHABET = string.ascii_letters + string.digits + "-_"


def sealer(*keys: bytes, purpose: str = "test") -> Sealer:
    return Sealer(KeyRing(keys or (OLD,)), purpose)


@given(st.binary(max_size=300))
def test_opening_gives_back_what_was_sealed_and_equal_content_gives_equal_tokens(content):
    token = sealer().seal(content)
    assert sealer().open(token) == content
    assert sealer().seal(content) == token
    assert set(token) <= set(ALPHABET)
    assert len(sealer().seal_bytes(content)) == len(content) + OVERHEAD


def test_no_content_shows_in_a_token():
    content = b"2.999.1^PATIENT-4711" * 4
    raw = sealer().seal_bytes(content)
    assert all(content[i : i + 4] not in raw for i in range(len(content) - 4))


@pytest.mark.parametrize("size", [0, 1, 2, 3, 40])
def test_a_token_with_any_character_replaced_dropped_or_added_is_not_ours(size):
    token = sealer().seal(b"x" * size)
    for i, was in enumerate(token):
        for other in ALPHABET:
            if other != was:
                with pytest.raises(NotOurs):
                    sealer().open(token[:i] + other + token[i + 1 :])
        with pytest.raises(NotOurs):
            sealer().open(token[:i] + token[i + 1 :])
        with pytest.raises(NotOurs):
            sealer().open(token[:i] + "A" + token[i:])


@pytest.mark.parametrize("spelling", ["{}=", "{}==", "{}\n", " {}", "{}%3D", "{}A", "{}é", "\ud800{}"])
def test_another_spelling_of_a_token_is_not_ours(spelling):
    with pytest.raises(NotOurs):
        sealer().open(spelling.format(sealer().seal(b"content")))


@given(st.text(max_size=120))
@settings(max_examples=300)
def test_arbitrary_text_is_not_ours(text):
    with pytest.raises(NotOurs):
        sealer().open(text)


def test_a_token_of_one_purpose_is_none_of_another():
    token = sealer(purpose="page link").seal(b"content")
    with pytest.raises(NotOurs):
        sealer(purpose="document url").open(token)


def test_sealed_bytes_open_only_in_their_context():
    sealed = sealer().seal_bytes(b"content", b"gw:a")
    assert sealer().open_bytes(sealed, b"gw:a") == b"content"
    with pytest.raises(NotOurs):
        sealer().open_bytes(sealed, b"gw:b")


def test_after_rotation_old_tokens_open_and_new_ones_use_the_new_key():
    token = sealer(OLD).seal(b"content")
    rotated = sealer(NEW, OLD)
    assert rotated.open(token) == b"content"
    assert rotated.seal(b"content") == sealer(NEW).seal(b"content") != token


def test_a_key_that_is_gone_from_the_ring_opens_nothing():
    token = sealer(OLD).seal(b"content")
    with pytest.raises(NotOurs):
        sealer(NEW).open(token)


def test_keys_with_the_same_key_id_are_told_apart():
    def key_id(key: bytes) -> int:
        return sealer(key).seal_bytes(b"")[0]

    twin = next(key for n in range(1 << 16) if (key := n.to_bytes(32)) != OLD and key_id(key) == key_id(OLD))
    token = sealer(OLD).seal(b"content")
    assert sealer(twin, OLD).open(token) == b"content"
    assert sealer(OLD, twin).open(token) == b"content"


def test_threads_share_a_sealer():
    shared = sealer()
    contents = [bytes([n]) * 20_000 for n in range(64)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda c: shared.open_bytes(shared.seal_bytes(c)), contents)) == contents


@pytest.mark.parametrize(
    "text",
    [
        OLD.hex(),
        OLD.hex().upper(),
        base64.b64encode(OLD).decode(),
        base64.urlsafe_b64encode(OLD).decode(),
        base64.urlsafe_b64encode(OLD).decode().rstrip("="),
        f"  {OLD.hex()}\n",
    ],
)
def test_a_key_is_hex_or_base64(text):
    assert KeyRing.parse([text]).derive("p") == KeyRing([OLD]).derive("p")


@pytest.mark.parametrize(
    "text", ["", "secret", OLD.hex()[:-2], "z" * 64, base64.b64encode(OLD[:-1]).decode()]
)
def test_a_wrong_key_is_refused_by_number_and_not_quoted(text):
    with pytest.raises(KeyRingError, match="key 2") as caught:
        KeyRing.parse([OLD.hex(), text])
    assert not text or text not in str(caught.value)


def test_a_ring_without_keys_is_refused():
    with pytest.raises(KeyRingError):
        KeyRing([])


def test_the_key_file_is_private_and_the_same_key_is_read_again(tmp_path):
    path = tmp_path / "state" / "keys"
    made = KeyRing.load_or_create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyRing.load_or_create(path).derive("p") == made.derive("p")
    assert [p.name for p in path.parent.iterdir()] == ["keys"]


def test_a_key_file_holds_one_key_a_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{NEW.hex()}\n\n{OLD.hex()}\n")
    assert KeyRing.load_or_create(path).derive("p") == KeyRing([NEW, OLD]).derive("p")


@pytest.mark.parametrize("content", ["", "\n", "not a key\n"])
def test_a_key_file_without_keys_is_refused_by_name(tmp_path, content):
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(KeyRingError, match="keys"):
        KeyRing.load_or_create(path)
    assert path.read_text() == content


def _key_of(path, queue):
    queue.put(KeyRing.load_or_create(path).derive("p"))


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_key_of, args=(tmp_path / "keys", queue)) for _ in range(4)]
    for process in processes:
        process.start()
    keys = {queue.get(timeout=20) for _ in processes}
    for process in processes:
        process.join()
    assert len(keys) == 1
