"""Bundle of type searchset (FHIR R4 search 3.1.1.2; IHE MHD 4.2.4 2:3.67.4.2.2), joined from bytes.

Resources are written once, where they are made; here they are only framed.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import orjson

from gateway.fhir.issues import Issue
from gateway.fhir.outcome import write_outcome
from gateway.model import codes

_MATCH: Final = b'{"mode":"match"}'
_INCLUDE: Final = b'{"mode":"include"}'
_OUTCOME: Final = b'{"mode":"outcome"}'


def write_searchset(
    *,
    entries: Iterable[tuple[str, bytes]],
    included: Iterable[tuple[str, bytes]] = (),
    total: int,
    links: Mapping[str, str],
    issues: Sequence[Issue] = (),
) -> bytes:
    """The Bundle as JSON.

    `entries` are fullUrl and resource of each match, `included` those of what comes along. `total` counts the
    matches of all pages, `links` are URLs by relation (`self`, `next`). Issues become one OperationOutcome
    entry with search mode outcome.
    """
    head = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": [{"relation": relation, "url": url} for relation, url in links.items()],
    }
    if not links:
        del head["link"]
    framed = [_frame(full_url, resource, _MATCH) for full_url, resource in entries]
    framed += [_frame(full_url, resource, _INCLUDE) for full_url, resource in included]
    if issues:
        framed.append(_frame(uuid.uuid4().urn, orjson.dumps(write_outcome(issues)), _OUTCOME))
    return _framed(head, framed)


def _framed(head: Mapping[str, object], framed: Sequence[bytes]) -> bytes:
    written = orjson.dumps(head)
    if not framed:
        return written
    # FHIR JSON has no empty arrays, and the head is an object that is never empty
    return b"".join((written[:-1], b',"entry":[', b",".join(framed), b"]}"))


class Scored(NamedTuple):
    """A match of `$match`: fullUrl, resource, score (0 to 1) and code of match-grade."""

    full_url: str
    resource: bytes
    score: float
    grade: str


def write_matches(matches: Sequence[Scored], issues: Sequence[Issue] = ()) -> bytes:
    """The Bundle that answers `$match` (IHE PDQm 3.2.0, IHE.PDQm.MatchParametersOut) as JSON."""
    framed = [
        _frame(
            one.full_url,
            one.resource,
            orjson.dumps(
                {
                    "extension": [{"url": codes.EXT_MATCH_GRADE, "valueCode": one.grade}],
                    "mode": "match",
                    "score": one.score,
                }
            ),
        )
        for one in matches
    ]
    if issues:
        framed.append(_frame(uuid.uuid4().urn, orjson.dumps(write_outcome(issues)), _OUTCOME))
    return _framed({"resourceType": "Bundle", "type": "searchset", "total": len(matches)}, framed)


def _frame(full_url: str, resource: bytes, search: bytes) -> bytes:
    return b"".join(
        (b'{"fullUrl":', orjson.dumps(full_url), b',"resource":', resource, b',"search":', search, b"}")
    )
