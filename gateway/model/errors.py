"""What can go wrong at a peer, independent of any wire (ITI TF-3 4.2.4 and transport).

Registry errors are data of an answer; a `PeerError` is raised where a peer gave no usable answer.
"""

from enum import StrEnum

from msgspec import Struct

from gateway.model import codes


class ResponseStatus(StrEnum):
    """Outcome of a registry or repository transaction."""

    SUCCESS = codes.RESPONSE_SUCCESS
    PARTIAL = codes.RESPONSE_PARTIAL
    FAILURE = codes.RESPONSE_FAILURE


class Severity(StrEnum):
    """Severity of a RegistryError."""

    ERROR = codes.SEVERITY_ERROR
    WARNING = codes.SEVERITY_WARNING


class RegistryError(Struct, frozen=True, gc=False):
    """One error or warning of a peer.

    `code` is from ITI TF-3 Table 4.2.4.1-2, `context` is the peer's own text, `location` is a document
    uniqueId in answers to a retrieve and a homeCommunityId in answers of a community.
    """

    code: str
    context: str = ""
    severity: Severity = Severity.ERROR
    location: str | None = None


class RegistryResponse(Struct, frozen=True):
    """Answer to a submission: status and the errors and warnings with it."""

    status: ResponseStatus
    errors: tuple[RegistryError, ...] = ()


class PeerError(Exception):
    """A peer gave no usable answer.

    `peer` is its name in the settings, `transaction` the IHE id (`ITI-18`), `detail` a text without
    patient data. `outcome_known` is False where the peer may have carried the request out.
    """

    outcome_known = True

    def __init__(self, peer: str, transaction: str, detail: str) -> None:
        super().__init__(f"{transaction} to {peer}: {detail}")
        self.peer = peer
        self.transaction = transaction
        self.detail = detail


class PeerUnreachable(PeerError):
    """No connection: refused, unknown host, TLS failure. The request was not sent."""


class PeerTimeout(PeerError):
    """No answer within the time-out of the settings."""

    outcome_known = False


class PeerDisconnected(PeerError):
    """The connection broke after the request went out: half an answer or none."""

    outcome_known = False


class PeerProtocolError(PeerError):
    """The answer is not what the transaction defines: not SOAP, not XML, wrong element, broken MTOM."""

    outcome_known = False


class PeerForbids(PeerProtocolError):
    """The peer does not let this gateway, or who it speaks for, have what is asked (HTTP 401 or 403)."""

    outcome_known = True


class PeerFault(PeerError):
    """SOAP fault. `code` is the local name of env:Code (`Sender`, `Receiver`, `MustUnderstand`...)."""

    outcome_known = False

    def __init__(
        self, peer: str, transaction: str, code: str, subcodes: tuple[str, ...] = (), reason: str = ""
    ) -> None:
        super().__init__(
            peer, transaction, f"SOAP fault {code}{''.join(f'/{s}' for s in subcodes)}: {reason}"
        )
        self.code = code
        self.subcodes = subcodes
        self.reason = reason


class PeerBusy(PeerError):
    """The bound on requests in flight or the peer's own limit (HTTP 429, 503) is reached. Not sent."""


class PeerCircuitOpen(PeerError):
    """The peer failed too often lately; no request is made until it is tried again. Not sent."""


class PeerUnsupported(PeerError):
    """The peer's settings say that it cannot do what is asked. Not sent."""


class RegistryFailure(Exception):
    """A peer answered Failure: `errors` says why; nothing was stored or found."""

    def __init__(self, peer: str, transaction: str, errors: tuple[RegistryError, ...]) -> None:
        super().__init__(f"{transaction} to {peer}: {', '.join(e.code for e in errors) or 'Failure'}")
        self.peer = peer
        self.transaction = transaction
        self.errors = errors
