"""Sealing: authenticated encryption of what leaves the gateway and comes back, or lies in a shared store.

AES-256-GCM-SIV (RFC 8452) under a constant nonce. Its authentication tag is computed from the whole
content and then serves as the initial counter, so a repeated nonce reveals nothing but that two contents
are equal. That is wanted: the same document has the same URL on every replica and after a restart. With
one nonce the birthday bound on the tag is what limits a key: after 2**40 contents a collision has a
probability below 2**-46.

Each purpose has its own key, derived from the master key by HKDF-SHA256 (RFC 5869), so a token of one
purpose is none of another.
"""

import base64
import binascii
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
OVERHEAD: Final = 17
"""Bytes that sealing adds: one of key id, sixteen of tag."""

_NONCE = bytes(12)


class NotOurs(ValueError):
    """The token was not made under one of the keys and for this purpose, or was altered since."""

    def __init__(self) -> None:
        super().__init__("not a token of this gateway")


class KeyRingError(ValueError):
    """A key cannot be used; the text says which one and never quotes it."""


class KeyRing:
    """Master keys of 32 bytes: the first writes, all read. Rotation puts a new key in front."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise KeyRingError("no key given: at least one is needed")
        for number, key in enumerate(keys, 1):
            if len(key) != KEY_BYTES:
                raise KeyRingError(f"key {number} has {len(key)} bytes: {KEY_BYTES} are needed")
        self._keys = tuple(dict.fromkeys(keys))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Keys as text, 64 hex digits or base64 (either alphabet, padding optional). Raises KeyRingError."""
        return cls([_parse_key(text, number) for number, text in enumerate(texts, 1)])

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key file, one key a line; where there is none, make one with a random key (mode 0600).

        The file is complete and on disk before this returns: a token is never given out under a key that a
        crash could take away. Of several processes that start at once, one wins and all read its key.
        Raises KeyRingError for a file that holds no keys, OSError where it can be neither read nor made.
        """
        if not path.exists():
            _create_key_file(path)
        lines = [line for line in path.read_text("ascii", "replace").splitlines() if line.strip()]
        try:
            return cls.parse(lines)
        except KeyRingError as error:
            raise KeyRingError(f"{path}: {error}") from None

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """One 32-byte key for `purpose` from each master key, in the order of the ring."""
        info = b"mhd-xds-gateway " + purpose.encode()
        return tuple(
            HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(key) for key in self._keys
        )


def _parse_key(text: str, number: int) -> bytes:
    bare = text.strip()
    try:
        if len(bare) == 2 * KEY_BYTES:
            return bytes.fromhex(bare)
        standard = bare.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise KeyRingError(
            f"key {number} is not text of {KEY_BYTES} bytes: 64 hex digits or 44 characters of base64"
        ) from None


def _create_key_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # a hard link, unlike a rename, does not replace the key of another process that was faster
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Sealer:
    """Seals and opens for one purpose. Equal content gives an equal token. Safe to share by threads."""

    __slots__ = ("_by_id", "_fallback", "_first", "_first_id")

    def __init__(self, ring: KeyRing, purpose: str) -> None:
        ciphers: list[tuple[int, AESGCMSIV]] = []
        for key in ring.derive(purpose):
            key_id = hmac.digest(key, b"key id", "sha256")[0]
            ciphers.append((key_id, AESGCMSIV(key)))
        self._first_id = bytes([ciphers[0][0]])
        self._first = ciphers[0][1]
        self._by_id = {
            key_id: tuple(cipher for other, cipher in ciphers if other == key_id) for key_id, _ in ciphers
        }
        self._fallback = (self._first,)

    def seal_bytes(self, content: bytes, context: bytes = b"") -> bytes:
        """Key id, ciphertext and tag. `context` is authenticated, not carried: opening needs the same."""
        return self._first_id + self._first.encrypt(_NONCE, content, self._first_id + context)

    def open_bytes(self, sealed: bytes, context: bytes = b"") -> bytes:
        """The content. Raises NotOurs."""
        # an unknown key id costs the same work as a wrong tag, so the time says nothing about the ring
        for cipher in self._by_id.get(sealed[0], self._fallback) if sealed else ():
            try:
                return cipher.decrypt(_NONCE, sealed[1:], sealed[:1] + context)
            except (InvalidTag, ValueError):
                continue
        raise NotOurs

    def seal(self, content: bytes) -> str:
        """A token of `A-Z a-z 0-9 - _`, fit for a URL path or query, about 4/3 of the content's length."""
        return base64.urlsafe_b64encode(self.seal_bytes(content)).rstrip(b"=").decode()

    def open(self, token: str) -> bytes:
        """The content of a token. Raises NotOurs, also where only the spelling of the token was altered."""
        try:
            text = token.encode("ascii")
            sealed = base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise NotOurs from None
        # base64 has several spellings of one value where the last character has spare bits
        if base64.urlsafe_b64encode(sealed).rstrip(b"=") != text:
            raise NotOurs
        return self.open_bytes(sealed)


__all__ = ["KEY_BYTES", "OVERHEAD", "KeyRing", "KeyRingError", "NotOurs", "Sealer"]
