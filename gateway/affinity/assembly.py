"""Documents that are made when they are asked for: On-Demand entries (ITI TF-3 4.1.1, ITI TF-2 3.43.4.2.2).

The embedded repository assembles one kind, the list of a patient's documents as text. Equal content of the
registry gives equal bytes, so that a second retrieval finds the snapshot of the first.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from msgspec import structs

from gateway.affinity.identifiers import mint
from gateway.affinity.metadata_rules import ORIGINAL
from gateway.model import Association, Code, DocumentEntry, Submission, SubmissionSet
from gateway.model.codes import HAS_MEMBER, IS_SNAPSHOT_OF, RPLC, STABLE_DOCUMENT
from gateway.model.dtm import to_dtm

MEDIA_TYPE = "text/plain"
"""mimeType of the entries that can be assembled."""


def document_list(title: str | None, entries: Iterable[DocumentEntry]) -> bytes:
    """The list as UTF-8 text with CRLF line ends: a line per document with tab-separated fields."""
    lines = [title or "Documents", ""]
    lines.append("\t".join(("created", "type", "title", "media type", "uniqueId")))
    lines += [
        "\t".join(
            _field(value)
            for value in (
                entry.creation_time,
                _name(entry.type_code),
                entry.title,
                entry.mime_type,
                entry.unique_id,
            )
        )
        for entry in entries
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _field(value: str | None) -> str:
    return " ".join((value or "-").split())


def _name(code: Code | None) -> str | None:
    return None if code is None else code.display or code.code


def new_unique_id() -> str:
    """An OID made of a UUID."""
    return f"2.25.{uuid.uuid4().int}"


def new_unique_id_of(sha1: str) -> str:
    """The OID of a content that is not stored: another one when the content changes."""
    return f"2.25.{int(sha1[:32], 16)}"


def snapshot_of(
    on_demand: DocumentEntry,
    content: tuple[str, int],
    replaced: DocumentEntry | None,
    source_id: str,
    now: datetime,
) -> Submission:
    """The submission that stores what was assembled; `content` is its SHA-1 in hex and its size.

    It replaces the snapshot that was made before it, so that one of them is current.
    """
    moment = to_dtm(now)
    sha1, size = content
    entry = structs.replace(
        on_demand,
        entry_uuid=mint(),
        unique_id=new_unique_id(),
        object_type=STABLE_DOCUMENT,
        creation_time=moment,
        hash=sha1,
        size=size,
        logical_id=None,
        version=None,
        home_community_id=None,
    )
    of_set = SubmissionSet(
        entry_uuid=mint(),
        unique_id=new_unique_id(),
        source_id=source_id,
        submission_time=moment,
        patient_id=on_demand.patient_id,
        content_type=on_demand.type_code,
    )

    def link(kind: str, source: str, target: str) -> Association:
        return Association(
            entry_uuid=mint(),
            type=kind,
            source=source,
            target=target,
            submission_set_status=ORIGINAL if kind == HAS_MEMBER else None,
        )

    associations = [
        link(HAS_MEMBER, of_set.entry_uuid, entry.entry_uuid),
        link(IS_SNAPSHOT_OF, entry.entry_uuid, on_demand.entry_uuid),
    ]
    if replaced is not None:
        associations.append(link(RPLC, entry.entry_uuid, replaced.entry_uuid))
    return Submission(submission_set=of_set, entries=(entry,), associations=tuple(associations))
