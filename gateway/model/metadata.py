"""Document sharing metadata (ITI TF-3 4.1 and 4.2) as immutable values.

Text fields hold unescaped text: HL7 v2 and XML escapes exist only on the wire. OIDs are bare (`1.2.3`),
UUIDs are `urn:uuid:` plus lower case, homeCommunityId is `urn:oid:...`, times are DTM strings
(`gateway.model.dtm`), a hash is 40 lower-case hex digits.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.model import codes
from gateway.model.errors import RegistryError, ResponseStatus


class AvailabilityStatus(StrEnum):
    """Life-cycle state of a registry object; the value is its ebRIM status URN."""

    APPROVED = codes.STATUS_APPROVED
    DEPRECATED = codes.STATUS_DEPRECATED


class Code(Struct, frozen=True, gc=False):
    """A coded value. `scheme` is what the affinity domain calls the coding scheme, usually a bare OID."""

    code: str
    scheme: str
    display: str | None = None


class Cx(Struct, frozen=True, gc=False):
    """Identifier within an assigning authority (HL7 v2 CX: `id^^^&authority&ISO`). `authority` is an OID."""

    id: str
    authority: str


class ReferenceId(Struct, frozen=True, gc=False):
    """One value of referenceIdList (CXi, ITI TF-3 Table 4.2.3.1.7-2).

    `authority` (CX.4) is absent for globally unique ids such as a Study Instance UID; `type` (CX.5) is a
    URN; `home_community_id` is CX.6.
    """

    id: str
    authority: str | None = None
    type: str = ""
    home_community_id: str | None = None


class Person(Struct, frozen=True, gc=False):
    """HL7 v2 XCN (and XPN, where `id` and `authority` stay empty): family or id is present."""

    id: str | None = None
    family: str | None = None
    given: str | None = None
    further_given: str | None = None
    suffix: str | None = None
    prefix: str | None = None
    degree: str | None = None
    authority: str | None = None


class Organization(Struct, frozen=True, gc=False):
    """HL7 v2 XON. `name` is required by XDS, an OID-only `id` has no authority."""

    name: str | None = None
    id: str | None = None
    authority: str | None = None


class Telecom(Struct, frozen=True, gc=False):
    """HL7 v2 XTN. `system` is email, phone, fax, pager, url or other; `use` is home, work, mobile or None."""

    value: str
    system: str = "phone"
    use: str | None = None


class Author(Struct, frozen=True, gc=False):
    """author classification (ITI TF-3 4.2.3.2.1). Roles and specialties are text, or a Code where coded."""

    person: Person | None = None
    institutions: tuple[Organization, ...] = ()
    roles: tuple[Code | str, ...] = ()
    specialties: tuple[Code | str, ...] = ()
    telecoms: tuple[Telecom, ...] = ()


class Address(Struct, frozen=True, gc=False):
    """HL7 v2 XAD, the parts that FHIR Address has."""

    street: str | None = None
    other: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


class SourcePatientInfo(Struct, frozen=True, gc=False):
    """sourcePatientInfo (ITI TF-3 4.2.3.2.23): PID-3, 5, 7, 8, 11.

    `gender` is the HL7 v2 letter (M, F, O, U, A, N). `birth_date` is a DTM. Fields that the gateway does
    not map are kept as wire lines in `other` (`PID-13|...`) so that a registry's content survives.
    """

    ids: tuple[Cx, ...] = ()
    names: tuple[Person, ...] = ()
    birth_date: str | None = None
    gender: str | None = None
    addresses: tuple[Address, ...] = ()
    other: tuple[str, ...] = ()


class IntendedRecipient(Struct, frozen=True, gc=False):
    """One intendedRecipient (`XON|XCN|XTN`, ITI TF-3 4.2.3.3.7); organization or person is present."""

    organization: Organization | None = None
    person: Person | None = None
    telecom: Telecom | None = None


class Original(Struct, frozen=True, gc=False):
    """The registered document that a translation is made of; fields are those of its DocumentEntry."""

    entry_uuid: str
    mime_type: str
    hash: str | None = None
    size: int | None = None


class DocumentEntry(Struct, frozen=True, kw_only=True, gc=False):
    """DocumentEntry (ITI TF-3 4.2.3.2). Optional here where any actor may leave it out."""

    entry_uuid: str
    unique_id: str
    patient_id: Cx | None = None
    object_type: str = codes.STABLE_DOCUMENT
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    mime_type: str = ""
    home_community_id: str | None = None
    repository_unique_id: str | None = None
    source_patient_id: Cx | None = None
    source_patient_info: SourcePatientInfo | None = None
    authors: tuple[Author, ...] = ()
    legal_authenticator: Person | None = None
    class_code: Code | None = None
    type_code: Code | None = None
    format_code: Code | None = None
    facility_type: Code | None = None
    practice_setting: Code | None = None
    confidentiality: tuple[Code, ...] = ()
    event_codes: tuple[Code, ...] = ()
    reference_ids: tuple[ReferenceId, ...] = ()
    creation_time: str | None = None
    service_start_time: str | None = None
    service_stop_time: str | None = None
    language: str | None = None
    hash: str | None = None
    size: int | None = None
    title: str | None = None
    comments: str | None = None
    uri: str | None = None
    limited_metadata: bool = False
    document_availability: str | None = None
    logical_id: str | None = None
    version: str | None = None
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Slots that XDS does not define (name, values), in order."""

    has_translation: bool = False
    """True where this gateway offers the document in another format too."""
    made_of: Original | None = None
    """Set for such a translation, which is in no registry; its `logical_id` is that of the original."""

    @property
    def on_demand(self) -> bool:
        """True for an On-Demand entry, which has no creationTime, hash and size."""
        return self.object_type == codes.ON_DEMAND_DOCUMENT


class SubmissionSet(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="submissionset"):
    """SubmissionSet (ITI TF-3 4.2.3.3); always Approved. The tag tells it from a stored Folder."""

    entry_uuid: str
    unique_id: str
    source_id: str
    submission_time: str
    patient_id: Cx | None = None
    content_type: Code | None = None
    authors: tuple[Author, ...] = ()
    intended_recipients: tuple[IntendedRecipient, ...] = ()
    title: str | None = None
    comments: str | None = None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    home_community_id: str | None = None
    limited_metadata: bool = False
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Folder(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="folder"):
    """Folder (ITI TF-3 4.2.3.4). lastUpdateTime is set by the registry."""

    entry_uuid: str
    unique_id: str
    patient_id: Cx | None = None
    code_list: tuple[Code, ...] = ()
    last_update_time: str | None = None
    title: str | None = None
    comments: str | None = None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    home_community_id: str | None = None
    limited_metadata: bool = False
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Association(Struct, frozen=True, kw_only=True, gc=False):
    """Association (ITI TF-3 4.2.2). `type` is the full URN, `source` is new and `target` is old.

    `submission_set_status` is `Original` or `Reference` on HasMember from a SubmissionSet to a
    DocumentEntry.
    """

    entry_uuid: str
    type: str
    source: str
    target: str
    submission_set_status: str | None = None
    documentation: Code | None = None
    status: AvailabilityStatus = AvailabilityStatus.APPROVED
    home_community_id: str | None = None
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class ObjectRef(Struct, frozen=True, gc=False):
    """A registry object by id only (ITI-18 returnType ObjectRef)."""

    id: str
    home_community_id: str | None = None


class Submission(Struct, frozen=True, kw_only=True, gc=False):
    """Content of one submission request (ITI-41, ITI-42): one SubmissionSet and what it brings."""

    submission_set: SubmissionSet
    entries: tuple[DocumentEntry, ...] = ()
    folders: tuple[Folder, ...] = ()
    associations: tuple[Association, ...] = ()


class QueryResult(Struct, frozen=True, kw_only=True):
    """Answer to a stored query (ITI-18, ITI-38), objects in the order of the answer."""

    status: ResponseStatus
    errors: tuple[RegistryError, ...] = ()
    entries: tuple[DocumentEntry, ...] = ()
    submission_sets: tuple[SubmissionSet, ...] = ()
    folders: tuple[Folder, ...] = ()
    associations: tuple[Association, ...] = ()
    object_refs: tuple[ObjectRef, ...] = ()

    @property
    def empty(self) -> bool:
        """True where it holds no object."""
        return not (
            self.entries or self.submission_sets or self.folders or self.associations or self.object_refs
        )
