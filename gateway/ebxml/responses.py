"""rs:RegistryResponse and the error list that every answer shares (ITI TF-3 4.2.4)."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import REGISTRY_ERROR, REGISTRY_ERROR_LIST, REGISTRY_RESPONSE
from gateway.model import RegistryError, RegistryResponse, ResponseStatus, Severity
from gateway.model.codes import NS_RS

_STATUS = {status.value.rpartition(":")[2].lower(): status for status in ResponseStatus}


@lru_cache(64)
def _known_status(status: str | None) -> ResponseStatus | None:
    return _STATUS.get((status or "").strip().rpartition(":")[2].lower())


def read_response_status(
    status: str | None, errors: Sequence[RegistryError], *, empty: bool
) -> ResponseStatus:
    """Status by the last token of its URN.

    Where a peer leaves it out or invents one, the errors tell: none is Success, errors next to a content
    that is not `empty` are PartialSuccess, else Failure.
    """
    known = _known_status(status)
    if known is not None:
        return known
    if not any(error.severity is Severity.ERROR for error in errors):
        return ResponseStatus.SUCCESS
    return ResponseStatus.FAILURE if empty else ResponseStatus.PARTIAL


def read_errors(parent: _Element) -> tuple[RegistryError, ...]:
    """Errors and warnings of the RegistryErrorList of an answer, in order."""
    return tuple(
        RegistryError(
            code=(error.get("errorCode") or "").strip() or "XDSRegistryError",
            context=(error.get("codeContext") or error.text or "").strip(),
            severity=_severity(error.get("severity")),
            location=(error.get("location") or "").strip() or None,
        )
        for error_list in parent.iterchildren(REGISTRY_ERROR_LIST)
        for error in error_list.iterchildren(REGISTRY_ERROR)
    )


def _severity(text: str | None) -> Severity:
    level = (text or "").strip().rpartition(":")[2].lower()
    return Severity.WARNING if level == "warning" else Severity.ERROR


def write_errors(parent: _Element, errors: Iterable[RegistryError]) -> None:
    """Append a RegistryErrorList with its highestSeverity; nothing where there are no errors."""
    listed = list(errors)
    if not listed:
        return
    highest = Severity.ERROR if any(e.severity is Severity.ERROR for e in listed) else Severity.WARNING
    error_list = SubElement(parent, REGISTRY_ERROR_LIST, {"highestSeverity": highest.value})
    for error in listed:
        element = SubElement(
            error_list,
            REGISTRY_ERROR,
            {"errorCode": error.code, "codeContext": error.context, "severity": error.severity.value},
        )
        if error.location is not None:
            element.set("location", error.location)


def read_registry_response(element: _Element) -> RegistryResponse:
    """Answer to a submission. Raises MetadataError where the element is another one."""
    if element.tag != REGISTRY_RESPONSE:
        raise MetadataError("XDSRegistryError", "the answer is not a RegistryResponse")
    errors = read_errors(element)
    return RegistryResponse(read_response_status(element.get("status"), errors, empty=True), errors)


def write_registry_response(response: RegistryResponse) -> _Element:
    """rs:RegistryResponse."""
    element = Element(REGISTRY_RESPONSE, {"status": response.status.value}, nsmap={"rs": NS_RS})
    write_errors(element, response.errors)
    return element
