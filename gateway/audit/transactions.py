"""What each transaction is called in audit records: the one table (ITI TF-2 3.18.5.1 and the like, IHE MHD
4.2.4 and BALP for FHIR, DICOM PS3.15 A.5.3 for images).

Interactions of FHIR that are no IHE transaction are described by what they are (`search ImagingStudy`). What
happens to the gateway itself is named by the event type of DICOM (PS3.15 A.5.3.1, A.5.3.11, A.5.3.12).
"""

from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.model import codes

Basic = Literal["", "Query", "Read", "Create"]


class Described(Struct, frozen=True, kw_only=True):
    """A transaction in audit records.

    `name` is its text; `event` and `action` are those of the client and of the server. `answers` is True
    where data flow with the answer, so that the server is their source. `basic` is the pattern of BALP;
    transactions of SOAP have none. `profiles` are those of the client and of the server, of success and
    with a patient. `objects` says what a record names besides the patient. `home_detail` is the name of the
    homeCommunityId among the details of an object. `interaction` is a subtype of FHIR.
    """

    name: str
    event: tuple[str, str] = (codes.DCM_QUERY, codes.DCM_QUERY)
    action: tuple[str, str] = ("E", "E")
    answers: bool = False
    basic: Basic = ""
    profiles: tuple[str, str] = ("", "")
    objects: Literal["query", "documents", "submission", "studies", "token", "security"] = "query"
    home_detail: str = codes.HOME_COMMUNITY_DETAIL
    interaction: str = ""
    is_transaction: bool = True
    dicom_type: str = ""
    """EventTypeCode of DICOM, of what is no transaction."""


_MOVED: Final = ((codes.DCM_IMPORT, codes.DCM_EXPORT), ("C", "R"))
_SUBMITTED: Final = ((codes.DCM_EXPORT, codes.DCM_IMPORT), ("R", "C"))
_IMAGES: Final = ((codes.DCM_INSTANCES_ACCESSED, codes.DCM_INSTANCES_TRANSFERRED), ("C", "R"))
_CHANGED: Final = ((codes.DCM_EXPORT, codes.DCM_IMPORT), ("U", "U"))
_REMOVED: Final = ((codes.DCM_PATIENT_RECORD, codes.DCM_PATIENT_RECORD), ("D", "D"))
_OF_QUERIES: Final = codes.HOME_COMMUNITY_DETAIL_OF_QUERIES


def _mhd(name: str, client: str = "Consumer", server: str = "Responder") -> tuple[str, str]:
    base = f"{codes.MHD_STRUCTURE}IHE.MHD.{name}.Audit."
    return (base + client, base + server)


def _pdqm(name: str) -> tuple[str, str]:
    base = f"{codes.PDQM_STRUCTURE}IHE.PDQm.{name}.Audit."
    return (base + "Consumer", base + "Supplier")


def _pixm() -> tuple[str, str]:
    base = f"{codes.PIXM_STRUCTURE}IHE.PIXm.Query.Audit."
    return (base + "Consumer", base + "Manager")


def _search(name: str, profiles: tuple[str, str] = ("", "")) -> Described:
    return Described(name=name, basic="Query", interaction="search", profiles=profiles)


def _read(name: str, profile: str = "") -> Described:
    event, action = _MOVED
    return Described(
        name=name,
        event=event,
        action=action,
        answers=True,
        basic="Read",
        objects="documents",
        interaction="read",
        profiles=_mhd(profile) if profile else ("", ""),
    )


def _create(name: str, profile: str) -> Described:
    event, action = _SUBMITTED
    return Described(
        name=name,
        event=event,
        action=action,
        basic="Create",
        objects="submission",
        interaction="create",
        profiles=_mhd(profile, "Source", "Recipient"),
    )


def _submit(name: str, how: tuple[tuple[str, str], tuple[str, str]] = _SUBMITTED) -> Described:
    event, action = how
    return Described(name=name, event=event, action=action, objects="submission")


def _retrieve(name: str) -> Described:
    event, action = _MOVED
    return Described(name=name, event=event, action=action, answers=True, objects="documents")


def _retrieve_images(name: str, home_detail: str = codes.HOME_COMMUNITY_DETAIL) -> Described:
    event, action = _IMAGES
    return Described(
        name=name, event=event, action=action, answers=True, objects="studies", home_detail=home_detail
    )


TRANSACTIONS: Final = {
    "ITI-18": Described(name="Registry Stored Query", home_detail=_OF_QUERIES),
    "ITI-38": Described(name="Cross Gateway Query", home_detail=_OF_QUERIES),
    "ITI-39": _retrieve("Cross Gateway Retrieve"),
    "ITI-41": _submit("Provide and Register Document Set-b"),
    "ITI-42": _submit("Register Document Set-b"),
    "ITI-43": _retrieve("Retrieve Document Set"),
    "ITI-45": Described(name="PIX Query"),
    "ITI-47": Described(name="Patient Demographics Query"),
    "ITI-55": Described(name="Cross Gateway Patient Discovery"),
    "ITI-57": _submit("Update Document Set", _CHANGED),
    "ITI-61": _submit("Register On-Demand Document Entry"),
    "ITI-62": _submit("Remove Metadata", _REMOVED),
    "ITI-80": _submit("Cross-Gateway Document Provide"),
    "ITI-86": _submit("Remove Documents", _REMOVED),
    "RAD-68": _submit("Provide and Register Imaging Document Set - MTOM/XOP"),
    "RAD-69": _retrieve_images("Retrieve Imaging Document Set"),
    "RAD-75": _retrieve_images("Cross Gateway Retrieve Imaging Document Set", _OF_QUERIES),
    "ITI-65": Described(
        name="Provide Document Bundle",
        event=_SUBMITTED[0],
        action=_SUBMITTED[1],
        objects="submission",
        profiles=_mhd("ProvideBundle", "Source", "Recipient"),
    ),
    "ITI-66": _search("Find Document Lists", _mhd("FindDocumentLists")),
    "ITI-67": _search("Find Document References", _mhd("FindDocumentReferences")),
    "ITI-68": _read("Retrieve Document", "RetrieveDocument"),
    "ITI-71": Described(
        name="Get Access Token",
        event=(codes.DCM_USER_AUTHENTICATION, codes.DCM_USER_AUTHENTICATION),
        objects="token",
        profiles=(codes.BALP_STRUCTURE + "IHE.IUA.71", codes.BALP_STRUCTURE + "IHE.IUA.71"),
    ),
    "ITI-78": _search("Mobile Patient Demographics Query", _pdqm("Query")),
    "ITI-81": Described(
        name="Retrieve ATNA Audit Event",
        event=(codes.DCM_AUDIT_LOG_USED, codes.DCM_AUDIT_LOG_USED),
        action=("R", "R"),
        answers=True,
    ),
    "ITI-83": _search("Mobile Patient Identifier Cross-reference Query", _pixm()),
    "ITI-105": _create("Simplified Publish", "SimplifiedPublish"),
    "ITI-106": _create("Generate Metadata", "GenerateMetadata"),
    "ITI-119": _search("Patient Demographics Match", _pdqm("Match")),
    "RAD-107": replace(
        _read("WADO-RS Retrieve"),
        event=(codes.DCM_INSTANCES_TRANSFERRED, codes.DCM_INSTANCES_TRANSFERRED),
        objects="studies",
    ),
    "RAD-129": _search("QIDO-RS Query"),
}


LOGIN, NODE, RESTRICTED = "login", "node authentication", "restricted function"
STARTED, STOPPED = "application start", "application stop"


def _event(event: str, dicom_type: str) -> Described:
    name = codes.DCM_AUDIT_TERMS[dicom_type]
    return Described(
        name=name, event=(event, event), objects="security", is_transaction=False, dicom_type=dicom_type
    )


EVENTS: Final = {
    LOGIN: _event(codes.DCM_USER_AUTHENTICATION, codes.DCM_LOGIN),
    NODE: _event(codes.DCM_SECURITY_ALERT, codes.DCM_NODE_AUTHENTICATION),
    RESTRICTED: _event(codes.DCM_SECURITY_ALERT, codes.DCM_RESTRICTED_FUNCTION),
    STARTED: _event(codes.DCM_APPLICATION_ACTIVITY, codes.DCM_APPLICATION_START),
    STOPPED: _event(codes.DCM_APPLICATION_ACTIVITY, codes.DCM_APPLICATION_STOP),
}
"""A token or an assertion is refused, a certificate is, somebody asks for what was not given out or does not
exist; the gateway starts and stops."""
BY_ITSELF: Final = frozenset({STARTED, STOPPED})
"""Events in which nobody else takes part."""


@lru_cache(maxsize=256)
def described(transaction: str) -> Described:
    """The description of a transaction, of an interaction such as `search List` or `read List`, or of an
    event."""
    known = TRANSACTIONS.get(transaction) or EVENTS.get(transaction)
    if known is not None:
        return known
    verb, _, rest = transaction.partition(" ")
    plain = _search(transaction) if verb == "search" else _read(transaction)
    if rest == "all":
        plain = replace(plain, interaction="search-system")
    if verb == "WADO-RS":
        plain = replace(plain, event=TRANSACTIONS["RAD-107"].event, objects="studies")
    return replace(plain, is_transaction=False)
