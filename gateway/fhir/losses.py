"""What FHIR and XDS cannot carry for each other (IHE MHD 4.2.4, mapping to XDS; ITI TF-3 4.2.3).

Tests walk through every element that FHIR R4 defines for the resources of a publish, and through every
attribute of the model: what is named here is lost, and nothing else is.
"""

from typing import Final, Literal

from msgspec import Struct


class Loss(Struct, frozen=True):
    """Elements that share a fate, and where it meets them.

    `publish` is FHIR -> XDS: elements are named by the data type or resource that defines them, with `[+]`
    for more of them than are mapped, `Resource` and `Element` standing for any, and a word more where a value
    is lost in part. `search` is XDS -> FHIR: attributes have their names in `gateway.model.metadata`.
    `said` is True where an issue of the answer tells the client.
    """

    direction: Literal["publish", "search"]
    what: str
    said: bool
    elements: tuple[str, ...]


def _of(owner: str, names: str) -> tuple[str, ...]:
    return tuple(f"{owner}.{name}" for name in names.split())


LOSSES: Final[tuple[Loss, ...]] = (
    Loss(
        "publish",
        "custodian, and extensions and identifiers of a resource that IHE MHD does not map",
        True,
        (
            *_of("DocumentReference", "custodian extension[+] identifier[+]"),
            *_of("List", "extension[+] identifier[+]"),
        ),
    ),
    Loss("publish", "parameters of a MIME type", True, ("Attachment.contentType parameters",)),
    Loss("publish", "the content of a Patient entry", True, ("Bundle.entry Patient",)),
    Loss(
        "publish",
        "date of a DocumentReference or a Folder",
        False,
        _of("DocumentReference", "date") + _of("List", "date"),
    ),
    Loss(
        "publish", "narrative, language and meta of a resource", False, _of("Resource", "text language meta")
    ),
    Loss(
        "publish",
        "ids and extensions of elements and contained resources",
        False,
        _of("Element", "id extension"),
    ),
    Loss("publish", "zone and fraction of a second of a time", False, _of("dateTime", "zone fraction")),
    Loss(
        "publish",
        "codings after the first that is mapped, their versions, a text beside a display",
        False,
        _of("CodeableConcept", "coding[+] text") + _of("Coding", "version userSelected"),
    ),
    Loss(
        "publish",
        "display names of coded roles and specialties, and of types of identifiers",
        False,
        _of("Coding", "display"),
    ),
    Loss(
        "publish",
        "use, type, period and assigner of identifiers other than reference ids",
        False,
        _of("Identifier", "use type period assigner"),
    ),
    Loss(
        "publish",
        "what stands in a reference beside that by which it is followed",
        False,
        _of("Reference", "reference type identifier display"),
    ),
    Loss(
        "publish",
        "use, text and period of names and addresses, district; of telecoms what XTN lacks",
        False,
        (
            *_of("HumanName", "use text period"),
            *_of("Address", "use type text district period"),
            *_of("ContactPoint", "rank period"),
            *("ContactPoint.use temp", "ContactPoint.use old", "ContactPoint.system sms"),
        ),
    ),
    Loss(
        "publish",
        "of a person: further names and identifiers, and what XCN lacks",
        False,
        _of(
            "Practitioner",
            "name[+] identifier[+] active address birthDate gender photo qualification communication",
        ),
    ),
    Loss(
        "publish",
        "telecoms of an authenticator, and of the organization of a role",
        False,
        _of("Practitioner", "telecom") + _of("Organization", "telecom"),
    ),
    Loss(
        "publish",
        "of an organization: further identifiers, and what XON lacks",
        False,
        _of("Organization", "identifier[+] active type alias address partOf contact endpoint"),
    ),
    Loss(
        "publish",
        "of a role: what authorRole, authorSpecialty and authorTelecommunication lack",
        False,
        _of(
            "PractitionerRole",
            "identifier active period location healthcareService availableTime notAvailable"
            " availabilityExceptions endpoint",
        ),
    ),
    Loss(
        "publish",
        "of the source patient: what PID-3, 5, 7, 8 and 11 lack",
        False,
        _of(
            "Patient",
            "telecom active deceasedBoolean deceasedDateTime maritalStatus multipleBirthBoolean"
            " multipleBirthInteger photo contact communication generalPractitioner managingOrganization link",
        ),
    ),
    Loss(
        "publish",
        "that an author is a patient, a relative or a device",
        False,
        _of("author", "Patient RelatedPerson Device"),
    ),
    Loss(
        "publish", "author and time of a note", False, _of("Annotation", "authorReference authorString time")
    ),
    Loss(
        "search",
        "sizes above 2 GiB, and times, hashes and communities that are none",
        True,
        (
            *_of(
                "DocumentEntry",
                "size hash creation_time service_start_time service_stop_time home_community_id",
            ),
            *_of("SubmissionSet", "submission_time home_community_id"),
            *_of("Folder", "last_update_time home_community_id"),
        ),
    ),
    Loss(
        "search",
        "authors of a SubmissionSet after a person and an institution",
        True,
        _of("SubmissionSet", "authors"),
    ),
    Loss(
        "search",
        "that an id is a logicalID, version, documentAvailability, URI, slots of the domain's own",
        False,
        (
            *_of("DocumentEntry", "logical_id version document_availability uri extra"),
            *_of("SubmissionSet", "extra"),
            *_of("Folder", "extra"),
            *_of("Association", "extra"),
        ),
    ),
    Loss(
        "search",
        "the repository, which only the gateway reads out of its URLs",
        False,
        _of("DocumentEntry", "repository_unique_id"),
    ),
    Loss(
        "search",
        "that a document without hash and size is stable",
        False,
        _of("DocumentEntry", "object_type"),
    ),
    Loss(
        "search",
        "that a SubmissionSet or Folder is deprecated, or has limited metadata",
        False,
        _of("SubmissionSet", "status limited_metadata") + _of("Folder", "status limited_metadata"),
    ),
    Loss("search", "hours and minutes as precision of a time", False, _of("dtm", "hour minute")),
    Loss("search", "the home community of a reference id", False, _of("ReferenceId", "home_community_id")),
    Loss("search", "a degree, which becomes a suffix", False, _of("Person", "degree")),
    Loss(
        "search",
        "of the source patient: fields other than PID-3, 5, 7, 8 and 11, hour of birth, A and N as sex",
        False,
        _of("SourcePatientInfo", "other birth_date gender"),
    ),
    Loss("search", "that an organization is reached at home", False, _of("Telecom", "use")),
    Loss(
        "search",
        "that a recipient is a person of an organization, and institutions one author: they become two",
        False,
        _of("IntendedRecipient", "organization") + _of("Author", "institutions"),
    ),
    Loss(
        "search",
        "of an Association all but source, kind and target; IsSnapshotOf is shown as transforms",
        False,
        _of("Association", "entry_uuid type submission_set_status documentation status home_community_id"),
    ),
)
"""Every loss, as the table of docs/mapping.md has them."""


def losses_table_markdown() -> str:
    """The table of docs/mapping.md."""
    rows = ["| on | not carried | said in the answer |\n|---|---|---|\n"]
    rows += [f"| {loss.direction} | {loss.what} | {'yes' if loss.said else 'no'} |\n" for loss in LOSSES]
    return "".join(rows)
