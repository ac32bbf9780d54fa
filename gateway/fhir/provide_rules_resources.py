"""Rules of the profiles of DocumentReference, SubmissionSet and Folder, and of Patch.Parameters
(IHE MHD 4.2.4), on resources that are valid FHIR R4.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.fhir.datatypes import Json, has_unknown_role, identifier_role
from gateway.fhir.document_reference_read import contained_by_id
from gateway.fhir.findings import Findings
from gateway.fhir.lists import extensions
from gateway.fhir.provide_profiles import MetadataLevel, missing_text
from gateway.fhir.provide_rules_general import element_values
from gateway.model import codes

_DOCUMENT_REQUIRED: Final = (
    "masterIdentifier",
    "type",
    "category",
    "subject",
    "securityLabel",
    "content.attachment.contentType",
    "content.attachment.url",
    "content.attachment.language",
    "content.attachment.creation",
    "content.format",
    "context.facilityType",
    "context.practiceSetting",
    "context.sourcePatientInfo",
)
_DOCUMENT_REQUIRED_LIMITED: Final = (
    "masterIdentifier",
    "content.attachment.contentType",
    "content.attachment.url",
)
_DOCUMENT_PROHIBITED: Final = ("docStatus", "content.attachment.data")
_DOCUMENT_SINGLE: Final = ("category", "content")
_SET_PROHIBITED: Final = ("encounter", "orderedBy", "emptyReason")
_FOLDER_PROHIBITED: Final = (*_SET_PROHIBITED, "source")
_ITEM_PROHIBITED: Final = ("flag", "deleted", "date")
_LIST_SINGLE: Final = ("note",)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")
_EXTENSION_VALUES: Final[Mapping[str, str]] = {
    codes.EXT_HOME_COMMUNITY: "valueOid",
    codes.EXT_DESIGNATION_TYPE: "valueCodeableConcept",
    codes.EXT_SOURCE_ID: "valueIdentifier",
    codes.EXT_INTENDED_RECIPIENT: "valueReference",
}
_PATCH: Final = {
    "type": ("valueCode", "replace"),
    "path": ("valueString", "DocumentReference.status"),
    "value": ("valueCode", "superseded"),
}


def has_all_of_document(resource: Json) -> bool:
    """True where a DocumentReference has all that XDS requires of a DocumentEntry."""
    return _has_all(resource, _DOCUMENT_REQUIRED)


def has_all_of_set(resource: Json) -> bool:
    """True where a List has all that XDS requires of a SubmissionSet."""
    return _has_all(resource, ("subject",)) and bool(extensions(resource, codes.EXT_DESIGNATION_TYPE))


def has_all_of_folder(resource: Json) -> bool:
    """True where a List has all that XDS requires of a Folder."""
    return has_all_of_set(resource) and _has_all(resource, ("title",))


def _has_all(resource: Json, required: Iterable[str]) -> bool:
    return all(
        value is not None
        for element in required
        for value, _ in element_values(resource, element.split("."), "")
    )


def check_document_reference(
    resource: Json,
    path: str,
    level: MetadataLevel,
    findings: Findings,
    *,
    limited: bool = False,
    left_open: frozenset[str] = frozenset(),
) -> None:
    """Profiles of DocumentReference; what is required is what XDS requires, less with `limited` metadata.

    Elements in `left_open` are not required.
    """
    required: tuple[str, ...] = _DOCUMENT_REQUIRED_LIMITED if limited else _DOCUMENT_REQUIRED
    if level is MetadataLevel.UNCONTAINED:
        # the option says that the subject is enough, the profile does not
        required = tuple(element for element in required if element != "context.sourcePatientInfo")
    required = tuple(element for element in required if element not in left_open)
    _require(resource, required, level, path, findings)
    _prohibit(resource, _DOCUMENT_PROHIBITED, path, findings)
    _single(resource, _DOCUMENT_SINGLE, path, findings)
    _check_master_identifier(resource, path, findings)
    _check_identifiers(resource, path, findings)
    _check_extensions(resource, {codes.EXT_HOME_COMMUNITY: 1}, path, findings)
    _check_subject(resource, path, findings)
    if resource["status"] != "current":
        findings.error(
            f"{path}.status", "business-rule", "A document that is submitted has the status current."
        )
    for number, author in enumerate(resource.get("author") or ()):
        _check_contained(author, f"{path}.author[{number}]", level, findings)
    if resource.get("authenticator"):
        _check_contained(resource["authenticator"], f"{path}.authenticator", level, findings)
    for value, place in element_values(resource, ["content", "attachment", "language"], path):
        if value is not None and not _LANGUAGE.fullmatch(value):
            findings.error(place, "code-invalid", "A language is a tag of BCP 47 such as en or de-AT.")
    _check_source_patient(resource, path, level, findings)


def check_submission_set(
    resource: Json, path: str, level: MetadataLevel, findings: Findings, *, limited: bool = False
) -> None:
    """Profiles of SubmissionSet; less is required with `limited` metadata."""
    _check_list(resource, _SET_PROHIBITED, path, findings)
    _require(resource, ("date",) if limited else ("subject", "date"), level, path, findings)
    _check_value(resource, "status", "current", path, findings)
    _check_extensions(
        resource,
        {codes.EXT_HOME_COMMUNITY: 1, codes.EXT_DESIGNATION_TYPE: 1, codes.EXT_SOURCE_ID: 1},
        path,
        findings,
    )
    for url, name, attribute in (
        (codes.EXT_SOURCE_ID, "sourceId", "sourceId"),
        (codes.EXT_DESIGNATION_TYPE, "designationType", "contentTypeCode"),
    ):
        is_open = limited and url == codes.EXT_DESIGNATION_TYPE
        if not is_open and not extensions(resource, url):
            findings.error(
                f"{path}.extension('{url}')",
                "required",
                f"A SubmissionSet needs the extension {name}, for {attribute} in XDS.",
            )
    source = resource.get("source")
    if source:
        _check_contained(source, f"{path}.source", level, findings)
        for number, extension in extensions(source, codes.EXT_AUTHOR_ORG):
            place = f"{path}.source.extension[{number}].value"
            _check_contained(extension.get("valueReference") or {}, place, level, findings)


def check_folder(
    resource: Json, path: str, level: MetadataLevel, findings: Findings, *, limited: bool = False
) -> None:
    """Profiles of Folder; less is required with `limited` metadata."""
    _check_list(resource, _FOLDER_PROHIBITED, path, findings)
    _require(resource, () if limited else ("subject", "title"), level, path, findings)
    _check_extensions(resource, {codes.EXT_HOME_COMMUNITY: 1}, path, findings)
    if not limited and not extensions(resource, codes.EXT_DESIGNATION_TYPE):
        findings.error(
            f"{path}.extension('{codes.EXT_DESIGNATION_TYPE}')",
            "required",
            "A Folder needs the extension designationType, for codeList in XDS.",
        )


def check_patch(resource: Json, path: str, findings: Findings) -> None:
    """Profile Patch.Parameters: one operation that sets the status to superseded."""
    parameters: list[Json] = resource.get("parameter") or []
    found: dict[str, Any] = {}
    if len(parameters) == 1 and parameters[0].get("name") == "operation":
        found = {part.get("name"): part for part in parameters[0].get("part") or ()}
    if any((found.get(name) or {}).get(kind) != value for name, (kind, value) in _PATCH.items()):
        findings.error(
            f"{path}.parameter",
            "value",
            "A PATCH of this transaction is one operation with the parts type replace (valueCode), path "
            "DocumentReference.status (valueString) and value superseded (valueCode).",
        )


# --- parts ----------------------------------------------------------------------------------------------
def _require(
    resource: Json, elements: Iterable[str], level: MetadataLevel, path: str, findings: Findings
) -> None:
    for element in elements:
        for value, place in element_values(resource, element.split("."), path):
            if value is None:
                findings.error(place, "required", missing_text(element, level))


def _prohibit(resource: Json, elements: Iterable[str], path: str, findings: Findings) -> None:
    for element in elements:
        for value, place in element_values(resource, element.split("."), path):
            if value is not None:
                findings.error(place, "structure", "The profiles of IHE MHD do not allow this element.")


def _single(resource: Json, elements: Iterable[str], path: str, findings: Findings) -> None:
    for element in elements:
        if len(resource.get(element) or ()) > 1:
            findings.error(f"{path}.{element}[1]", "structure", "The profile allows one of these.")


def _check_value(resource: Json, element: str, wanted: str, path: str, findings: Findings) -> None:
    if resource.get(element) != wanted:
        findings.error(f"{path}.{element}", "value", f"The profile fixes this element to {wanted}.")


def _check_list(resource: Json, prohibited: Iterable[str], path: str, findings: Findings) -> None:
    _prohibit(resource, prohibited, path, findings)
    _single(resource, _LIST_SINGLE, path, findings)
    _check_value(resource, "mode", "working", path, findings)
    _check_identifiers(resource, path, findings)
    _check_subject(resource, path, findings)
    for number, entry in enumerate(resource.get("entry") or ()):
        _prohibit(entry, _ITEM_PROHIBITED, f"{path}.entry[{number}]", findings)


def _check_master_identifier(resource: Json, path: str, findings: Findings) -> None:
    master = resource.get("masterIdentifier")
    if master is not None and identifier_role(master) != "uniqueId":
        findings.error(
            f"{path}.masterIdentifier.type",
            "required",
            f"The type of a masterIdentifier is uniqueId of {codes.MHD_IDENTIFIER_TYPE}.",
        )


def _check_identifiers(resource: Json, path: str, findings: Findings) -> None:
    seen: set[str] = set()
    master = resource.get("masterIdentifier")
    for number, identifier in enumerate(resource.get("identifier") or ()):
        role = identifier_role(identifier)
        place = f"{path}.identifier[{number}]"
        if has_unknown_role(identifier):
            findings.error(
                f"{place}.type",
                "code-invalid",
                f"The codes of {codes.MHD_IDENTIFIER_TYPE} are uniqueId and entryUUID.",
            )
        if role is None:
            continue
        if role in seen:
            findings.error(place, "structure", f"Only one identifier has the type {role}.")
        seen.add(role)
        if role == "uniqueId" and master and not _same_identifier(identifier, master):
            findings.error(
                place, "invariant", "The identifier of type uniqueId is the same as masterIdentifier."
            )


def _same_identifier(one: Json, other: Json) -> bool:
    return all(one.get(element) == other.get(element) for element in ("system", "value"))


def _check_extensions(resource: Json, most: Mapping[str, int], path: str, findings: Findings) -> None:
    for url, value in _EXTENSION_VALUES.items():
        found = extensions(resource, url)
        for position, (number, extension) in enumerate(found):
            place = f"{path}.extension[{number}]"
            if value not in extension:
                findings.error(f"{place}.value", "required", f"The extension {url} has a {value}.")
            if position >= most.get(url, len(found)):
                findings.error(place, "structure", f"The profile allows one extension {url}.")


def _check_subject(resource: Json, path: str, findings: Findings) -> None:
    subject = resource.get("subject") or {}
    literal = subject.get("reference") or ""
    kind = subject.get("type") or "Patient"
    is_typed = "/" in literal and not literal.startswith("#")
    if kind != "Patient" or (is_typed and "Patient" not in literal.split("/")):
        findings.error(f"{path}.subject", "value", "The subject is a Patient.")


def _check_contained(reference: Json, path: str, level: MetadataLevel, findings: Findings) -> None:
    literal = reference.get("reference")
    if level.contained_only and literal and not literal.startswith("#"):
        findings.error(
            f"{path}.reference",
            "structure",
            "The Comprehensive profiles want the target of this reference in contained.",
        )


def _check_source_patient(resource: Json, path: str, level: MetadataLevel, findings: Findings) -> None:
    reference = (resource.get("context") or {}).get("sourcePatientInfo")
    if not reference:
        return
    place = f"{path}.context.sourcePatientInfo"
    literal = reference.get("reference") or ""
    if not level.contained_only and not literal.startswith("#"):
        return  # reading it reports where it leads nowhere
    contained = contained_by_id(resource)
    local_id = literal.removeprefix("#")
    patient = contained.get(local_id)
    if not literal.startswith("#") or patient is None or patient["resourceType"] != "Patient":
        findings.error(f"{place}.reference", "structure", "sourcePatientInfo refers to a contained Patient.")
    elif not patient.get("identifier"):
        findings.error(
            f"{path}.contained[{list(contained).index(local_id)}].identifier",
            "required",
            "The Patient of sourcePatientInfo needs an identifier, which becomes sourcePatientId.",
        )
