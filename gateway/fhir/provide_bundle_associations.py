"""Associations of a submission from the references of a Provide Document Bundle (IHE MHD 4.2.4, relatesTo and
List.entry to XDS; ITI TF-3 4.2.2).

A Folder member needs a second association, SubmissionSet to the membership, that FHIR does not show
(ITI TF-3 4.2.1.4).
"""

import uuid
from collections.abc import Mapping
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import (
    BundleIndex,
    EntryKind,
    RequestEntry,
    literal_uuid,
    unique_id_of,
)
from gateway.fhir.provide_policy import PublishPolicy
from gateway.model import codes
from gateway.model.metadata import Association

_TYPES: Final[Mapping[str, str]] = {
    "replaces": codes.RPLC,
    "transforms": codes.XFRM,
    "appends": codes.APND,
    "signs": codes.SIGNS,
}
_NOT_HERE: Final = (
    "The reference is neither the fullUrl of an entry of the Bundle nor a resource of this server, which are "
    "named by DocumentReference/ and a UUID or by entryUUID or uniqueId as identifier."
)


def referred_unique_ids(index: BundleIndex) -> tuple[str, ...]:
    """uniqueIds by which the Bundle may refer to documents of this server."""
    references = [
        *(
            item["item"]
            for entry in index.of(EntryKind.SUBMISSION_SET, EntryKind.FOLDER)
            for item in entry.resource.get("entry") or ()
        ),
        *(
            relation["target"]
            for entry in index.of(EntryKind.DOCUMENT)
            for relation in entry.resource.get("relatesTo") or ()
        ),
    ]
    return tuple(dict.fromkeys(found for r in references if (found := unique_id_of(r)) is not None))


class AssociationReader:
    """Collects the associations of one Bundle; ids of associations follow from what they connect."""

    def __init__(
        self,
        index: BundleIndex,
        submission_set: str,
        namespace: uuid.UUID,
        policy: PublishPolicy,
        findings: Findings,
    ) -> None:
        self._policy = policy
        self._not_replaced: set[str] = set()
        self._index = index
        self._submission_set = submission_set
        self._namespace = namespace
        self._findings = findings
        self._made: dict[tuple[str, str, str], Association] = {}

    @property
    def associations(self) -> tuple[Association, ...]:
        """All associations, each once."""
        return tuple(self._made.values())

    def _add(self, kind: str, source: str, target: str, status: str | None = None) -> str:
        key = (kind, source, target)
        if key not in self._made:
            name = uuid.uuid5(self._namespace, " ".join(key)).urn
            self._made[key] = Association(
                entry_uuid=name, type=kind, source=source, target=target, submission_set_status=status
            )
        return self._made[key].entry_uuid

    # --- members ----------------------------------------------------------------------------------------
    def read_members(self, submission_set: RequestEntry | None) -> None:
        """HasMember of the SubmissionSet; what the Bundle brings without listing it is a member too."""
        listed: set[int] = set()
        if submission_set is not None:
            for number, item in enumerate(submission_set.resource.get("entry") or ()):
                path = f"{submission_set.resource_path}.entry[{number}].item"
                member = self._read_member(item["item"], path)
                if member is not None:
                    listed.add(member)
        for entry in self._index.of(EntryKind.DOCUMENT, EntryKind.FOLDER):
            if entry.kind is EntryKind.FOLDER and (
                entry.method == "PUT" or not self._policy.takes("folders")
            ):
                continue
            is_document = entry.kind is EntryKind.DOCUMENT
            target = self._index.uuids[entry.index]
            self._add(codes.HAS_MEMBER, self._submission_set, target, "Original" if is_document else None)
            if entry.index not in listed:
                self._findings.warn(
                    entry.path,
                    "business-rule",
                    "The SubmissionSet does not list this resource; it is submitted as its member.",
                )

    def _read_member(self, reference: Json, path: str) -> int | None:
        entry = self._index.entry_of(reference.get("reference"))
        if entry is not None:
            if entry.kind not in (EntryKind.DOCUMENT, EntryKind.FOLDER):
                self._findings.error(
                    path, "value", "Members of a SubmissionSet are DocumentReferences and Folders."
                )
            return entry.index
        existing = self._index.existing(reference, "DocumentReference")
        if existing is None:
            self._report_unresolved(path)
        else:
            self._add(codes.HAS_MEMBER, self._submission_set, existing, "Reference")
        return None

    def read_folder(self, folder: RequestEntry, held: frozenset[str] = frozenset()) -> frozenset[str]:
        """HasMember of a Folder, and those of the SubmissionSet to them; the documents that are listed.

        `held` are those that are in the Folder already, which need no association.
        """
        source = self._index.uuids[folder.index]
        listed: set[str] = set()
        for number, item in enumerate(folder.resource.get("entry") or ()):
            path = f"{folder.resource_path}.entry[{number}].item"
            reference = item["item"]
            entry = self._index.entry_of(reference.get("reference"))
            if entry is not None and entry.kind is not EntryKind.DOCUMENT:
                self._findings.error(path, "value", "Members of a Folder are DocumentReferences.")
                continue
            target = self._document(reference, entry, path)
            if target is None:
                continue
            listed.add(target)
            if target not in held:
                membership = self._add(codes.HAS_MEMBER, source, target)
                self._add(codes.HAS_MEMBER, self._submission_set, membership)
        return frozenset(listed)

    # --- relations --------------------------------------------------------------------------------------
    def read_relations(self, document: RequestEntry) -> None:
        """relatesTo of a DocumentReference; replaces and transforms of the same target are XFRM_RPLC."""
        own = self._index.uuids[document.index]
        codes_of: dict[str, set[str]] = {}
        for number, relation in enumerate(document.resource.get("relatesTo") or ()):
            path = f"{document.resource_path}.relatesTo[{number}].target"
            entry = self._index.entry_of(relation["target"].get("reference"))
            target = self._document(relation["target"], entry, path)
            if target is None:
                continue
            if target == own:
                self._findings.error(path, "business-rule", "A document cannot relate to itself.")
                continue
            if entry is not None and relation["code"] == "replaces":
                self._findings.error(
                    path, "business-rule", "Only a document that was submitted before can be replaced."
                )
            if self._policy.takes(relation["code"]):
                codes_of.setdefault(target, set()).add(relation["code"])
                continue
            self._policy.report(relation["code"], path, self._findings)
            if relation["code"] == "replaces":
                self._not_replaced.add(target)
        for target, found in codes_of.items():
            if {"replaces", "transforms"} <= found:
                found -= {"replaces", "transforms"}
                self._add(codes.XFRM_RPLC, own, target)
            for code in sorted(found):
                self._add(_TYPES[code], own, target)

    def _document(self, reference: Json, entry: RequestEntry | None, path: str) -> str | None:
        """entryUUID of a DocumentReference in the Bundle or of this server."""
        if entry is not None:
            if entry.kind is EntryKind.DOCUMENT:
                return self._index.uuids[entry.index]
            self._findings.error(path, "value", "The reference is not to a DocumentReference.")
            return None
        existing = self._index.existing(reference, "DocumentReference")
        if existing is None:
            self._report_unresolved(path)
        return existing

    def _report_unresolved(self, path: str) -> None:
        self._findings.error(f"{path}.reference", "not-found", _NOT_HERE, "UnresolvedReferenceException")

    def check_patches(self) -> None:
        """A PATCH belongs to a replacement of the same Bundle, which deprecates its target by itself."""
        replaced = {a.target for a in self._made.values() if a.type in codes.REPLACEMENTS}
        patched: set[str] = set()
        for entry in self._index.of(EntryKind.PATCH):
            target = literal_uuid(entry.url, "DocumentReference", self._index.base_url)
            if target is None:
                continue
            patched.add(target)
            if target not in replaced | self._not_replaced:
                self._findings.error(
                    f"{entry.path}.request.url",
                    "business-rule",
                    "Only what relatesTo replaces in the same Bundle can be set to superseded.",
                )
        for document in self._index.of(EntryKind.DOCUMENT):
            own = self._index.uuids[document.index]
            targets = {
                a.target for a in self._made.values() if a.source == own and a.type in codes.REPLACEMENTS
            }
            if targets - patched:
                self._findings.warn(
                    f"{document.resource_path}.relatesTo",
                    "incomplete",
                    "The Bundle has no PATCH that supersedes the replaced document; it is superseded anyway.",
                )
