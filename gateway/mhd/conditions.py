"""Request headers of a document retrieval: Accept, If-None-Match, Range (RFC 9110 12.5.1, 13.1.2, 14)."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.model.releases import release_named

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(?:[ \t]*;[\x20-\x7e]*)?")
_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A satisfiable range: first and last byte, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in the range."""
        return self.last - self.first + 1


class UnsatisfiableRange(ValueError):
    """The range starts behind the end of the document (416)."""


def is_media_type(text: str) -> bool:
    """True for `type/subtype`, with parameters or not: peers put other things in its place."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def accepts(accept: str | None, media_type: str) -> bool:
    """True where an Accept header allows the media type; no header allows everything."""
    return weight(accept, media_type) > 0


def weight(accept: str | None, media_type: str) -> float:
    """How much an Accept header wants the media type, from 0 to 1; without a header everything is wanted.

    Of a type with fhirVersion, what asks for another release of FHIR wants nothing.
    """
    if accept is None or not accept.strip():
        return 1.0
    bare, *own = (part.strip() for part in media_type.lower().split(";"))
    main, _, sub = bare.partition("/")
    release = _release(own)
    best: tuple[int, float] | None = None
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        asked = _release(parameters)
        if None not in (release, asked) and release_named(asked or "") is not release_named(release or ""):
            continue
        specificity = {f"{main}/{sub}": 3, f"{main}/*": 2, "*/*": 1, "*": 1}.get(name, 0)
        if specificity and (best is None or specificity > best[0]):
            best = (specificity, quality(parameters))
    return best[1] if best is not None else 0.0


def best_type(offered: Sequence[str], accept: str | None) -> str | None:
    """The type that an Accept header wants most, of equal ones the first; None where it allows none."""
    best = max(offered, key=lambda media_type: weight(accept, media_type))
    return best if accepts(accept, best) else None


def _release(parameters: Iterable[str]) -> str | None:
    pairs = (parameter.partition("=") for parameter in parameters)
    return next((value.strip(' "') for name, _, value in pairs if name.strip() == "fhirversion"), None)


def quality(parameters: list[str]) -> float:
    """The weight that parameters of an Accept header give (`q=0.5`); 1 where they have none."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def none_match(header: str | None, etag: str | None) -> bool:
    """True where If-None-Match names the document's ETag (weak comparison), so that it need not be sent."""
    if header is None or etag is None:
        return False
    if header.strip() == "*":
        return True
    return etag in {tag.strip().removeprefix("W/") for tag in header.split(",")}


def parse_range(
    header: str | None, if_range: str | None, size: int | None, etag: str | None
) -> ByteRange | None:
    """The one range to send, or None for the whole document.

    Several ranges, units other than bytes, an unknown size and an If-Range that does not hold mean the whole
    document, as RFC 9110 allows. Raises UnsatisfiableRange.
    """
    if header is None or size is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _RANGE.fullmatch(header.strip())
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise UnsatisfiableRange
        return ByteRange(size - length, size - 1)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        raise UnsatisfiableRange
    return ByteRange(int(first), min(int(last), size - 1) if last else size - 1)
