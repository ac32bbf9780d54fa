"""What makes two Provide Document Bundles (ITI-65) the same submission.

A fullUrl of an entry is a label that holds within the Bundle, and clients make new ones when they build the
Bundle again. So a label counts by the position of the entry that bears it. Everything else in the entries
counts as it was sent: identifiers above all, since another uniqueId is another submission. What surrounds
the entries (id, timestamp, meta) is not part of the submission and does not count, nor does the text of
narratives, which is written in more than one way and not stored. So a Bundle counts the same in XML and
in JSON.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.fhir.datatypes import Json, is_uuid_urn
from gateway.fhir.provide_bundle_entries import RequestEntry


def content_digest(
    raw_entries: Sequence[Json], entries: Sequence[RequestEntry], contents: Mapping[int, bytes]
) -> str:
    """SHA-256 in hex, the same for every order of properties.

    `contents` are the documents by position of their Binary, whose base64 the entries no longer hold; a
    document counts by its bytes.
    """
    labels: dict[str, int] = {}
    for entry in entries:
        if entry.full_url and is_uuid_urn(entry.full_url):
            labels.setdefault(entry.full_url.lower(), entry.index)
    canonical = [_canonical(entry, labels) for entry in raw_entries]
    hashes = {str(position): hashlib.sha256(content).hexdigest() for position, content in contents.items()}
    text = orjson.dumps([canonical, hashes], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


def _canonical(value: Any, labels: Mapping[str, int], parent: str = "") -> Any:
    if isinstance(value, list):
        return [_canonical(item, labels, parent) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _label(item, labels)
        if isinstance(item, str) and _refers(name, parent)
        else _canonical(item, labels, name)
        for name, item in value.items()
        if name != "div"
    }


def _refers(name: str, parent: str) -> bool:
    return name in ("fullUrl", "reference") or (name == "url" and parent == "attachment")


def _label(text: str, labels: Mapping[str, int]) -> Any:
    """Position of the entry that `text` is a label of, as a number, which none of these elements can hold."""
    return labels.get(text.lower(), text)
