"""referenceIdList <-> identifiers of context.related and context.encounter (IHE MHD 4.2.4; ITI TF-2 Z.9.1.2;
ITI TF-3 4.2.3.2.28). The home community of a value (CX.6) has no place in FHIR.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.fhir.datatypes import Json, authority_uri, fhir_uri, read_authority
from gateway.fhir.findings import Findings
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import ReferenceId
from gateway.model.oids import bare_oid, is_oid

# types of referenceIdList under the codes that imaging profiles use for the same identifiers
_REFERENCE_TYPE_CODES: Final[tuple[tuple[str, str, str, str], ...]] = (
    (codes.DICOM_CODE_SYSTEM, "110180", "Study Instance UID", codes.REFERENCE_STUDY),
    (codes.DICOM_CODE_SYSTEM, "121022", "Accession Number", codes.REFERENCE_ACCESSION),
)
_REFERENCE_TYPES: Final[Mapping[tuple[str, str], str]] = {
    **{(system, code): urn for system, code, _, urn in _REFERENCE_TYPE_CODES},
    (codes.V2_IDENTIFIER_TYPE, "ACSN"): codes.REFERENCE_ACCESSION,
    (codes.V2_IDENTIFIER_TYPE, "PLAC"): codes.REFERENCE_ORDER,
}
# a scheme as RFC 3986 3.1 has it; FHIR takes only URIs as value where the system is that of URIs
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_NEEDS_AUTHORITY: Final = frozenset(
    {codes.REFERENCE_ACCESSION, codes.REFERENCE_ORDER, codes.REFERENCE_REFERRAL}
)
ORDERS_AND_STUDIES: Final = _NEEDS_AUTHORITY | {codes.REFERENCE_STUDY}
"""Types of ids that MHD 5.1 (FHIR R5) has in basedOn."""

_REFERENCE_TYPE_CONCEPTS: Final[Mapping[str, Json]] = {
    urn: {
        "coding": [
            {"system": codes.URI_SYSTEM, "code": urn},
            {"system": system, "code": code, "display": display},
        ]
    }
    for system, code, display, urn in _REFERENCE_TYPE_CODES
}


def write_reference_id(reference: ReferenceId, terminology: Terminology) -> Json:
    """Identifier of one referenceIdList value; the type of an encounter follows from its element."""
    identifier: Json = {}
    if reference.type and reference.type != codes.REFERENCE_ENCOUNTER:
        urn = fhir_uri(reference.type)
        identifier["type"] = _REFERENCE_TYPE_CONCEPTS.get(urn) or {
            "coding": [{"system": codes.URI_SYSTEM, "code": urn}]
        }
    value = reference.id
    if reference.authority:
        identifier["system"] = authority_uri(reference.authority, terminology)
    elif reference.type == codes.REFERENCE_STUDY and is_oid(value):
        identifier["system"], value = codes.DICOM_UID_SYSTEM, f"urn:oid:{value}"
    elif is_oid(value):
        identifier["system"], value = codes.URI_SYSTEM, f"urn:oid:{value}"
    elif _URI.fullmatch(value):
        identifier["system"] = codes.URI_SYSTEM
    identifier["value"] = value
    return identifier


def read_reference_id(
    identifier: Json, terminology: Terminology, findings: Findings, path: str, *, encounter: bool = False
) -> ReferenceId | None:
    """ReferenceId of context.related.identifier, or of context.encounter.identifier."""
    system, value = identifier.get("system"), identifier.get("value")
    if not value:
        findings.error(path, "required", "A value is needed to map this identifier to referenceIdList.")
        return None
    kind = codes.REFERENCE_ENCOUNTER if encounter else _reference_type(identifier)
    authority: str | None = None
    if system in (codes.DICOM_UID_SYSTEM, codes.URI_SYSTEM):
        value = bare_oid(value)
        if kind is None:
            is_study = system == codes.DICOM_UID_SYSTEM
            kind = codes.REFERENCE_STUDY if is_study else codes.REFERENCE_UNIQUE_ID
    elif system:
        authority = read_authority(system, terminology, findings, f"{path}.system")
        if authority is None:
            return None
    if kind is None:
        findings.error(
            f"{path}.type",
            "required",
            f"The type of this identifier is needed: a coding of system {codes.URI_SYSTEM} whose code is "
            f"a type of referenceIdList such as {codes.REFERENCE_ACCESSION}.",
        )
        return None
    if kind in _NEEDS_AUTHORITY and authority is None:
        findings.error(f"{path}.system", "required", f"An identifier of type {kind} needs its authority.")
        return None
    return ReferenceId(value, authority, kind)


def goes_with_orders(identifier: Json) -> bool:
    """True for the identifiers that MHD 5.1 (FHIR R5) has in basedOn: of orders and of imaging studies."""
    kind = _reference_type(identifier)
    if kind is None:
        return identifier.get("system") == codes.DICOM_UID_SYSTEM
    return kind in ORDERS_AND_STUDIES


def _reference_type(identifier: Json) -> str | None:
    for coding in (identifier.get("type") or {}).get("coding") or ():
        system, code = coding.get("system"), coding.get("code")
        if not system or not code:
            continue
        if system == codes.URI_SYSTEM:
            return str(code)
        found = _REFERENCE_TYPES.get((system, code))
        if found is not None:
            return found
    return None
