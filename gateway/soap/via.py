"""Through which communities a request has come, so that one which comes back is not sent round again.

A header block `via:Via` holds a homeCommunityId for each gateway on the way, the latest last. It need not be
understood: receivers of other make ignore it, and a gateway that answers from its own domain alone cannot
loop. The block is read from requests of other communities and goes with every request that is made while
one of them is answered.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from lxml.etree import Element, SubElement, _Element

from gateway.model.codes import NS_VIA

_VIA: Final = f"{{{NS_VIA}}}Via"
_COMMUNITY: Final = f"{{{NS_VIA}}}HomeCommunityId"
_MOST: Final = 64
COMMUNITIES_HEADER: Final = "Gateway-Communities"
"""The same in requests of FHIR, as a list with commas."""

_came_through: ContextVar[tuple[str, ...]] = ContextVar("came_through", default=())


def came_through() -> tuple[str, ...]:
    """The communities of the request that is being answered, the own one included; else empty."""
    return _came_through.get()


@contextmanager
def answering(communities: Sequence[str]) -> Iterator[None]:
    """What is sent in here says that it came through `communities`."""
    token = _came_through.set(tuple(communities))
    try:
        yield
    finally:
        _came_through.reset(token)


def via_block(communities: Iterable[str]) -> tuple[_Element, ...]:
    """The header block, none where there is nothing to say; each community once."""
    named = tuple(dict.fromkeys(communities))
    if not named:
        return ()
    block = Element(_VIA, nsmap={"via": NS_VIA})
    for community in named:
        SubElement(block, _COMMUNITY).text = community
    return (block,)


def read_via(header: _Element | None) -> tuple[str, ...]:
    """The communities that a request names, at most 64."""
    block = None if header is None else header.find(_VIA)
    if block is None:
        return ()
    named = ((item.text or "").strip() for item in block.iterchildren(_COMMUNITY))
    return tuple(text for text in named if text)[:_MOST]


def header_value(communities: Iterable[str]) -> str | None:
    """What `COMMUNITIES_HEADER` says; None where there is nothing to say."""
    return ", ".join(dict.fromkeys(communities)) or None


def read_header_value(text: str | None) -> tuple[str, ...]:
    """The communities that the header of a request names, at most 64."""
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))[:_MOST]
