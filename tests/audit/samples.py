"""Records of every transaction, from both sides, of success and of failure."""

from lxml.etree import Element, SubElement, _Element

from gateway.audit.record import AuditRecord, Document, Outcome, Party, Query, Study
from gateway.audit.soap_records import soap_records
from gateway.audit.trail import record_id
from gateway.audit.transactions import TRANSACTIONS, described
from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.removal import write_remove_documents, write_remove_objects
from gateway.ebxml.responses import write_registry_response
from gateway.ebxml.retrieve import write_retrieve_request
from gateway.ebxml.stored_queries import write_query
from gateway.hl7v3.discovery_request import write_discovery_request
from gateway.hl7v3.discovery_response import write_discovery_response
from gateway.model import (
    Cx,
    DocumentRequest,
    ImageRequest,
    ImageSetRequest,
    QueryResult,
    RegistryError,
    codes,
)
from gateway.model.claims import Claims, Coding
from gateway.model.errors import RegistryResponse, ResponseStatus
from gateway.model.identity import (
    Discovery,
    DiscoveryAnswer,
    DiscoveryRequest,
    DiscoveryStatus,
    MessageHead,
    PatientMatch,
    PatientQuery,
)
from gateway.model.identity import Party as HlParty
from gateway.model.imaging import RetrieveLocationUid
from gateway.model.query import FindDocuments

REMOVED = "urn:uuid:0a3c1a5c-1f0f-4a2e-8fa0-000000000001"
DOCUMENTS = ("2.999.2.1", "2.999.2.2")
RECORDED = 1_790_000_000.123
PATIENT = Cx("Müller^7", "2.999.1.1")
GATEWAY = Party("https://ncp.example/fhir", "gateway-1", "4711")
CLIENT = Party("10.0.0.7", "10.0.0.7")
PEER = Party("https://peer.example/xds", "peer.example")
SOURCE_ID = "https://ncp.example/fhir"
ACTOR = Claims(
    issuer="https://login.example",
    subject="dr-eva",
    client_id="ward-app",
    statement_id="b2f1",
    name="Dr. Eva <Muster>",
    organization="Hospital A",
    organization_id="urn:oid:2.999.40.3",
    roles=(Coding("urn:oid:2.16.840.1.113883.2.9.6.2.7", "221", "Medical doctors"),),
    purposes=(Coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", "TREAT", "treatment"),),
)
HTTP = sorted(
    name for name, what in TRANSACTIONS.items() if what.basic or what.profiles[0] or name == "ITI-81"
)
SOAP = sorted(set(TRANSACTIONS) - set(HTTP))
SIDES = ("client", "server")


def http_record(transaction: str, side: str, *, failed: bool = False, **changes) -> AuditRecord:
    """A record of the FHIR or DICOMweb side as the middleware makes it."""
    what = described(transaction)
    objects = {
        "query": {
            "query": Query(
                b"GET https://ncp.example/fhir/x?a=b", description="GET https://ncp.example/fhir/x?a=b"
            )
        },
        "token": {"query": Query(b"POST https://ncp.example/fhir/auth/token")},
        "documents": {"documents": (Document("2.999.2.1", "2.999.10.1", "urn:oid:2.999.60.1"),)},
        "studies": {"studies": (Study("2.999.3.1", ("2.999.3.2",), 12),)},
        "submission": {
            "submission_set": "2.999.8.1",
            "resource": "DocumentReference/1" if what.basic else "",
        },
    }[what.objects]
    values = {
        "id": record_id(RECORDED),
        "recorded": RECORDED,
        "transaction": transaction,
        "side": side,
        "client": CLIENT if side == "server" else GATEWAY,
        "server": GATEWAY if side == "server" else PEER,
        "actor": ACTOR,
        "patient": None if what.objects == "token" else PATIENT,
        "request_id": "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        **objects,
        **changes,
    }
    if failed:
        values |= {"outcome": Outcome.SERIOUS, "outcome_text": "HTTP 502"}
    return AuditRecord(**values)


def soap_messages(transaction: str) -> tuple[_Element, _Element]:
    """Body elements of a request and of an answer that is a success."""
    done = write_registry_response(RegistryResponse(ResponseStatus.SUCCESS))
    match transaction:
        case "ITI-18" | "ITI-38":
            query = FindDocuments(patient_id=PATIENT, home="urn:oid:2.999.60.2")
            return write_query(query), write_query_response(QueryResult(status=ResponseStatus.SUCCESS))
        case "ITI-39" | "ITI-43":
            wanted = [DocumentRequest("2.999.10.1", uid, "urn:oid:2.999.60.2") for uid in DOCUMENTS]
            return write_retrieve_request(wanted), retrieve_answer(done, *DOCUMENTS)
        case "ITI-41" | "ITI-42" | "ITI-57" | "ITI-61" | "ITI-80" | "RAD-68":
            return submission(), done
        case "ITI-62":
            return write_remove_objects([REMOVED]), done
        case "ITI-86":
            return write_remove_documents([DocumentRequest("2.999.10.1", uid) for uid in DOCUMENTS]), done
        case "RAD-69" | "RAD-75":
            location = RetrieveLocationUid("2.999.11.1")
            images = tuple(
                ImageRequest(location, "2.999.3.1", "2.999.3.2", f"2.999.3.3.{n}", "urn:oid:2.999.60.2")
                for n in range(3)
            )
            request = write_imaging_request(ImageSetRequest(images, ("1.2.840.10008.1.2.1",)))
            return request, retrieve_answer(done, *(image.sop_instance_uid for image in images))
        case "ITI-45" | "ITI-47" | "ITI-55":
            matches = tuple(
                PatientMatch(home_community_id="urn:oid:2.999.60.2", identifier=Cx(value, "2.999.1.9"))
                for value in ("B-1", "B-2")
            )
            head = message_head("1", "2.999.60.1", "2.999.60.2")
            answer = DiscoveryAnswer(
                message_head("2", "2.999.60.2", "2.999.60.1"),
                head.message_id,
                Discovery(DiscoveryStatus.MATCHES, matches),
            )
            request = DiscoveryRequest(head, PatientQuery(identifiers=(PATIENT,)), "2.999.1.1")
            return write_discovery_request(request), write_discovery_response(answer)
    raise AssertionError(transaction)


def message_head(number: str, sender: str, receiver: str) -> MessageHead:
    """Of a message of one community to another."""
    return MessageHead(
        message_id=f"2.999.77.{number}",
        created="20261125120000+0000",
        sender=HlParty(f"{sender}.1", f"urn:oid:{sender}"),
        receiver=HlParty(f"{receiver}.1", f"urn:oid:{receiver}"),
        query_id="2.999.78.1",
    )


def submission() -> _Element:
    """A provide and register request, as far as its SubmissionSet."""
    request = Element(f"{{{codes.NS_XDS}}}ProvideAndRegisterDocumentSetRequest")
    package = SubElement(request, f"{{{codes.NS_RIM}}}RegistryPackage")
    for scheme, value in (
        (codes.SS_PATIENT_ID, "M\u00fcller\\S\\7^^^&2.999.1.1&ISO"),
        (codes.SS_UNIQUE_ID, "2.999.8.1"),
    ):
        SubElement(
            package, f"{{{codes.NS_RIM}}}ExternalIdentifier", {"identificationScheme": scheme, "value": value}
        )
    return request


def retrieve_answer(response: _Element, *unique_ids: str) -> _Element:
    """RetrieveDocumentSetResponse that has these documents."""
    answer = Element(f"{{{codes.NS_XDS}}}RetrieveDocumentSetResponse")
    answer.append(response)
    for unique_id in unique_ids:
        document = SubElement(answer, f"{{{codes.NS_XDS}}}DocumentResponse")
        SubElement(document, f"{{{codes.NS_XDS}}}DocumentUniqueId").text = unique_id
    return answer


def soap_sample(
    transaction: str, side: str, *, failure: str | None = None, reply: _Element | None = None
) -> list[AuditRecord]:
    """Records of an exchange, as those who hear of it make them; without `reply` of one that succeeded."""
    request, answer = soap_messages(transaction)
    if failure is not None:
        answer = None
    return soap_records(
        transaction,
        side,
        (GATEWAY, PEER) if side == "client" else (CLIENT, GATEWAY),
        (request, answer if reply is None else reply),
        recorded=RECORDED,
        failure=failure,
        actor=ACTOR,
        request_id="3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def refused(*errors: str, partial: bool = False) -> _Element:
    """RegistryResponse of a failure."""
    status = ResponseStatus.PARTIAL if partial else ResponseStatus.FAILURE
    said = tuple(RegistryError(code, "who is asked for is not known") for code in errors)
    return write_registry_response(RegistryResponse(status, said))
