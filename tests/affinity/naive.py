"""Stored queries over a plain list of objects, straight from ITI TF-2 3.18.4.1.2.3.7, without any index."""

import re
from dataclasses import dataclass, field

from gateway.ebxml.hl7 import write_reference_id, write_xcn
from gateway.model import Association, DocumentEntry, Folder, SubmissionSet
from gateway.model.codes import HAS_MEMBER, STABLE_DOCUMENT
from gateway.model.dtm import dtm_start
from gateway.model.query import (
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
)


@dataclass
class Content:
    entries: list[DocumentEntry] = field(default_factory=list)
    submission_sets: list[SubmissionSet] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    associations: list[Association] = field(default_factory=list)

    def uuids(self) -> list[str]:
        return [
            o.entry_uuid for o in (*self.entries, *self.submission_sets, *self.folders, *self.associations)
        ]


def like(text: str, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    return re.fullmatch("".join(parts.get(c) or re.escape(c) for c in pattern), text, re.DOTALL) is not None


def same(code, wanted) -> bool:
    return code is not None and any((code.code, code.scheme) == (w.code, w.scheme) for w in wanted)


def within(time, start, end) -> bool:
    if time is None:
        return True
    at = dtm_start(time)
    return (start is None or dtm_start(start) <= at) and (end is None or at < dtm_start(end))


def persons(authors) -> list[str]:
    return [write_xcn(a.person) for a in authors if a.person]


def content_matches(e, query) -> bool:
    return (
        (not query.format_code or same(e.format_code, query.format_code))
        and all(any(same(c, group) for c in e.confidentiality) for group in query.confidentiality)
        and e.object_type in (query.document_type or (STABLE_DOCUMENT,))
    )


def entry_matches(e, q) -> bool:
    single = (
        (e.class_code, q.class_code),
        (e.type_code, q.type_code),
        (e.practice_setting, q.practice_setting),
        (e.facility_type, q.facility_type),
    )
    reference_groups = q.reference_ids if isinstance(q, FindDocumentsByReferenceId) else ()
    references = [write_reference_id(r) for r in e.reference_ids]
    return (
        e.patient_id == q.patient_id
        and e.status in q.status
        and content_matches(e, q)
        and all(not wanted or same(code, wanted) for code, wanted in single)
        and all(any(same(c, group) for c in e.event_codes) for group in q.event_codes)
        and (not q.author_person or any(like(t, p) for t in persons(e.authors) for p in q.author_person))
        and within(e.creation_time, q.creation_time_from, q.creation_time_to)
        and within(e.service_start_time, q.service_start_time_from, q.service_start_time_to)
        and within(e.service_stop_time, q.service_stop_time_from, q.service_stop_time_to)
        and all(any(like(t, p) for t in references for p in group) for group in reference_groups)
    )


def evaluate(all_: Content, q) -> Content:
    has_member = [a for a in all_.associations if a.type == HAS_MEMBER]

    def named(values, q_uuids, q_unique_ids=()):
        return [v for v in values if v.entry_uuid in q_uuids or v.unique_id in q_unique_ids]

    def one(values):
        return named(values, {q.entry_uuid} - {None}, {q.unique_id} - {None})

    def touching(uuids):
        return [a for a in all_.associations if a.source in uuids or a.target in uuids]

    def closed(content, also):
        held = set(content.uuids())
        kept = {a.entry_uuid for a in all_.associations if a.source in held and a.target in held}
        kept |= {a.entry_uuid for a in all_.associations if a.entry_uuid in also}
        kept |= {a.entry_uuid for a in all_.associations if a.source in held and a.target in kept}
        content.associations = [a for a in all_.associations if a.entry_uuid in kept]
        return content

    match q:
        case FindDocuments():
            return Content(entries=[e for e in all_.entries if entry_matches(e, q)])
        case FindSubmissionSets():
            return Content(
                submission_sets=[
                    s
                    for s in all_.submission_sets
                    if s.patient_id == q.patient_id
                    and s.status in q.status
                    and (not q.source_id or s.source_id in q.source_id)
                    and within(s.submission_time, q.submission_time_from, q.submission_time_to)
                    and (not q.content_type or same(s.content_type, q.content_type))
                    and (q.author_person is None or any(like(t, q.author_person) for t in persons(s.authors)))
                ]
            )
        case FindFolders():
            return Content(
                folders=[
                    f
                    for f in all_.folders
                    if f.patient_id == q.patient_id
                    and f.status in q.status
                    and within(f.last_update_time, q.last_update_time_from, q.last_update_time_to)
                    and all(any(same(c, group) for c in f.code_list) for group in q.code_list)
                ]
            )
        case GetAll():
            found = Content(
                [
                    e
                    for e in all_.entries
                    if e.patient_id == q.patient_id and e.status in q.entry_status and content_matches(e, q)
                ],
                [
                    s
                    for s in all_.submission_sets
                    if s.patient_id == q.patient_id and s.status in q.submission_set_status
                ],
                [f for f in all_.folders if f.patient_id == q.patient_id and f.status in q.folder_status],
            )
            found.associations = touching(set(found.uuids()))
            return found
        case GetDocuments():
            return Content(entries=named(all_.entries, q.entry_uuids, q.unique_ids))
        case GetFolders():
            return Content(folders=named(all_.folders, q.entry_uuids, q.unique_ids))
        case GetAssociations():
            return Content(associations=touching(q.uuids))
        case GetDocumentsAndAssociations():
            entries = named(all_.entries, q.entry_uuids, q.unique_ids)
            return Content(entries=entries, associations=touching({e.entry_uuid for e in entries}))
        case GetSubmissionSets():
            links = [a for a in has_member if a.target in q.uuids]
            sets = [s for s in all_.submission_sets if s.entry_uuid in {a.source for a in links}]
            held = {s.entry_uuid for s in sets}
            return Content(submission_sets=sets, associations=[a for a in links if a.source in held])
        case GetSubmissionSetAndContents():
            sets = one(all_.submission_sets)
            members = {a.target for a in has_member if a.source in {s.entry_uuid for s in sets}}
            return closed(
                Content(
                    [e for e in all_.entries if e.entry_uuid in members and content_matches(e, q)],
                    sets,
                    [f for f in all_.folders if f.entry_uuid in members],
                ),
                members,
            )
        case GetFolderAndContents():
            folders = one(all_.folders)
            links = [a for a in has_member if a.source in {f.entry_uuid for f in folders}]
            entries = [
                e for e in all_.entries if e.entry_uuid in {a.target for a in links} and content_matches(e, q)
            ]
            held = {e.entry_uuid for e in entries}
            return Content(
                entries=entries, folders=folders, associations=[a for a in links if a.target in held]
            )
        case GetFoldersForDocument():
            entries = {e.entry_uuid for e in one(all_.entries)}
            holders = {a.source for a in has_member if a.target in entries}
            return Content(folders=[f for f in all_.folders if f.entry_uuid in holders])
        case GetRelatedDocuments():
            start = {e.entry_uuid for e in one(all_.entries)}
            allowed = start | {
                e.entry_uuid for e in all_.entries if e.object_type in (q.document_type or (STABLE_DOCUMENT,))
            }
            links = [
                a
                for a in touching(start)
                if a.type in q.association_types and a.source in allowed and a.target in allowed
            ]
            ends = {end for a in links for end in (a.source, a.target)}
            return Content(
                entries=[e for e in all_.entries if e.entry_uuid in ends],
                associations=links,
            )
    raise AssertionError(q)
