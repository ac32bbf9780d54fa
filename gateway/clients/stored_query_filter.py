"""Stored queries applied to objects (ITI TF-2 3.18.4.1.2.3.7): what of an answer a query asks for.

For peers that are asked in another way than by the query itself. Limits of times compare the first instant
of what an object says, and an object without the time is not excluded.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from gateway.ebxml import hl7
from gateway.model import AvailabilityStatus, Code, Cx, DocumentEntry, Folder, SubmissionSet
from gateway.model.codes import STABLE_DOCUMENT
from gateway.model.dtm import dtm_start
from gateway.model.query import (
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetFolderAndContents,
    GetSubmissionSetAndContents,
)


def finds_document(query: FindDocuments, entry: DocumentEntry) -> bool:
    """True where FindDocuments or FindDocumentsByReferenceId asks for the entry."""
    return (
        _is_of(query.patient_id, query.status, entry)
        and has_type(query.document_type, entry)
        and _coded(query.class_code, (entry.class_code,))
        and _coded(query.type_code, (entry.type_code,))
        and _coded(query.practice_setting, (entry.practice_setting,))
        and _coded(query.facility_type, (entry.facility_type,))
        and _coded(query.format_code, (entry.format_code,))
        and _all_coded(query.event_codes, entry.event_codes)
        and _all_coded(query.confidentiality, entry.confidentiality)
        and _like(query.author_person, _author_persons(entry))
        and _within(query.creation_time_from, query.creation_time_to, entry.creation_time)
        and _within(query.service_start_time_from, query.service_start_time_to, entry.service_start_time)
        and _within(query.service_stop_time_from, query.service_stop_time_to, entry.service_stop_time)
        and (not isinstance(query, FindDocumentsByReferenceId) or _has_references(query, entry))
    )


def finds_submission_set(query: FindSubmissionSets, item: SubmissionSet) -> bool:
    """True where FindSubmissionSets asks for the object."""
    patterns = () if query.author_person is None else (query.author_person,)
    return (
        _is_of(query.patient_id, query.status, item)
        and (not query.source_id or item.source_id in query.source_id)
        and _within(query.submission_time_from, query.submission_time_to, item.submission_time)
        and _coded(query.content_type, (item.content_type,))
        and _like(patterns, _author_persons(item))
    )


def finds_folder(query: FindFolders, item: Folder) -> bool:
    """True where FindFolders asks for the object."""
    return (
        _is_of(query.patient_id, query.status, item)
        and _within(query.last_update_time_from, query.last_update_time_to, item.last_update_time)
        and _all_coded(query.code_list, item.code_list)
    )


def is_content(
    query: GetAll | GetSubmissionSetAndContents | GetFolderAndContents, entry: DocumentEntry
) -> bool:
    """True where the limits of a query for whole submissions, folders or patients let the entry through."""
    return (
        has_type(query.document_type, entry)
        and _coded(query.format_code, (entry.format_code,))
        and _all_coded(query.confidentiality, entry.confidentiality)
    )


def has_type(wanted: Sequence[str], entry: DocumentEntry) -> bool:
    """True for an entry of one of these objectTypes; none is stable documents alone."""
    return entry.object_type in (wanted or (STABLE_DOCUMENT,))


def _is_of(patient: Cx, status: Sequence[AvailabilityStatus], item: Any) -> bool:
    return item.patient_id == patient and item.status in status


def _coded(wanted: Sequence[Code], held: Iterable[Code | None]) -> bool:
    if not wanted:
        return True
    keys = {(code.code, code.scheme) for code in wanted}
    return any(code is not None and (code.code, code.scheme) in keys for code in held)


def _all_coded(groups: Iterable[Sequence[Code]], held: Sequence[Code]) -> bool:
    return all(_coded(group, held) for group in groups)


def _within(since: str | None, before: str | None, time: str | None) -> bool:
    moment = _start(time)
    if moment is None:
        return True
    first, end = _start(since), _start(before)
    return (first is None or moment >= first) and (end is None or moment < end)


def _start(time: str | None) -> datetime | None:
    try:
        return dtm_start(time) if time else None
    except ValueError:
        return None


def _author_persons(item: DocumentEntry | SubmissionSet) -> list[str]:
    return [hl7.write_xcn(author.person) for author in item.authors if author.person is not None]


def _has_references(query: FindDocumentsByReferenceId, entry: DocumentEntry) -> bool:
    texts = [hl7.write_reference_id(reference) for reference in entry.reference_ids]
    return all(_like(group, texts) for group in query.reference_ids)


def _like(patterns: Sequence[str], texts: Sequence[str]) -> bool:
    return not patterns or any(matches(text) for matches in map(_matcher, patterns) for text in texts)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> Callable[[str], Any]:
    """LIKE of SQL-92: `%` is any text, `_` any character."""
    text = "".join({"%": ".*", "_": "."}.get(char) or re.escape(char) for char in pattern)
    return re.compile(text, re.DOTALL).fullmatch
