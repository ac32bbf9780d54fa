"""Who a patient is in another community: what is asked, and what is answered (XCPD ITI-55; ITI TF-2 3.55),
and who they are in another domain of the same community (PIXm ITI-83).

Identifiers are `Cx` (their authority is the root of an HL7 V3 II), names are `Person` values without
identifier, times are DTM strings, genders the HL7 letters M, F and UN, homeCommunityIds `urn:oid:...`.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.model.metadata import Address, Cx, Person, Telecom


class PatientQuery(Struct, frozen=True, kw_only=True):
    """By identifier, by demographics, or by both. Without identifier a name and the birth date are needed.

    Several names, addresses or telecoms are alternatives. `minimum_degree` (0 to 100) is the least degree of
    match that is of use.
    """

    identifiers: tuple[Cx, ...] = ()
    names: tuple[Person, ...] = ()
    birth_date: str | None = None
    gender: str | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    mothers_maiden_name: Person | None = None
    minimum_degree: int | None = None

    @property
    def sufficient(self) -> bool:
        """True where it may be asked (ITI TF-2 3.55.4.1.2.1)."""
        return bool(self.identifiers) or bool(self.names and self.birth_date)


class PatientMatch(Struct, frozen=True, kw_only=True):
    """One patient of a community. `identifier` is the one by which that community is asked for documents.

    `degree` is that of the match, 0 to 100. Two matches are two patients, also where they look alike.
    """

    home_community_id: str
    identifier: Cx
    other_identifiers: tuple[Cx, ...] = ()
    names: tuple[Person, ...] = ()
    birth_date: str | None = None
    gender: str | None = None
    addresses: tuple[Address, ...] = ()
    telecoms: tuple[Telecom, ...] = ()
    degree: int | None = None


class DiscoveryStatus(StrEnum):
    """What a community answers (ITI TF-2 3.55.4.2.3, cases 1 to 5, and a refused request)."""

    MATCHES = "matches"
    MORE_ASKED = "more asked"
    NO_MATCH = "no match"
    CANNOT_ANSWER = "cannot answer"
    REFUSED = "refused"


class Discovery(Struct, frozen=True):
    """An answer. `codes` are the attributes that are asked for besides, or why there is no answer.

    `time_to_live` is for how many seconds it may be kept; None where it does not say, which means not at all.
    """

    status: DiscoveryStatus
    matches: tuple[PatientMatch, ...] = ()
    codes: tuple[str, ...] = ()
    time_to_live: float | None = None


class SourceIdentifier(Struct, frozen=True):
    """A patient identifier of any domain as FHIR has it: `system` is a URI (`urn:oid:...`), or the base of a
    server whose Patient `value` (`Patient/1`) is."""

    system: str
    value: str


class CrossReferenceStatus(StrEnum):
    """What a manager says of an identifier (ITI-83; IHE PIXm 3.1.0 2:3.83.4.2): `known` with all that it is
    known as, which may be nothing; that nobody has it; that it does not know the domain of it, or one of
    those that are asked for."""

    KNOWN = "known"
    UNKNOWN_PATIENT = "unknown patient"
    UNKNOWN_DOMAIN = "unknown domain"
    UNKNOWN_TARGET = "unknown target"


class CrossReference(Struct, frozen=True):
    """An answer. `identifiers` are those in the domains that were asked for, `patients` references to
    Patients of the manager as it writes them."""

    status: CrossReferenceStatus
    identifiers: tuple[Cx, ...] = ()
    patients: tuple[str, ...] = ()


class Party(Struct, frozen=True):
    """Sender or receiver of a message: the OID of the device, and its community."""

    device: str
    home_community_id: str | None = None


class MessageHead(Struct, frozen=True, kw_only=True):
    """What a message says of itself. Identifiers are OIDs with or without an extension after `^`; `created`
    is a DTM with offset; `processing` is P (production), T (test) or D (debugging)."""

    message_id: str
    created: str
    sender: Party
    receiver: Party
    query_id: str
    processing: str = "P"


class DiscoveryRequest(Struct, frozen=True):
    """PRPA_IN201305UV02. `authority` issues the identifiers by which the asking community could be asked."""

    head: MessageHead
    query: PatientQuery
    authority: str | None = None


class DiscoveryAnswer(Struct, frozen=True):
    """PRPA_IN201306UV02. `request_id` is the message_id of the request."""

    head: MessageHead
    request_id: str
    discovery: Discovery
