"""JWK sets of issuers: kept as long as they may be, fetched again for a new key, and not more often."""

import asyncio
import json
import os

import aiohttp
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.security.key_sets import (
    KeyFile,
    KeySetError,
    KeysUnavailable,
    NoSuchKey,
    RemoteKeys,
    read_key_set,
)
from tests.system.issuers import new_key, running_issuer


class Clock:
    """Time that a test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
async def remote():
    async with running_issuer() as issuer, aiohttp.ClientSession() as session:
        clock = Clock()
        yield issuer, RemoteKeys(session, f"{issuer.url}/jwks", clock), clock


async def test_many_requests_at_once_fetch_the_set_once(remote):
    issuer, keys, _ = remote
    kid = issuer.keys["ES384"].kid
    await asyncio.gather(*(keys.find(kid, "ES384") for _ in range(50)))
    assert issuer.fetches == 1


async def test_a_new_key_is_found_by_fetching_once_more(remote):
    issuer, keys, clock = remote
    await keys.find(issuer.keys["ES384"].kid, "ES384")
    clock.now += 31
    old, issuer.keys["ES384"] = issuer.keys["ES384"], new_key("ES384")
    issuer.retired.append(old)
    assert await keys.find(issuer.keys["ES384"].kid, "ES384")
    assert await keys.find(old.kid, "ES384")
    assert issuer.fetches == 2


async def test_key_ids_that_do_not_exist_fetch_no_more_than_once_in_an_interval(remote):
    issuer, keys, clock = remote
    for number in range(100):
        with pytest.raises(NoSuchKey):
            await keys.find(f"made-up-{number}", "ES384")
    assert issuer.fetches == 1
    clock.now += 31
    for number in range(100):
        with pytest.raises(NoSuchKey):
            await keys.find(f"made-up-{number}", "ES384")
    assert issuer.fetches == 2


async def test_a_set_is_not_kept_longer_than_it_may_be(remote):
    issuer, keys, clock = remote
    issuer.cache_control = "public, max-age=10"
    kid = issuer.keys["ES384"].kid
    await keys.find(kid, "ES384")
    clock.now += 9
    await keys.find(kid, "ES384")
    assert issuer.fetches == 1
    clock.now += 2
    issuer.keys["ES384"] = new_key("ES384")
    with pytest.raises(NoSuchKey):
        await keys.find(kid, "ES384")
    assert issuer.fetches == 2


async def test_where_the_set_cannot_be_had_nothing_is_verified_and_the_issuer_left_alone(remote):
    issuer, keys, clock = remote
    issuer.cache_control = "max-age=10"
    kid = issuer.keys["ES384"].kid
    await keys.find(kid, "ES384")
    issuer.down = True
    clock.now += 5
    assert await keys.find(kid, "ES384"), "while the set may be kept"
    clock.now += 30
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await keys.find(kid, "ES384")
    assert issuer.fetches == 2
    issuer.down = False
    clock.now += 6
    assert await keys.find(kid, "ES384")


async def test_a_key_has_to_fit_its_algorithm_and_to_be_the_only_one(remote):
    issuer, keys, _ = remote
    with pytest.raises(NoSuchKey):
        await keys.find(issuer.keys["ES384"].kid, "ES256")
    with pytest.raises(NoSuchKey):
        await keys.find(issuer.keys["ES384"].kid, "RS384")
    with pytest.raises(NoSuchKey):
        await keys.find(None, "RS384"), "two RSA keys"


def test_keys_that_cannot_verify_are_left_out():
    good = new_key("ES384").as_dict(private=False)
    small = RSAKey.generate_key(1024, {"kid": "small"}).as_dict(private=False)
    secret = OctKey.generate_key(256, {"kid": "secret"}).as_dict(private=True)
    other_use = {**ECKey.generate_key("P-384").as_dict(private=False), "use": "enc"}
    content = {
        "keys": [good, small, secret, other_use, {"kty": "EC"}, {"kty": "XX"}, 7, {"kty": "RSA", "n": 5}]
    }
    assert [key.kid for key in read_key_set(json.dumps(content).encode())] == [good["kid"]]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"keys": 1}', b"<a/>", b'{"keys": [' + b"{}," * 200 + b"{}]}"]
)
def test_what_is_no_key_set_is_named(content):
    with pytest.raises(KeySetError, match="is not a JWK set"):
        read_key_set(content)


async def test_a_file_is_read_again_when_it_has_changed(tmp_path):
    path = tmp_path / "jwks.json"
    first, second = new_key("ES384"), new_key("ES384")
    path.write_text(json.dumps({"keys": [first.as_dict(private=False)]}))
    keys = KeyFile(path)
    assert await keys.find(first.kid, "ES384")
    path.write_text(json.dumps({"keys": [second.as_dict(private=False)]}))
    os.utime(path, (1, 1))
    assert await keys.find(second.kid, "ES384")
    path.write_text("{")
    os.utime(path, (2, 2))
    with pytest.raises(KeysUnavailable):
        await keys.find(second.kid, "ES384")
