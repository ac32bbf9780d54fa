"""Which DocumentResponse answers which DocumentRequest, and what is said of those that none answers.

Order and number of responses need not be those of the requests (ITI TF-2 3.43.4.2.2), and peers return ids
with URN prefixes, brackets or in another letter case.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final

from gateway.ebxml.retrieve import RetrieveAnswer, RetrievedDocument
from gateway.model import (
    DocumentHeader,
    DocumentRequest,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
    Severity,
)
from gateway.model.errors import PeerError, PeerProtocolError
from gateway.model.oids import bare_oid

_Named = DocumentRequest | DocumentHeader


def bare_id(unique_id: str) -> str:
    """A uniqueId without URN prefix, brackets and blanks, in lower case."""
    text = unique_id.strip().strip("<>{}[]()").lower()
    for prefix in ("urn:oid:", "urn:uuid:"):
        text = text.removeprefix(prefix)
    return text.strip("{}")


def _community(named: _Named) -> str:
    return bare_oid(named.home_community_id or "").lower()


def _repository(named: _Named) -> str:
    return bare_oid(named.repository_unique_id)


_LIKENESS: Final[Sequence[Callable[[_Named], tuple[str, ...]]]] = (
    lambda named: (_community(named), _repository(named), named.document_unique_id),
    lambda named: (_community(named), _repository(named), bare_id(named.document_unique_id)),
    # the community is echoed by some and added by others
    lambda named: (_repository(named), named.document_unique_id),
    lambda named: (_repository(named), bare_id(named.document_unique_id)),
    lambda named: (named.document_unique_id,),
    lambda named: (bare_id(named.document_unique_id),),
)
"""What request and response have in common, the closest first."""


def assign(
    requests: Sequence[DocumentRequest], documents: Iterable[RetrievedDocument]
) -> dict[DocumentRequest, RetrievedDocument]:
    """The document that answers each request, where there is one.

    A document answers one request. What is alike to more than one of those that are left is only taken by
    the first likeness, where it is the same document said twice.
    """
    answered: dict[DocumentRequest, RetrievedDocument] = {}
    left = list(documents)
    for number, key_of in enumerate(_LIKENESS):
        open_requests = [request for request in requests if request not in answered]
        asked = Counter(map(key_of, open_requests))
        held: dict[tuple[str, ...], list[RetrievedDocument]] = {}
        for document in left:
            held.setdefault(key_of(document.header), []).append(document)
        for request in open_requests:
            alike = held.get(key_of(request), [])
            if alike and (number == 0 or (len(alike) == 1 and asked[key_of(request)] == 1)):
                answered[request] = alike[0]
        taken = {id(document) for document in answered.values()}
        left = [document for document in left if id(document) not in taken]
    return answered


def refusals(
    asked: Sequence[DocumentRequest],
    answered: Container[DocumentRequest],
    answer: RetrieveAnswer,
    peer: str,
    transaction: str = "ITI-43",
) -> dict[DocumentRequest, RegistryFailure | PeerError]:
    """What is said of the requests that have no document.

    Some peers refuse a whole set for one of its documents. Where errors name some and no document came, only
    those are refused; the others can be asked for again.
    """
    missing = [request for request in asked if request not in answered]
    named = [request for request in missing if _has_error(_errors_at(request, answer.errors))]
    settled = named if named and len(missing) == len(asked) else missing
    return {request: refusal(request, answer, asked, peer, transaction) for request in settled}


def refusal(
    request: DocumentRequest,
    answer: RetrieveAnswer,
    asked: Iterable[DocumentRequest],
    peer: str,
    transaction: str = "ITI-43",
) -> RegistryFailure | PeerError:
    """Why a request has no document: the errors that name it, else those that name no other of `asked`.

    An answer that holds neither the document nor an error breaks the protocol, whatever its status says.
    """
    errors = _errors_at(request, answer.errors)
    if not _has_error(errors):
        errors = errors_of(request, answer.errors, asked)
    if _has_error(errors) or answer.status is ResponseStatus.FAILURE:
        return RegistryFailure(peer, transaction, errors)
    return PeerProtocolError(peer, transaction, "the answer holds neither the document nor an error")


def errors_of(
    request: DocumentRequest, errors: Iterable[RegistryError], asked: Iterable[DocumentRequest]
) -> tuple[RegistryError, ...]:
    """Those that name the request's document, or none of `asked`: they are about the answer as a whole."""
    others = {bare_id(r.document_unique_id) for r in asked} - {bare_id(request.document_unique_id)}
    return tuple(e for e in errors if bare_id(e.location or "") not in others)


def _errors_at(request: DocumentRequest, errors: Iterable[RegistryError]) -> tuple[RegistryError, ...]:
    own = bare_id(request.document_unique_id)
    return tuple(e for e in errors if e.location is not None and bare_id(e.location) == own)


def _has_error(errors: Iterable[RegistryError]) -> bool:
    return any(error.severity is Severity.ERROR for error in errors)
