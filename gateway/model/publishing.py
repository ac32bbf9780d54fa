"""Documents as their own source of metadata, and the systems that publish them (IHE MHD 4.2.4 2:3.105 and
2:3.106; PCC TF-2 4.1).
"""

from collections.abc import Mapping

from msgspec import Struct, field

from gateway.model.metadata import Code, DocumentEntry, Organization

CodeKey = tuple[str, str]
"""Code and coding scheme, which is what a table of codes is asked for."""


class SelfDescription(Struct, frozen=True, kw_only=True):
    """What a document says about itself.

    `entry` has no entryUUID, no patientId and no bytes; all ids of the patient are in its
    sourcePatientInfo. `templates` are the templates and profiles that the document claims, best first:
    `root:extension` or `root` of a CDA templateId, with `;media type` behind it for an embedded file, or
    the canonical URL of a FHIR profile. A document that `may_lack_id` is of a kind that need not have an
    identifier.
    """

    entry: DocumentEntry
    templates: tuple[str, ...] = ()
    custodian: Organization | None = None
    may_lack_id: bool = False


class DocumentDefaults(Struct, frozen=True, kw_only=True):
    """What holds for a document that says nothing about it."""

    class_code: Code | None = None
    type_code: Code | None = None
    format_code: Code | None = None
    facility_type: Code | None = None
    practice_setting: Code | None = None
    confidentiality: Code | None = None
    language: str | None = None


class PublishingSource(Struct, frozen=True, kw_only=True):
    """A system whose SubmissionSets are made here. `source_id` is an OID that no other source has."""

    source_id: str = "2.25.0"
    institution: Organization | None = None
    defaults: DocumentDefaults = DocumentDefaults()


class MetadataTables(Struct, frozen=True, kw_only=True):
    """What follows from what a document says.

    `class_codes` gives the class of a type, `format_codes` the format of a template (see
    `SelfDescription`). Patient ids of `patient_authorities` (OIDs) are preferred as patientId; orders whose
    id is of `accession_authorities` are accession numbers.
    """

    class_codes: Mapping[CodeKey, Code] = field(default_factory=dict)
    format_codes: Mapping[str, Code] = field(default_factory=dict)
    patient_authorities: frozenset[str] = frozenset()
    accession_authorities: frozenset[str] = frozenset()
