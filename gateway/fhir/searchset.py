"""Bundle of type searchset (FHIR R4 search 3.1.1.2; IHE MHD 4.2.4 2:3.67.4.2.2), joined from bytes.

Resources are written once, where they are made; here they are only framed.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence

import orjson

from gateway.fhir.issues import Issue
from gateway.fhir.outcome import write_outcome


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
    framed = [_frame(full_url, resource, b"match") for full_url, resource in entries]
    framed += [_frame(full_url, resource, b"include") for full_url, resource in included]
    if issues:
        framed.append(_frame(uuid.uuid4().urn, orjson.dumps(write_outcome(issues)), b"outcome"))
    written = orjson.dumps(head)
    if not framed:
        return written
    # FHIR JSON has no empty arrays, and the head is an object that is never empty
    return b"".join((written[:-1], b',"entry":[', b",".join(framed), b"]}"))


def _frame(full_url: str, resource: bytes, mode: bytes) -> bytes:
    return b"".join(
        (
            b'{"fullUrl":',
            orjson.dumps(full_url),
            b',"resource":',
            resource,
            b',"search":{"mode":"',
            mode,
            b'"}}',
        )
    )
