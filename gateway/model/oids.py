"""OIDs, which some messages write bare (`1.2.3`) and others as a URN (`urn:oid:1.2.3`, RFC 3061)."""

import re
import uuid

_URN = "urn:oid:"
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")


def is_oid(value: str) -> bool:
    """True for a bare OID of at least two arcs."""
    return _OID.fullmatch(value) is not None


def bare_oid(value: str) -> str:
    """The value without `urn:oid:`, in whatever letter case; any other value unchanged."""
    return value[len(_URN) :] if value[: len(_URN)].lower() == _URN else value


def oid_of_url(url: str) -> str:
    """An OID that stands for a URL, always the same (ITU-T X.667)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, url).int}"
