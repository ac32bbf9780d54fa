"""Submissions of the tests: complete by default, each test changes what it is about."""

import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import structs

from gateway.affinity.database import Database
from gateway.affinity.documents import DocumentFiles
from gateway.affinity.options import AffinityOptions
from gateway.affinity.registry import Registry
from gateway.affinity.repository import Content, Repository
from gateway.ebxml.metadata_update import MetadataUpdate, entry_version, status_change
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    Organization,
    Person,
    ReferenceId,
    Submission,
    SubmissionSet,
)
from gateway.model.codes import HAS_MEMBER, ON_DEMAND_DOCUMENT, REFERENCE_ACCESSION

REPOSITORY = "2.999.10.1"
HOME = "urn:oid:2.999.5"
PATIENT = Cx("P-1", "2.999.1.1")
OTHER_PATIENT = Cx("P-2", "2.999.1.1")
_number = itertools.count(1)


def unique_id() -> str:
    return f"2.999.7.{next(_number)}"


def entry_uuid() -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{next(_number):012x}"


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def code(value: str, scheme: str = "2.999.3") -> Code:
    return Code(value, scheme, value.title())


def entry(**changes) -> DocumentEntry:
    return structs.replace(
        DocumentEntry(
            entry_uuid=entry_uuid(),
            unique_id=unique_id(),
            patient_id=PATIENT,
            mime_type="text/plain",
            repository_unique_id=REPOSITORY,
            source_patient_id=Cx("local", "2.999.1.2"),
            authors=(
                Author(
                    person=Person(id="d1", family="Curie", given="Marie", authority="2.999.2"),
                    institutions=(Organization("Clinic"),),
                ),
                Author(person=Person(family="Ohm", given="Georg")),
            ),
            class_code=code("class"),
            type_code=code("type"),
            format_code=code("format"),
            facility_type=code("facility"),
            practice_setting=code("practice"),
            confidentiality=(code("N"),),
            event_codes=(code("CT"), code("CHEST")),
            reference_ids=(ReferenceId("ACC1", "2.999.8", REFERENCE_ACCESSION),),
            creation_time="20240102030405",
            service_start_time="20240101",
            service_stop_time="202401020304",
            language="en-GB",
            hash=sha1(b""),
            size=0,
            title="Report",
        ),
        **changes,
    )


def folder(**changes) -> Folder:
    return structs.replace(
        Folder(
            entry_uuid=entry_uuid(),
            unique_id=unique_id(),
            patient_id=PATIENT,
            code_list=(code("FOLDER"),),
            title="Episode",
        ),
        **changes,
    )


def submission_set(**changes) -> SubmissionSet:
    return structs.replace(
        SubmissionSet(
            entry_uuid=entry_uuid(),
            unique_id=unique_id(),
            source_id="2.999.6",
            submission_time="20240103101112",
            patient_id=PATIENT,
            content_type=code("content"),
            authors=(Author(person=Person(family="Noether", given="Emmy")),),
        ),
        **changes,
    )


def link(kind: str, source: str, target: str, **changes) -> Association:
    return structs.replace(
        Association(entry_uuid=entry_uuid(), type=kind, source=source, target=target), **changes
    )


def submission(*entries, folders=(), associations=(), **changes) -> Submission:
    """A submission whose SubmissionSet holds what it brings; `changes` are the SubmissionSet's."""
    of = submission_set(**changes)
    members = [
        link(HAS_MEMBER, of.entry_uuid, e.entry_uuid, submission_set_status="Original") for e in entries
    ]
    members += [link(HAS_MEMBER, of.entry_uuid, f.entry_uuid) for f in folders]
    return Submission(
        submission_set=of,
        entries=tuple(entries),
        folders=tuple(folders),
        associations=(*members, *associations),
    )


@dataclass
class Domain:
    """An affinity domain without its SOAP side."""

    options: AffinityOptions
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.options.state_dir.mkdir(parents=True, exist_ok=True)
        self.database = Database(self.options.state_dir / "registry.sqlite", 1)
        self.files = DocumentFiles(self.options.state_dir / "documents")
        self.now = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
        self.registry = Registry(self.options, self.database, lambda: self.now)
        self.repository = Repository(self.options, self.database, self.files, self.registry)

    def register(self, *args, **kwargs) -> Submission:
        prepared = self.registry.prepare(
            args[0] if isinstance(args[0], Submission) else submission(*args, **kwargs)
        )
        self.registry.register(prepared)
        return prepared

    def provide(self, wanted: Submission, *contents: bytes) -> None:
        self.repository.provide(
            wanted,
            {
                e.entry_uuid: Content(sha1(content), len(content), content)
                for e, content in zip(wanted.entries, contents, strict=True)
            },
        )

    def query(self, query, return_type="LeafClass"):
        return self.database.read(lambda c: self.registry.answer(c, query, return_type)).result()

    def rows(self) -> dict[str, int]:
        def work(connection):
            return {
                table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                for table in (
                    "document_entry",
                    "entry_value",
                    "submission_set",
                    "folder",
                    "association",
                    "document",
                )
            }

        return self.database.read(work).result()

    def stored_files(self) -> list[str]:
        return sorted(p.name for p in (self.options.state_dir / "documents").rglob("*") if p.is_file())


def version_of(
    old: DocumentEntry, previous: str = "1", *, propagate: bool = True, **changes
) -> MetadataUpdate:
    """An update that makes a new version of `old`."""
    new = structs.replace(
        old,
        **{
            "entry_uuid": entry_uuid(),
            "logical_id": old.logical_id or old.entry_uuid,
            "version": None,
            **changes,
        },
    )
    of = submission_set(patient_id=new.patient_id)
    version = entry_version(of, new, previous, entry_uuid)
    return MetadataUpdate(submission_set=of, versions=(structs.replace(version, propagate=propagate),))


def status_of(target: str, original: str, new: str, **changes) -> MetadataUpdate:
    """An update that asks for another status; statuses by their last word."""
    of = submission_set(**changes)
    statuses = (AvailabilityStatus[name.upper()] for name in (original, new))
    return MetadataUpdate(
        submission_set=of, status_changes=(status_change(of, target, *statuses, entry_uuid),)
    )


def on_demand(**changes) -> DocumentEntry:
    """An On-Demand entry of the embedded repository."""
    return entry(
        **{
            "object_type": ON_DEMAND_DOCUMENT,
            "creation_time": None,
            "hash": None,
            "size": None,
            "title": "All documents",
            **changes,
        }
    )
