"""Document Registry over model values: stored queries (ITI-18), registration (ITI-42 and ITI-61), update and
deletion of metadata (ITI-57, ITI-62).

Everything here blocks and belongs on a thread: queries on a reader's, submissions on their own.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

from msgspec import structs

from gateway.affinity import objects
from gateway.affinity.assembly import MEDIA_TYPE
from gateway.affinity.database import Database
from gateway.affinity.deletion import delete
from gateway.affinity.errors import Refusal, Refused, refused
from gateway.affinity.identifiers import resolve
from gateway.affinity.metadata_rules import metadata_errors, update_errors
from gateway.affinity.options import AffinityOptions
from gateway.affinity.queries import Found, PatientRow, carry_out
from gateway.affinity.registration import register
from gateway.affinity.updating import update
from gateway.ebxml.errors import StoredQueryError
from gateway.ebxml.metadata_update import read_update
from gateway.model import (
    Association,
    DocumentEntry,
    Folder,
    ObjectRef,
    QueryResult,
    RegistryError,
    ResponseStatus,
    Submission,
    SubmissionSet,
)
from gateway.model.query import StoredQuery

ReturnType = Literal["LeafClass", "ObjectRef"]
ObjectT = TypeVar("ObjectT", DocumentEntry, SubmissionSet, Folder, Association)


class Registry:
    """The registry of one affinity domain."""

    def __init__(
        self, options: AffinityOptions, database: Database, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._options = options
        self._database = database
        self._clock = clock or _utc_now

    def prepare(self, submission: Submission, *, on_demand: bool = False) -> Submission:
        """The submission with its ids resolved. Raises Refused where it breaks a rule by itself.

        Its documents are stable ones, or On-Demand ones (ITI-61).
        """
        resolved = resolve(submission)
        errors = metadata_errors(resolved, on_demand=on_demand)
        if on_demand:
            errors += [error for entry in resolved.entries for error in self._assembly_errors(entry)]
        self._check_patient(resolved, errors)
        return resolved

    def update(self, submission: Submission) -> None:
        """Carry out a metadata update, durable when this returns.

        Raises Refused, and MetadataError where the submission asks for nothing that an update does; then
        nothing is changed.
        """
        resolved = resolve(submission)
        self._check_patient(resolved, update_errors(resolved))
        wanted = read_update(resolved)
        self._database.write(lambda connection: update(connection, wanted, self._clock())).result()

    def delete(self, entry_uuids: Sequence[str]) -> None:
        """Delete registry objects, durable when this returns. Raises Refused; then none is deleted."""
        self._database.write(lambda connection: delete(connection, entry_uuids, self._clock())).result()

    def _assembly_errors(self, entry: DocumentEntry) -> Iterator[RegistryError]:
        """On-Demand entries of this domain's own repository must be of the kind that it assembles."""
        own = entry.repository_unique_id == self._options.repository_unique_id
        if own and entry.mime_type != MEDIA_TYPE:
            yield RegistryError(
                Refusal.REGISTRY_METADATA,
                f"DocumentEntry {entry.entry_uuid}: the repository assembles {MEDIA_TYPE} only",
            )

    def _check_patient(self, resolved: Submission, errors: list[RegistryError]) -> None:
        """Raise Refused with `errors`, or because the patient is not known."""
        patient = resolved.submission_set.patient_id
        if not errors and patient is not None and not self._options.knows(patient):
            errors.append(
                RegistryError(
                    Refusal.UNKNOWN_PATIENT_ID, "the patient of the SubmissionSet is not known in this domain"
                )
            )
        if errors:
            raise Refused(*errors)

    def register(
        self, prepared: Submission, also: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        """Store a prepared submission, and what `also` writes, as one. Durable when this returns.

        Raises Refused where the registry's content is against it; then nothing is stored.
        """

        def work(connection: sqlite3.Connection) -> None:
            register(connection, prepared, self._clock())
            if also is not None:
                also(connection)

        self._database.write(work).result()

    def answer(
        self, connection: sqlite3.Connection, query: StoredQuery, return_type: ReturnType
    ) -> QueryResult:
        """Answer to a stored query; Failure with its errors where there is none."""
        try:
            self._check_community(query)
            found = carry_out(connection, query)
            if return_type == "ObjectRef":
                return QueryResult(status=ResponseStatus.SUCCESS, object_refs=self._references(found))
            self._check_bounds(found)
        except StoredQueryError as error:
            return failed_query(RegistryError(error.code, error.context))
        except Refused as error:
            return failed_query(*error.errors)
        return QueryResult(
            status=ResponseStatus.SUCCESS,
            entries=self._entries(found.entries, with_version=query.metadata_level == 2),
            submission_sets=self._objects(
                objects.decode_submission_set, (row.body for row in found.submission_sets)
            ),
            folders=self._objects(objects.decode_folder, (row.body for row in found.folders)),
            associations=self._objects(objects.decode_association, (row.body for row in found.associations)),
        )

    def _check_community(self, query: StoredQuery) -> None:
        if self._options.is_foreign(query.home):
            raise refused(
                Refusal.UNKNOWN_COMMUNITY, "home of the query is not the community of this registry"
            )

    def _check_bounds(self, found: Found) -> None:
        """What ITI TF-2 3.18.4.1.3 asks of an answer with whole objects."""
        if self._options.max_results is not None and len(found.uuids()) > self._options.max_results:
            raise refused(
                Refusal.TOO_MANY_RESULTS,
                f"the query finds {len(found.uuids())} objects, at most {self._options.max_results} are"
                " returned whole; narrow it or ask for ObjectRef",
            )
        if len({row.patient for row in found.patient_rows()}) > 1:
            raise refused(
                Refusal.NOT_SINGLE_PATIENT, "the query finds objects of several patients; ask for ObjectRef"
            )

    def _references(self, found: Found) -> tuple[ObjectRef, ...]:
        home = self._options.home_community_id
        return tuple(ObjectRef(uuid, home) for uuid in found.uuids())

    def _entries(self, rows: Iterable[PatientRow], *, with_version: bool) -> tuple[DocumentEntry, ...]:
        """Entries of an answer. Without `with_version` those say theirs that have been updated."""
        listed = list(rows)
        entries = self._objects(objects.decode_entry, (row.body for row in listed))
        if not with_version:
            return entries
        return tuple(
            structs.replace(entry, logical_id=row.logical_id, version=str(row.version))
            for entry, row in zip(entries, listed, strict=True)
        )

    def _objects(self, decode: Callable[[bytes], ObjectT], bodies: Iterable[bytes]) -> tuple[ObjectT, ...]:
        home = self._options.home_community_id
        if home is None:
            return tuple(decode(body) for body in bodies)
        return tuple(structs.replace(decode(body), home_community_id=home) for body in bodies)


def failed_query(*errors: RegistryError) -> QueryResult:
    """Answer to a query that found nothing because of `errors`."""
    return QueryResult(status=ResponseStatus.FAILURE, errors=errors)


def _utc_now() -> datetime:
    return datetime.now(UTC)
