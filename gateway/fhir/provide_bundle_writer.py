"""Submission -> Provide Document Bundle (ITI-65; IHE MHD 4.2.4 2:3.65.4.1.2), for servers that store it.

Everything has a UUID as fullUrl and refers to each other by it; what a server already has is referred to as
it names it. The bytes of documents are not part of what is written here: in their place stand marks.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from gateway.fhir.datatypes import Json, is_uuid_urn
from gateway.fhir.document_reference import WriteContext, write_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import Association, Cx, DocumentEntry, Folder, Submission, SubmissionSet

_RELATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    codes.RPLC: ("replaces",),
    codes.XFRM: ("transforms",),
    codes.APND: ("appends",),
    codes.SIGNS: ("signs",),
    codes.XFRM_RPLC: ("replaces", "transforms"),
}
_MINIMAL: Final = frozenset(
    {
        codes.PROFILE_MINIMAL_DOCUMENT,
        codes.PROFILE_MINIMAL_SUBMISSION_SET,
        codes.PROFILE_MINIMAL_FOLDER,
    }
)


class NotWritable(Exception):
    """A submission holds what FHIR, or a Bundle, has no place for; the text says what."""


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What the writer needs besides the submission.

    `existing` gives the reference (`DocumentReference/1`) of each entryUUID that the submission names and
    does not hold; `marks` what stands for the bytes of each document, by entryUUID; `patient` the Reference
    of a patient.
    """

    terminology: Terminology
    existing: Mapping[str, str]
    marks: Mapping[str, str]
    patient: Callable[[Cx], Json]


def with_uuids(submission: Submission) -> tuple[Submission, dict[str, str]]:
    """The submission with UUIDs in place of symbolic ids, and the ids of its objects now by those before."""
    objects: list[DocumentEntry | Folder | SubmissionSet] = [submission.submission_set]
    objects += [*submission.entries, *submission.folders]
    names = {
        item.entry_uuid: item.entry_uuid if is_uuid_urn(item.entry_uuid) else uuid.uuid4().urn
        for item in objects
    }
    entries = tuple(replace(e, entry_uuid=names[e.entry_uuid]) for e in submission.entries)
    folders = tuple(replace(f, entry_uuid=names[f.entry_uuid]) for f in submission.folders)
    own = submission.submission_set
    return (
        Submission(
            submission_set=replace(own, entry_uuid=names[own.entry_uuid]),
            entries=entries,
            folders=folders,
            associations=tuple(
                replace(a, source=names.get(a.source, a.source), target=names.get(a.target, a.target))
                for a in submission.associations
            ),
        ),
        names,
    )


def named_elsewhere(submission: Submission) -> tuple[str, ...]:
    """entryUUIDs that the associations name and the submission does not hold, without Associations."""
    held = {entry.entry_uuid for entry in submission.entries}
    held |= {association.entry_uuid for association in submission.associations}
    held |= {folder.entry_uuid for folder in submission.folders}
    held.add(submission.submission_set.entry_uuid)
    ends = (end for a in submission.associations for end in (a.source, a.target))
    return tuple(dict.fromkeys(end for end in ends if end not in held))


def write_provide_bundle(submission: Submission, parts: BundleParts) -> Json:
    """The Bundle. Raises NotWritable."""
    binaries = {entry.entry_uuid: uuid.uuid4().urn for entry in submission.entries}
    context = WriteContext(
        terminology=parts.terminology,
        base_url="",
        document_url=lambda entry: binaries[entry.entry_uuid],
        patient_reference=parts.patient,
    )
    writer = _Writer(submission, parts, context)
    resources = [
        (submission.submission_set.entry_uuid, writer.submission_set()),
        *((entry.entry_uuid, writer.document(entry)) for entry in submission.entries),
        *((folder.entry_uuid, writer.folder(folder)) for folder in submission.folders),
    ]
    minimal = any(
        _MINIMAL.intersection((resource.get("meta") or {}).get("profile") or ()) for _, resource in resources
    )
    profile = codes.PROFILE_MINIMAL_BUNDLE if minimal else codes.PROFILE_COMPREHENSIVE_BUNDLE
    entries = [_post(full_url, resource) for full_url, resource in resources]
    entries += [_post(binaries[e.entry_uuid], _binary(e, parts.marks)) for e in submission.entries]
    entries += map(_superseding, writer.replaced())
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [profile]},
        "type": "transaction",
        "entry": entries,
    }


class _Writer:
    """The resources of one submission."""

    def __init__(self, submission: Submission, parts: BundleParts, context: WriteContext) -> None:
        self._submission = submission
        self._parts = parts
        self._context = context
        self._uuids = {entry.entry_uuid for entry in submission.entries}
        self._folders = {folder.entry_uuid for folder in submission.folders}
        self._links = {association.entry_uuid for association in submission.associations}
        self._check()

    def _check(self) -> None:
        holders = {self._submission.submission_set.entry_uuid, *self._folders}
        for association in self._submission.associations:
            if association.type == codes.HAS_MEMBER:
                if association.source not in holders:
                    raise NotWritable("it adds to a Folder that exists, which is not done by FHIR here")
            elif association.type not in _RELATIONS:
                raise NotWritable("it has an Association of a type that FHIR has no place for")
            elif association.source not in self._uuids:
                raise NotWritable("it relates documents of which it holds none")

    def submission_set(self) -> Json:
        own = self._submission.submission_set
        return self._with_members(write_submission_set_list(own, (), self._context), own.entry_uuid)

    def folder(self, folder: Folder) -> Json:
        return self._with_members(write_folder_list(folder, (), self._context), folder.entry_uuid)

    def _with_members(self, resource: Json, holder: str) -> Json:
        members = [
            self._reference(association.target)
            for association in self._submission.associations
            if association.type == codes.HAS_MEMBER
            and association.source == holder
            and association.target not in self._links
        ]
        if members:
            resource["entry"] = [{"item": {"reference": member}} for member in members]
        return resource

    def document(self, entry: DocumentEntry) -> Json:
        resource = write_document_reference(entry, self._context)
        relations = [
            {"code": code, "target": {"reference": self._reference(association.target)}}
            for association in self._relations()
            if association.source == entry.entry_uuid
            for code in _RELATIONS[association.type]
        ]
        if relations:
            resource["relatesTo"] = relations
        return resource

    def replaced(self) -> list[str]:
        """References of documents of the server that the submission replaces."""
        targets = (a.target for a in self._relations() if a.type in codes.REPLACEMENTS)
        return [
            self._parts.existing[target] for target in dict.fromkeys(targets) if target not in self._uuids
        ]

    def _relations(self) -> Iterable[Association]:
        return (a for a in self._submission.associations if a.type != codes.HAS_MEMBER)

    def _reference(self, entry_uuid: str) -> str:
        if entry_uuid in self._uuids or entry_uuid in self._folders:
            return entry_uuid
        return self._parts.existing[entry_uuid]


def _post(full_url: str, resource: Json) -> Json:
    # the server gives it an id of its own
    resource.pop("id", None)
    meta = resource.get("meta")
    if meta is not None:
        resource["meta"] = {"profile": meta["profile"]} if meta.get("profile") else {}
        if not resource["meta"]:
            del resource["meta"]
    return {
        "fullUrl": full_url,
        "resource": resource,
        "request": {"method": "POST", "url": resource["resourceType"]},
    }


def _binary(entry: DocumentEntry, marks: Mapping[str, str]) -> Json:
    binary = {"resourceType": "Binary", "contentType": entry.mime_type}
    # FHIR has no empty strings: a document of 0 bytes is a Binary without data
    return {**binary, "data": marks[entry.entry_uuid]} if entry.size else binary


def _superseding(reference: str) -> Json:
    """What makes a replaced document superseded (profile Patch.Parameters)."""
    operation: list[Any] = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "DocumentReference.status"},
        {"name": "value", "valueCode": "superseded"},
    ]
    return {
        "fullUrl": uuid.uuid4().urn,
        "resource": {
            "resourceType": "Parameters",
            "parameter": [{"name": "operation", "part": operation}],
        },
        "request": {"method": "PATCH", "url": reference},
    }
