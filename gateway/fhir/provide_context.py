"""What a publish needs beyond its request, and what it becomes (ITI-65, ITI-105, ITI-106)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final

from msgspec import Struct

from gateway.fhir.datatypes import Json, PatientOf
from gateway.fhir.issues import Issue
from gateway.fhir.provide_bundle_documents import Hosted, ProvidedDocument
from gateway.fhir.provide_bundle_entries import EntryKind
from gateway.fhir.provide_bundle_folders import Folders
from gateway.fhir.provide_bundle_references import Fetched
from gateway.fhir.provide_bundle_subjects import Strangers
from gateway.fhir.provide_policy import PublishPolicy
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import Cx, DocumentEntry, Submission
from gateway.model.publishing import MetadataTables, PublishingSource
from gateway.model.releases import FhirRelease

Registered = Mapping[str, str]
"""entryUUIDs of documents of this server by uniqueId."""

_ANY_SOURCE: Final = PublishingSource()
_TAKES_ALL: Final = PublishPolicy()
_NO_TABLES: Final = MetadataTables()


@dataclass(frozen=True, slots=True)
class ProvideContext:
    """What a submission needs beyond the Bundle.

    `base_url` is the FHIR base without trailing slash. `patient_of` resolves a literal Patient reference to
    the identifier of the affinity domain, `patient_reference` goes the other way. `document_url` gives the
    ITI-68 URL of an entry in the repository `repository_unique_id`, which takes the submission. `source` is
    the system whose SubmissionSets are made here. `tables` and `time_zone`, which is that of times without
    offset, are for documents that are the source of their metadata. `policy` says what the recipient takes.
    `directory` is the FHIR base of persons and organizations that are referred to as if they were here.
    Requests are of `release`; what they refer to below one of `bases` is here. `domain` are the assigning
    authorities of the affinity domain where its patient manager is asked about all others, else empty.
    """

    terminology: Terminology
    base_url: str
    patient_of: PatientOf
    patient_reference: Callable[[Cx], Json]
    document_url: Callable[[DocumentEntry], str]
    repository_unique_id: str | None = None
    source: PublishingSource = _ANY_SOURCE
    tables: MetadataTables = _NO_TABLES
    time_zone: tzinfo | None = None
    policy: PublishPolicy = _TAKES_ALL
    directory: str | None = None
    max_bytes: int = 256 * 1024 * 1024
    release: FhirRelease = FhirRelease.R4
    bases: tuple[str, ...] = ()
    domain: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a request refers to and does not bring: resources and documents of other servers by URL, Folders
    and documents of this one, and who the patients are that it names as other domains do.
    """

    fetched: Fetched = field(default_factory=dict)
    folders: Folders = field(default_factory=dict)
    registered: Registered = field(default_factory=dict)
    hosted: Hosted = field(default_factory=dict)
    strangers: Strangers = field(default_factory=dict)


NOTHING_ELSEWHERE: Final = Elsewhere()


class PlannedEntry(Struct, frozen=True):
    """What becomes of one request entry.

    `target` is the entryUUID of the object that answers it: the document of a Binary, the superseded
    document of a PATCH. It is None for a Patient, whose identifier is `patient`.
    """

    kind: EntryKind
    method: str
    target: str | None = None
    patient: Cx | None = None


class ProvideBundle(Struct, frozen=True):
    """A request of ITI-65 that keeps every rule. `plan` has one item per request entry, in order.

    `digest` is the SHA-256 (hex) of the content of the Bundle, see `provide_bundle_digest`.
    """

    submission: Submission
    documents: tuple[ProvidedDocument, ...]
    plan: tuple[PlannedEntry, ...]
    warnings: tuple[Issue, ...]
    digest: str
