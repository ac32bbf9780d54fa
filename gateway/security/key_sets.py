"""Public keys of issuers and clients: JWK sets (RFC 7517) from a URL or a file, kept within bounds.

A set is kept no longer than its answer allows. A key that it does not have is looked for once more, and not
more often than once in an interval, so that tokens with made-up key ids cause no traffic.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from yarl import URL

from gateway.security.bounded import AnswerTooLong, read_at_most
from gateway.tls import Context, default_context

PublicKey = RSAKey | ECKey

KEY_TYPES: Final[Mapping[str, tuple[str, str | None]]] = {
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
"""Algorithms of RFC 7518 that can be allowed, with type and curve of their keys: none that signs with a
secret, and not `none`."""

_LARGEST: Final = 256 * 1024
_MOST_KEYS: Final = 100
_SHORTEST_MODULUS: Final = 342
"""Characters of base64url that 2048 bits take."""
_SECONDS: Final = 5.0
_AGAIN_AFTER: Final = 30.0
_USUAL_AGE: Final = 300.0
_LONGEST_AGE: Final = 3600.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])")
_NOT_KEPT = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])")

log = structlog.get_logger()


class KeysUnavailable(Exception):
    """The set cannot be had, so that nothing can be verified; the text says where it should be."""


class NoSuchKey(Exception):
    """The set has not exactly one key that the header of the token means."""


class KeySetError(ValueError):
    """What should be a JWK set is none; the text says in what."""


class Keys(Protocol):
    """Where a key is found by what the header of a token says."""

    async def find(self, kid: str | None, algorithm: str) -> PublicKey:
        """The one key of this id and of the type of the algorithm. Raises NoSuchKey, KeysUnavailable."""
        ...


def read_key_set(content: bytes) -> tuple[PublicKey, ...]:
    """The keys of a set that can verify; others are left out. Raises KeySetError."""
    try:
        listed = orjson.loads(content)["keys"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise KeySetError("is not a JWK set: a JSON object with keys") from None
    if not isinstance(listed, list) or len(listed) > _MOST_KEYS:
        raise KeySetError(f"is not a JWK set of at most {_MOST_KEYS} keys")
    return tuple(key for item in listed if (key := _public_key(item)) is not None)


def _public_key(item: Any) -> PublicKey | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    if "verify" not in item.get("key_ops", ("verify",)):
        return None
    public = {name: item[name] for name in ("kty", "kid", "alg", "n", "e", "crv", "x", "y") if name in item}
    try:
        if public.get("kty") == "RSA":
            return RSAKey.import_key(public) if len(public["n"]) >= _SHORTEST_MODULUS else None
        return ECKey.import_key(public) if public.get("kty") == "EC" else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def choose(keys: Sequence[PublicKey], kid: str | None, algorithm: str) -> PublicKey:
    """The one key that a header means. Raises NoSuchKey, also where there are several."""
    key_type, curve = KEY_TYPES[algorithm]
    fitting = []
    for key in keys:
        said = key.as_dict(private=False)
        if said["kty"] == key_type and said.get("crv") == curve and said.get("alg", algorithm) == algorithm:
            fitting.append((said.get("kid"), key))
    found = [key for known, key in fitting if kid is None or known == kid]
    if len(found) != 1:
        raise NoSuchKey
    return found[0]


class FixedKeys:
    """Keys that are given, such as those of a client in the settings."""

    def __init__(self, keys: Callable[[], Sequence[PublicKey]]) -> None:
        self._keys = keys

    async def find(self, kid: str | None, algorithm: str) -> PublicKey:
        """See `Keys`."""
        return choose(self._keys(), kid, algorithm)


class KeyFile:
    """A set in a file, which is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Raises KeySetError and OSError where there is no set now."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._keys: tuple[PublicKey, ...] = ()
        self._read()

    async def find(self, kid: str | None, algorithm: str) -> PublicKey:
        """See `Keys`."""
        try:
            self._read()
        except (OSError, KeySetError) as error:
            log.error("keys.unreadable", file=str(self._path), error=type(error).__name__)
            raise KeysUnavailable(str(self._path)) from None
        return choose(self._keys, kid, algorithm)

    def _read(self) -> None:
        stat = self._path.stat()
        seen = (stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._keys = read_key_set(self._path.read_bytes())
            self._seen = seen


class RemoteKeys:
    """A set at a URL of the settings; redirects are not followed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        clock: Callable[[], float] = time.monotonic,
        tls: Context = default_context,
    ) -> None:
        self._session = session
        self._tls = tls
        self._url = url
        self._clock = clock
        self._keys: tuple[PublicKey, ...] = ()
        self._good_until = 0.0
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> PublicKey:
        """See `Keys`."""
        if self._clock() >= self._good_until:
            await self._renew(lambda: self._clock() >= self._good_until)
        seen = self._keys
        try:
            return choose(seen, kid, algorithm)
        except NoSuchKey:
            # issuers that rotate put new keys in their set before they use them
            if self._clock() >= self._not_before:
                await self._renew(lambda: self._keys is seen)
            return choose(self._keys, kid, algorithm)

    async def _renew(self, still_wanted: Callable[[], bool]) -> None:
        async with self._one_at_a_time:
            if not still_wanted():
                return
            now = self._clock()
            if now < self._not_before and now >= self._good_until and not self._keys:
                # the last try failed a moment ago
                raise KeysUnavailable(self._url)
            self._not_before = now + _AGAIN_AFTER
            try:
                content, age = await self._fetch()
                self._keys = read_key_set(content)
            except (aiohttp.ClientError, TimeoutError, OSError, KeySetError, AnswerTooLong) as error:
                log.error("keys.unavailable", host=URL(self._url).host, error=type(error).__name__)
                if now < self._good_until:
                    return
                self._keys = ()
                self._not_before = now + _SECONDS
                raise KeysUnavailable(self._url) from None
            self._good_until = now + age

    async def _fetch(self) -> tuple[bytes, float]:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        headers = {"Accept": "application/jwk-set+json, application/json"}
        async with self._session.get(
            self._url, headers=headers, timeout=timeout, allow_redirects=False, ssl=self._tls()
        ) as answer:
            if answer.status != 200:
                raise KeySetError(f"answered {answer.status}")
            content = await read_at_most(answer, _LARGEST)
            return content, _age(answer.headers.get("Cache-Control", ""))


def _age(cache_control: str) -> float:
    """Seconds for which a set may be kept. What may not be kept at all is kept for the time of a burst."""
    text = cache_control.lower()
    if _NOT_KEPT.search(text):
        return 1.0
    stated = _MAX_AGE.search(text)
    return min(max(float(stated[1]), 1.0), _LONGEST_AGE) if stated else _USUAL_AGE
