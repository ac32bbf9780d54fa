"""Resources that come along with a page of ITI-66 or ITI-67: `_include` and `_revinclude` (FHIR R4 search
3.1.1.5.5; ITI TF-2 3.18).

Whatever the size of the page there is one query for documents, one for Folders, one for SubmissionSets, which
are Lists and Provenance, one for the associations of all that came along, and one for each patient. Where one
fails the page is given without and a warning says so.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import orjson

from gateway.clients.community import Queries
from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import WriteContext, resource_id
from gateway.fhir.imaging_documents import other_twin
from gateway.fhir.issues import Issue
from gateway.fhir.list_elements import RegistryList
from gateway.fhir.matching import Registered
from gateway.fhir.outcome import issues_of_warnings, means_several_patients
from gateway.fhir.search_includes import Inclusion, included_type
from gateway.imaging.patient_directory import PatientDirectory
from gateway.mhd.document_provenances import provenances
from gateway.mhd.members import memberships
from gateway.mhd.page_writers import document_writer, list_writer
from gateway.mhd.registered import registered, registered_uuids
from gateway.mhd.submissions import NONE, Submissions, brought_by, submissions_of
from gateway.model import (
    Association,
    AvailabilityStatus,
    Cx,
    DocumentEntry,
    Folder,
    QueryResult,
    RegistryFailure,
    SubmissionSet,
)
from gateway.model.codes import DOCUMENT_RELATIONS
from gateway.model.errors import PeerError
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    GetAssociations,
    GetDocuments,
    GetFolders,
    StoredQuery,
)
from gateway.security.access import require_types


class Includer:
    """Finds and writes what comes along."""

    def __init__(self, registry: Queries, patients: PatientDirectory) -> None:
        self._registry = registry
        self._patients = patients

    async def along_with(
        self,
        items: Sequence[Registered],
        associations: Sequence[Association],
        wanted: frozenset[Inclusion],
        context: WriteContext,
    ) -> tuple[list[tuple[str, bytes]], tuple[Issue, ...]]:
        """fullUrl and resource of each, without those that are matches of the page, and warnings.

        `associations` are those that touch one of `items`.
        """
        require_types(map(included_type, wanted))
        if not wanted or not items:
            return [], ()
        page = _Page(items, associations)
        asked = _Asked(self._registry)
        documents = await asked.documents(page.documents_for(wanted) - page.own, page.patients)
        lists: list[RegistryList] = []
        submissions = NONE
        if not wanted.isdisjoint((Inclusion.HOLDING_LISTS, Inclusion.PROVENANCES)):
            held = {i.entry_uuid: i for i in map(registered, items) if not isinstance(i, SubmissionSet)}
            submissions = await asked.submissions(tuple(held.values()))
        if Inclusion.HOLDING_LISTS in wanted:
            lists += submissions.submission_sets
        known = {item.entry_uuid for item in lists} | page.own
        lists += await asked.folders(page.folders_for(wanted) - known)
        documents += _translations(items, wanted)
        documents = [entry for entry in documents if entry.entry_uuid not in page.own]
        lists = [item for item in lists if item.entry_uuid not in page.own]
        touching = await asked.associations(registered_uuids((*documents, *lists)))
        writer_of_lists = await list_writer(self._registry, lists, touching)
        write_document = document_writer(documents, touching).write
        base = context.base_url
        written = [
            (f"{base}/DocumentReference/{resource_id(e)}", write_document(e, context)) for e in documents
        ]
        written += [
            (f"{base}/List/{resource_id(item)}", writer_of_lists.write(item, context)) for item in lists
        ]
        if Inclusion.PATIENTS in wanted:
            patients = await asked.patients(self._patients, page.patients)
            written += [(f"{base}/Patient/{p['id']}", orjson.dumps(p)) for p in patients]
        if Inclusion.PROVENANCES in wanted:
            of_page = [item for item in items if isinstance(item, DocumentEntry)]
            made = provenances(of_page, brought_by(submissions, of_page), associations, context.terminology)
            written += [(f"{base}/{p.reference}", orjson.dumps(p.resource)) for p in made]
        return written, (*asked.issues, *writer_of_lists.issues)


def _translations(items: Iterable[Registered], wanted: frozenset[Inclusion]) -> list[DocumentEntry]:
    """What the gateway makes of the documents of a page, which transforms them and is transformed by them."""
    if wanted.isdisjoint((Inclusion.RELATED_DOCUMENTS, Inclusion.RELATING_DOCUMENTS)):
        return []
    twins = (other_twin(item) for item in items if isinstance(item, DocumentEntry))
    return [twin for twin in twins if twin is not None]


class _Page:
    """What the associations of a page say about its neighbours."""

    def __init__(self, items: Sequence[Registered], associations: Sequence[Association]) -> None:
        self.own = frozenset(item.entry_uuid for item in items)
        self.patients = frozenset(i.patient_id for i in items if i.patient_id is not None)
        self._originals = {
            i.made_of.entry_uuid for i in items if isinstance(i, DocumentEntry) and i.made_of is not None
        }
        self._folders = {i.entry_uuid for i in items if isinstance(i, Folder)}
        self._no_resources = {a.entry_uuid for a in associations}
        self._members = list(memberships(associations))
        self._relations = [
            a
            for a in associations
            if a.type in DOCUMENT_RELATIONS and a.status is AvailabilityStatus.APPROVED
        ]

    def documents_for(self, wanted: frozenset[Inclusion]) -> set[str]:
        """entryUUIDs of documents to ask for, and perhaps of objects that are none."""
        found: set[str] = set()
        if not wanted.isdisjoint((Inclusion.RELATED_DOCUMENTS, Inclusion.RELATING_DOCUMENTS)):
            found |= self._originals
        if Inclusion.RELATED_DOCUMENTS in wanted:
            found |= {a.target for a in self._relations if a.source in self.own}
        if Inclusion.RELATING_DOCUMENTS in wanted:
            found |= {a.source for a in self._relations if a.target in self.own}
        if Inclusion.MEMBER_DOCUMENTS in wanted:
            found |= {a.target for a in self._members if a.source in self.own} - self._no_resources
        return found

    def folders_for(self, wanted: frozenset[Inclusion]) -> set[str]:
        """The same for Folders."""
        found: set[str] = set()
        if Inclusion.MEMBER_LISTS in wanted:
            found |= {
                a.target
                for a in self._members
                if a.source in self.own - self._folders and a.submission_set_status is None
            } - self._no_resources
        if Inclusion.HOLDING_LISTS in wanted:
            # a document in a SubmissionSet is marked by the slot, one in a Folder is not
            found |= {
                a.source
                for a in self._members
                if a.target in self.own and a.target not in self._folders and a.submission_set_status is None
            }
        return found


class _Asked:
    """Queries of one page; `issues` are what they could not give."""

    def __init__(self, registry: Queries) -> None:
        self._registry = registry
        self.issues: list[Issue] = []

    async def documents(self, uuids: set[str], patients: frozenset[Cx]) -> list[DocumentEntry]:
        """DocumentEntries of the patients, of any status.

        A SubmissionSet may refer to documents of others, which a search for a patient does not show.
        """
        if not uuids:
            return []
        try:
            found = (await self._registry.query(GetDocuments(entry_uuids=tuple(sorted(uuids))))).entries
        except (PeerError, RegistryFailure) as error:
            if not (isinstance(error, RegistryFailure) and means_several_patients(error)):
                self._report(error)
                return []
            found = await self._documents_of(patients)
        return [e for e in found if e.entry_uuid in uuids and e.patient_id in patients]

    async def _documents_of(self, patients: frozenset[Cx]) -> tuple[DocumentEntry, ...]:
        entries: tuple[DocumentEntry, ...] = ()
        for patient in patients:
            found = await self._ask([patient.id], partial(_all_documents, patient))
            entries += found.entries if found else ()
        return entries

    async def patients(self, directory: PatientDirectory, wanted: Iterable[Cx]) -> list[Json]:
        """Who patients are."""
        found = []
        for patient in wanted:
            try:
                known = await directory.of(patient)
            except (PeerError, RegistryFailure) as error:
                self._report(error)
                continue
            if known is not None:
                found.append(known.resource)
                self.issues += known.issues
        return found

    async def folders(self, uuids: set[str]) -> list[Folder]:
        """Folders by entryUUID."""
        found = await self._ask(uuids, lambda: GetFolders(entry_uuids=tuple(sorted(uuids))))
        return list(found.folders) if found else []

    async def submissions(self, members: Sequence[Registered]) -> Submissions:
        """SubmissionSets of the patients that have one of the members."""
        try:
            return await submissions_of(self._registry, members)
        except (PeerError, RegistryFailure) as error:
            self._report(error)
            return NONE

    async def associations(self, uuids: Sequence[str]) -> Sequence[Association]:
        """What touches one of the objects."""
        found = await self._ask(uuids, lambda: GetAssociations(uuids=tuple(uuids)))
        return found.associations if found else ()

    async def _ask(
        self, about: set[str] | Sequence[str], query: Callable[[], StoredQuery]
    ) -> QueryResult | None:
        if not about:
            return None
        try:
            found = await self._registry.query(query())
        except (PeerError, RegistryFailure) as error:
            self._report(error)
            return None
        self.issues += issues_of_warnings(found.errors)
        return found

    def _report(self, error: PeerError | RegistryFailure) -> None:
        self.issues.append(
            Issue(
                "warning",
                "incomplete",
                f"{error.peer} did not give all that _include and _revinclude ask for, so it is missing "
                "here. Search for it, or try again.",
            )
        )


def _all_documents(patient: Cx) -> FindDocuments:
    return FindDocuments(patient_id=patient, status=ANY_STATUS, document_type=ANY_DOCUMENT)
