"""What a SOAP exchange is about, read from its bodies: who is searched for, which documents and images move.

One place for both roles and all transactions (ITI TF-2 3.18.5.1, 3.38.5.1, 3.39.5.1, 3.41.5.1, 3.43.5.1,
3.55.5.1; RAD TF-2 4.69, 4.75). Bodies are read leniently: a message that is refused has a record too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final

from lxml import etree
from lxml.etree import _Element
from msgspec import Struct

from gateway.audit.record import Document, Outcome, Query, Study
from gateway.model import Cx, codes
from gateway.model.oids import bare_oid

_MOST: Final = 1000
"""Documents or studies of one record."""
_LARGEST_QUERY: Final = 64 * 1024
_PATIENT_SLOTS: Final = frozenset(
    {"$XDSDocumentEntryPatientId", "$XDSSubmissionSetPatientId", "$XDSFolderPatientId", "$patientId"}
)
_RIM = f"{{{codes.NS_RIM}}}"
_VALUE: Final = f"{_RIM}Value"
_XDS = f"{{{codes.NS_XDS}}}"
_RS = f"{{{codes.NS_RS}}}"
_XDSI = f"{{{codes.NS_XDSI}}}"
_V3 = f"{{{codes.NS_HL7V3}}}"


class About(Struct, kw_only=True):
    """What was asked or moved. `failed` are documents that were asked for and not given."""

    patients: tuple[Cx, ...] = ()
    query: Query | None = None
    documents: tuple[Document, ...] = ()
    studies: tuple[Study, ...] = ()
    submission_set: str = ""
    home_community_id: str = ""


class Ended(Struct, frozen=True):
    """How an exchange ended, and why it did not end well."""

    outcome: Outcome = Outcome.SUCCESS
    text: str = ""
    partial: bool = False


def about(transaction: str, request: _Element | None, reply: _Element | None, *, served: bool) -> About:
    """What an exchange is about; `served` where the gateway answered it."""
    read = _READERS.get(transaction)
    if read is None or request is None:
        return About()
    return read(request, reply, served)


def ended(transaction: str, reply: _Element) -> Ended:
    """What an answer that is not a fault says of its success."""
    if transaction in _HL7V3:
        acknowledgement = reply.find(f"{_V3}acknowledgement")
        code = None
        if acknowledgement is not None:
            code = acknowledgement.findtext(f"{_V3}typeCode") or _attribute(
                acknowledgement.find(f"{_V3}typeCode"), "code"
            )
        if code in {"AA", "CA"}:
            return Ended()
        return Ended(Outcome.SERIOUS, "the answer is not an acknowledgement of acceptance")
    response = reply if reply.get("status") else reply.find(f"{_RS}RegistryResponse")
    status = "" if response is None else response.get("status", "")
    if status == codes.RESPONSE_SUCCESS:
        return Ended()
    listed = () if response is None else response.iter(f"{_RS}RegistryError")
    named = sorted({_code(error.get("errorCode", "")) for error in listed})
    text = ", ".join(named) or "the answer has no status of success"
    return Ended(Outcome.SERIOUS, text, partial=status == codes.RESPONSE_PARTIAL)


# --- readers ----------------------------------------------------------------------------------------------
def _stored_query(request: _Element, _: _Element | None, __: bool) -> About:
    query = request.find(f"{_RIM}AdhocQuery")
    if query is None:
        return About(query=_whole(request, ""))
    named = (slot for slot in query if slot.get("name") in _PATIENT_SLOTS)
    values = (value.text or "" for slot in named for value in slot.iter(_VALUE))
    patients = [cx for value in values if (cx := _cx(value)) is not None]
    return About(
        patients=tuple(dict.fromkeys(patients)),
        query=_whole(request, query.get("id", "")),
        home_community_id=query.get("home", ""),
    )


def _retrieve(request: _Element, _: _Element | None, __: bool) -> About:
    return About(documents=tuple(_documents(request.iterchildren(f"{_XDS}DocumentRequest"))))


def _submission(request: _Element, _: _Element | None, __: bool) -> About:
    patients, unique_id = [], ""
    for identifier in request.iter(f"{_RIM}ExternalIdentifier"):
        scheme, value = identifier.get("identificationScheme"), identifier.get("value", "")
        if scheme == codes.SS_UNIQUE_ID:
            unique_id = value
        elif scheme == codes.SS_PATIENT_ID and (cx := _cx(value)) is not None:
            patients.append(cx)
    return About(patients=tuple(dict.fromkeys(patients)), submission_set=unique_id)


def _removal(request: _Element, _: _Element | None, __: bool) -> About:
    references = request.iterfind(f"{_RIM}ObjectRefList/{_RIM}ObjectRef")
    named = (reference.get("id", "") for reference in references)
    return About(documents=tuple(map(Document, islice(named, _MOST))))


def _images(request: _Element, _: _Element | None, __: bool) -> About:
    studies = []
    for study in request.iter(f"{_XDSI}StudyRequest"):
        requests = list(study.iter(f"{_XDS}DocumentRequest"))
        first = next(_documents(iter(requests)), Document(""))
        series = (s.get("seriesInstanceUID", "") for s in study.iterchildren(f"{_XDSI}SeriesRequest"))
        studies.append(
            Study(
                study.get("studyInstanceUID", ""),
                tuple(uid for uid in series if uid)[:_MOST],
                len(requests),
                first.repository_unique_id,
                first.home_community_id,
            )
        )
    return About(studies=tuple(studies[:_MOST]))


def _discovery(request: _Element, reply: _Element | None, served: bool) -> About:
    """ITI-55: who asks names no patient, who answers names each patient of the answer."""
    parameters = request.find(f"{_V3}controlActProcess/{_V3}queryByParameter")
    message_id = request.find(f"{_V3}id")
    named = "" if message_id is None else f"{message_id.get('extension', '')}@{message_id.get('root', '')}"
    patients = []
    if served and reply is not None:
        for patient in reply.iter(f"{_V3}patient"):
            identifier = patient.find(f"{_V3}id")
            if identifier is not None and identifier.get("extension"):
                patients.append(Cx(identifier.get("extension", ""), identifier.get("root", "")))
    home = request.find(f"{_V3}receiver/{_V3}device/{_V3}asAgent/{_V3}representedOrganization/{_V3}id")
    return About(
        patients=tuple(dict.fromkeys(patients)),
        query=_whole(parameters if parameters is not None else request, named.strip("@")),
        home_community_id=f"urn:oid:{home.get('root')}" if home is not None and home.get("root") else "",
    )


Reader = Callable[[_Element, _Element | None, bool], About]
_READERS: Final[Mapping[str, Reader]] = {
    "ITI-18": _stored_query,
    "ITI-38": _stored_query,
    "ITI-39": _retrieve,
    "ITI-41": _submission,
    "ITI-42": _submission,
    "ITI-43": _retrieve,
    "ITI-45": _discovery,
    "ITI-47": _discovery,
    "ITI-55": _discovery,
    "ITI-57": _submission,
    "ITI-61": _submission,
    "ITI-62": _removal,
    "ITI-80": _submission,
    "ITI-86": _retrieve,
    "RAD-68": _submission,
    "RAD-69": _images,
    "RAD-75": _images,
}
_HL7V3: Final = frozenset({"ITI-45", "ITI-47", "ITI-55"})


# --- values -----------------------------------------------------------------------------------------------
def given_documents(reply: _Element) -> frozenset[str]:
    """uniqueIds of the documents that an answer to a retrieve has."""
    responses = reply.iterchildren(f"{_XDS}DocumentResponse")
    return frozenset(
        text.strip() for each in responses if (text := each.findtext(f"{_XDS}DocumentUniqueId")) is not None
    )


def _documents(requests: Iterator[_Element]) -> Iterator[Document]:
    for number, request in enumerate(requests):
        if number == _MOST:
            return
        yield Document(
            (request.findtext(f"{_XDS}DocumentUniqueId") or "").strip(),
            (request.findtext(f"{_XDS}RepositoryUniqueId") or "").strip(),
            (request.findtext(f"{_XDS}HomeCommunityId") or "").strip(),
        )


def _whole(element: _Element, identifier: str) -> Query:
    return Query(etree.tostring(element, encoding="utf-8", with_tail=False)[:_LARGEST_QUERY], identifier)


def _cx(text: str) -> Cx | None:
    """The CX of a query parameter, in quotes, or of an identifier."""
    value = text.strip().removeprefix("(").removesuffix(")").strip().strip("'").replace("''", "'")
    parts = value.split("^")
    if len(parts) < 4 or not parts[0]:
        return None
    authority = parts[3].split("&")
    oid = bare_oid(authority[1]) if len(authority) > 1 else bare_oid(authority[0])
    return Cx(_unescaped(parts[0]), oid)


def _unescaped(text: str) -> str:
    for escape, character in (
        ("\\S\\", "^"),
        ("\\T\\", "&"),
        ("\\R\\", "~"),
        ("\\F\\", "|"),
        ("\\E\\", "\\"),
    ):
        text = text.replace(escape, character)
    return text


def _attribute(element: _Element | None, name: str) -> str:
    return "" if element is None else element.get(name, "")


def _code(text: str) -> str:
    # peers put free text there
    return text if re.fullmatch(r"[A-Za-z0-9:._\-]{1,80}", text) else "other"
