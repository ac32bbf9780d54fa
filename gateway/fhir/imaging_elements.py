"""Values that imaging resources share: texts, identifiers with issuer, references, absent values
(FHIR R4; IHE RAD MADO 0.1.0; DICOM PS3.3 10.14 for issuers).

What the guides demand and a manifest does not have is written as data-absent-reason, never made up.
"""

import re
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from gateway.fhir.datatypes import Json, authority_uri, fhir_code, fhir_uri, write_coding
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer
from gateway.model.metadata import Code
from gateway.model.oids import is_oid

ABSENT: Final[Json] = {"extension": [{"url": imaging.EXT_DATA_ABSENT, "valueCode": "unknown"}]}
"""An element of which nothing but its absence is known."""

_NOT_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_SUSPECT: Final = re.compile(rb"\\u00|\xef\xbf[\xbe\xbf]")
_NAMESPACE: Final = uuid5(UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8"), codes.DICOM_CODE_SYSTEM)
_WHOLE: Final = re.compile(r"0*(\d{1,10})", re.ASCII)
_LARGEST: Final = 2**31 - 1
_TYPED_URIS: Final = {"ISO": "urn:oid:", "UUID": "urn:uuid:"}

ACCESSION_TYPE: Final[Json] = {
    "coding": [
        {"system": codes.V2_IDENTIFIER_TYPE, "code": imaging.V2_ACCESSION},
        {
            "system": codes.DICOM_CODE_SYSTEM,
            "code": imaging.ACCESSION_NUMBER,
            "display": "Accession Number",
        },
    ]
}
PLACER_TYPE: Final[Json] = {"coding": [{"system": codes.V2_IDENTIFIER_TYPE, "code": imaging.V2_PLACER}]}
FILLER_TYPE: Final[Json] = {"coding": [{"system": codes.V2_IDENTIFIER_TYPE, "code": imaging.V2_FILLER}]}
STUDY_UID_TYPE: Final[Json] = {
    "coding": [
        {
            "system": codes.DICOM_CODE_SYSTEM,
            "code": imaging.STUDY_INSTANCE_UID,
            "display": "Study Instance UID",
        }
    ]
}


def json_bytes(resource: Json) -> bytes:
    """The resource as JSON, with U+FFFD for the characters that FHIR does not allow in a string."""
    try:
        raw = orjson.dumps(resource)
    except orjson.JSONEncodeError:
        return orjson.dumps(_cleaned(resource))
    return orjson.dumps(_cleaned(resource)) if _SUSPECT.search(raw) else raw


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _NOT_TEXT.sub("\ufffd", value)
    if isinstance(value, dict):
        return {name: _cleaned(item) for name, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def put(target: Json, name: str, value: Any) -> None:
    """Set a property unless there is nothing to say: FHIR has no empty values."""
    if value is None or value in ("", [], {}):
        return
    target[name] = value


def made_id(*names: str) -> str:
    """A UUID that the same names give anywhere and at any time (RFC 4122 version 5)."""
    return str(uuid5(_NAMESPACE, _NOT_TEXT.sub("\ufffd", "\n".join(names))))


def whole_number(text: str | None) -> int | None:
    """FHIR unsignedInt of a DICOM IS; None for what is negative, larger or no number."""
    found = _WHOLE.fullmatch(text or "")
    value = int(found[1]) if found else -1
    return value if 0 <= value <= _LARGEST else None


# --- codes ----------------------------------------------------------------------------------------------
def coding(code: Code, terminology: Terminology) -> Json:
    """Coding of a Code without empty parts."""
    return {name: value for name, value in write_coding(code, terminology).items() if value}


def concept(coded: Iterable[Code], terminology: Terminology) -> Json:
    """CodeableConcept whose codings mean the same."""
    return {"coding": [coding(code, terminology) for code in coded]}


def region_for(code: Code, spine: str) -> Code:
    """The region with the code that a guide gives the spine; other regions as they are."""
    if code.code in imaging.SPINE and code.scheme in (imaging.SNOMED, imaging.SNOMED_DESIGNATOR):
        return Code(spine, code.scheme, code.display)
    return code


# --- identifiers ----------------------------------------------------------------------------------------
def study_identifier(study_instance_uid: str) -> Json:
    """Identifier of a study by its UID."""
    return {
        "type": STUDY_UID_TYPE,
        "system": codes.DICOM_UID_SYSTEM,
        "value": f"urn:oid:{study_instance_uid}",
    }


def uid_identifier(uid: str) -> Json:
    """Identifier of a document that is a DICOM UID."""
    return {"system": codes.URI_SYSTEM, "value": f"urn:oid:{uid}"}


def issuer_system(issuer: Issuer | None, terminology: Terminology) -> str | None:
    """Identifier.system of an issuer whose universal id is an OID, UUID or URI."""
    if issuer is None or not issuer.universal_id:
        return None
    kind, value = issuer.universal_id_type, issuer.universal_id
    if kind == "ISO" and is_oid(value):
        return authority_uri(value, terminology)
    if kind in _TYPED_URIS:
        return fhir_uri(_TYPED_URIS[kind] + value)
    return fhir_uri(value) if kind == "URI" else None


def issued_identifier(issued: IssuedId, terminology: Terminology, kind: Json | None = None) -> Json:
    """Identifier with its issuer: the universal id is the system, the local namespace the assigner's name.

    Universal ids of the other types of DICOM (DNS, EUI64, X400, X500) are identifiers of the assigner.
    """
    written: Json = {"type": kind} if kind else {}
    issuer = issued.issuer
    put(written, "system", issuer_system(issuer, terminology))
    put(written, "value", issued.value)
    if issuer is None:
        return written
    assigner: Json = {}
    if issuer.universal_id and "system" not in written:
        named: Json = {}
        universal = fhir_code(issuer.universal_id_type)
        if universal:
            named["type"] = {"coding": [{"system": imaging.V2_UNIVERSAL_ID_TYPES, "code": universal}]}
        put(named, "value", issuer.universal_id)
        assigner["identifier"] = named
    put(assigner, "display", issuer.namespace)
    put(written, "assigner", assigner)
    return written


def accession_identifier(accession: IssuedId | None, terminology: Terminology) -> Json:
    """Identifier of type accession number with both codings; what is unknown of it is said to be.

    MADO and HL7 Europe demand system and value, and have the group case without accession too.
    """
    written = issued_identifier(accession or IssuedId(""), terminology, ACCESSION_TYPE)
    for name in ("system", "value"):
        if name not in written:
            written[f"_{name}"] = ABSENT
    return written
