"""Ids of registry objects of other communities.

An entryUUID is unique in the world in theory, and what leads to it is the community that has it. Inside the
gateway an object of another community is therefore known as `urn:uuid:<uuid>.<mark>`, where the mark stands
for the homeCommunityId: whoever has the id knows whom to ask, also after everything that was remembered is
gone, and copies of a document in two communities stay two. On the wire of a community there are no marks.
"""

import base64
import hashlib
import re
from functools import lru_cache
from typing import Final

MARK_BYTES: Final = 5
_MARKED: Final = re.compile(r"(urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([a-z2-7]{8})")
_OBJECT_ID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[a-z2-7]{8})?")


@lru_cache(maxsize=1024)
def community_mark(home_community_id: str) -> str:
    """The mark of a community: eight letters and digits, always the same."""
    digest = hashlib.sha256(home_community_id.encode()).digest()[:MARK_BYTES]
    return mark_of_bytes(digest)


def mark_bytes(mark: str) -> bytes:
    """A mark in `MARK_BYTES` bytes."""
    return base64.b32decode(mark.upper())


def mark_of_bytes(packed: bytes) -> str:
    """The mark that was packed."""
    return base64.b32encode(packed).decode().lower()


def marked(entry_uuid: str, home_community_id: str) -> str:
    """The id of an object of another community."""
    return f"{entry_uuid}.{community_mark(home_community_id)}"


def unmarked(object_id: str) -> tuple[str, str | None]:
    """The entryUUID that the registry of its community knows, and the mark; None for an own object."""
    found = _MARKED.fullmatch(object_id)
    return (found[1], found[2]) if found else (object_id, None)


def is_object_id(text: str) -> bool:
    """True for `urn:uuid:` and a UUID in lower case, with or without a mark."""
    return _OBJECT_ID.fullmatch(text) is not None
