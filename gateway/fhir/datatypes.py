"""FHIR R4 data types <-> values of document sharing metadata (IHE MHD 4.2.4; ITI TF-2 Appendix Z.9.1).

Writers return plain JSON values, or orjson fragments where the same value recurs on every page. Readers
take JSON that has passed FHIR validation, and report what cannot be mapped to `Findings` instead of raising.
"""

import re
from binascii import Error as Base64Error
from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
import pybase64

from gateway.fhir.findings import Findings
from gateway.fhir.terminology import OidMap, Terminology, UnmappedError
from gateway.model import codes
from gateway.model.dtm import dtm_start, to_dtm
from gateway.model.metadata import Code, Cx
from gateway.model.object_ids import unmarked
from gateway.model.oids import bare_oid, is_oid

Json = dict[str, Any]
PatientOf = Callable[[str], Cx | None]
"""Patient identifier of the affinity domain for a literal Patient reference; None where it is unknown."""

_UUID_URN: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SPACE = re.compile(r"\s")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_FRACTION = re.compile(r"\.\d+")
_HEX_SHA1 = re.compile(rb"[0-9a-fA-F]{40}")
# days that every month has, so that only the others need the calendar
_USUAL_TIME = re.compile(
    r"(?!0000)\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|1\d|2[0-8])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d", re.ASCII
)
_LONGEST_UNIQUE_ID: Final = 128
_MAX_CACHED = 4096
"""Distinct codes and persons kept ready per kind: a page repeats a few dozen."""

_MHD_HTTP: Final = "http" + codes.MHD.removeprefix("https")


def canonical(url: object) -> object:
    """A canonical URL without version, with the `http` form of MHD URLs that some systems send corrected."""
    if not isinstance(url, str):
        return url
    bare = url.partition("|")[0]
    return codes.MHD + bare.removeprefix(_MHD_HTTP) if bare.startswith(_MHD_HTTP) else bare


def is_uuid_urn(value: object) -> bool:
    """True for `urn:uuid:` and a UUID in any case."""
    return isinstance(value, str) and bool(_UUID_URN.fullmatch(value))


# --- codes ----------------------------------------------------------------------------------------------
def fhir_code(value: str | None) -> str | None:
    """`value` with the single spaces that a FHIR code may have; None where nothing is left."""
    return " ".join(value.split()) or None if value else None


def fhir_uri(value: str) -> str:
    """`value` without white space: coding schemes of a registry need not be URIs."""
    return _SPACE.sub("%20", value)


def write_coding(code: Code, terminology: Terminology) -> Json:
    """Coding of a Code."""
    coding: Json = {}
    if code.scheme:
        coding["system"] = fhir_uri(terminology.code_systems.uri(code.scheme))
    value = fhir_code(code.code)
    if value:
        coding["code"] = value
    if code.display:
        coding["display"] = code.display
    return coding


@lru_cache(maxsize=_MAX_CACHED)
def coding_fragment(code: Code, terminology: Terminology) -> orjson.Fragment:
    """Coding as JSON."""
    return orjson.Fragment(orjson.dumps(write_coding(code, terminology)))


@lru_cache(maxsize=_MAX_CACHED)
def concept_fragment(code: Code, terminology: Terminology) -> orjson.Fragment:
    """CodeableConcept as JSON."""
    return orjson.Fragment(orjson.dumps({"coding": [write_coding(code, terminology)]}))


def read_code(concept: Json | None, terminology: Terminology, findings: Findings, path: str) -> Code | None:
    """Code of a CodeableConcept: its first coding whose system the settings map to a scheme.

    The display falls back to the text and then to the code, because XDS requires a name.
    """
    if not concept:
        return None
    unmapped: str | None = None
    for coding in concept.get("coding") or ():
        value, system = coding.get("code"), coding.get("system")
        if not value or not system:
            continue
        scheme = terminology.code_systems.oid_or_none(system)
        if scheme is not None:
            return Code(value, scheme, coding.get("display") or concept.get("text") or value)
        unmapped = unmapped or system
    if unmapped is not None:
        _report_unmapped(terminology.code_systems, unmapped, findings, f"{path}.coding")
    else:
        findings.error(path, "required", "A coding with system and code is needed to map this to XDS.")
    return None


def read_coding(coding: Json | None, terminology: Terminology, findings: Findings, path: str) -> Code | None:
    """Code of a single Coding."""
    return read_code({"coding": [coding]}, terminology, findings, path) if coding else None


def _report_unmapped(table: OidMap, value: str, findings: Findings, path: str) -> None:
    try:
        table.oid(value)
    except UnmappedError as error:
        findings.error(path, "code-invalid", f"{error}.")


# --- times ----------------------------------------------------------------------------------------------
def write_date_time(dtm: str | None) -> str | None:
    """dateTime of a DTM: dates keep their precision, an hour or a minute is filled with zeros.

    None for a value that names no time.
    """
    if not dtm:
        return None
    if _USUAL_TIME.fullmatch(dtm):
        return f"{dtm[:4]}-{dtm[4:6]}-{dtm[6:8]}T{dtm[8:10]}:{dtm[10:12]}:{dtm[12:]}Z"
    try:
        moment = dtm_start(dtm)
    except ValueError:
        return None
    length = len(dtm)
    if length == 4:
        return dtm
    if length == 6:
        return f"{dtm[:4]}-{dtm[4:]}"
    if length == 8:
        return f"{dtm[:4]}-{dtm[4:6]}-{dtm[6:]}"
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def write_date(dtm: str | None) -> str | None:
    """FHIR date of a DTM; a time of day is cut."""
    return write_date_time(dtm[:8]) if dtm else None


def read_date_time(value: str | None, findings: Findings, path: str) -> str | None:
    """DTM of a dateTime, instant or date: times shifted to UTC, fractions cut, dates as they are."""
    if not value:
        return None
    try:
        if "T" not in value:
            digits = value.replace("-", "")
            dtm_start(digits)
            return digits
        # a leap second is legal in FHIR and unknown to datetime
        text = _FRACTION.sub("", value).replace(":60", ":59", 1)
        moment = datetime.fromisoformat(text)
        return to_dtm(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        findings.error(path, "value", "This is not a time between the years 0001 and 9999 in UTC.")
        return None


def read_date(value: str | None) -> str | None:
    """DTM of a FHIR date; None where it names no day."""
    if not value:
        return None
    try:
        date.fromisoformat(value + "-01-01"[len(value) - 4 :] if len(value) < 10 else value)
    except ValueError:
        return None
    return value.replace("-", "")


# --- identifiers ----------------------------------------------------------------------------------------
_UNIQUE_ID_TYPE: Final = {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}]}
_ENTRY_UUID_TYPE: Final = {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "entryUUID"}]}


def write_unique_id(unique_id: str) -> Json:
    """Identifier of a uniqueId: OID, UUID, `root^extension` or another URI (ITI TF-3 Appendix E.3)."""
    root, caret, extension = unique_id.partition("^")
    root = bare_oid(root)
    if caret and extension and is_oid(root):
        return {"type": _UNIQUE_ID_TYPE, "system": f"urn:oid:{root}", "value": extension}
    value = f"urn:oid:{root}" if not caret and is_oid(root) else unique_id
    return {"type": _UNIQUE_ID_TYPE, "system": codes.URI_SYSTEM, "value": value}


def write_entry_uuid(entry_uuid: str) -> Json:
    """Identifier of an entryUUID."""
    value, _ = unmarked(entry_uuid)
    return {"type": _ENTRY_UUID_TYPE, "system": codes.URI_SYSTEM, "value": value}


def identifier_role(identifier: Json) -> str | None:
    """`uniqueId` or `entryUUID` as Identifier.type says it; None for any other identifier."""
    for coding in (identifier.get("type") or {}).get("coding") or ():
        if canonical(coding.get("system")) == codes.MHD_IDENTIFIER_TYPE:
            role = coding.get("code")
            return role if role in ("uniqueId", "entryUUID") else None
    return None


def has_unknown_role(identifier: Json) -> bool:
    """True where Identifier.type is of IHE MHD, and neither uniqueId nor entryUUID."""
    return identifier_role(identifier) is None and any(
        canonical(coding.get("system")) == codes.MHD_IDENTIFIER_TYPE
        for coding in (identifier.get("type") or {}).get("coding") or ()
    )


def read_unique_id(identifier: Json, terminology: Terminology, findings: Findings, path: str) -> str | None:
    """uniqueId of an Identifier with system and value."""
    system, value = identifier.get("system"), identifier.get("value")
    if not system or not value:
        findings.error(path, "required", "A uniqueId needs system and value.")
        return None
    if system == codes.URI_SYSTEM:
        read = _read_uri_id(value, findings, f"{path}.value")
    else:
        root = read_authority(system, terminology, findings, f"{path}.system")
        read = f"{root}^{value}" if root else None
    if read is not None and len(read) > _LONGEST_UNIQUE_ID:
        findings.error(
            f"{path}.value", "too-long", f"XDS takes at most {_LONGEST_UNIQUE_ID} characters here."
        )
        return None
    return read


def _read_uri_id(value: str, findings: Findings, path: str) -> str | None:
    kind = value[:8].lower()
    if kind == "urn:oid:":
        if is_oid(value[8:]):
            return value[8:]
        findings.error(path, "value", "After urn:oid: an OID such as 2.999.1 is needed.")
        return None
    if kind == "urn:uuid":
        if is_uuid_urn(value):
            return value.lower()
        findings.error(path, "value", "After urn:uuid: a UUID of 36 characters is needed.")
        return None
    if not _URI.fullmatch(value):
        findings.error(
            path, "value", f"An identifier in {codes.URI_SYSTEM} is a URI such as urn:oid: and an OID."
        )
        return None
    return value


def read_entry_uuid(identifier: Json, findings: Findings, path: str) -> str | None:
    """entryUUID of an Identifier of that type."""
    value = identifier.get("value")
    if identifier.get("system") != codes.URI_SYSTEM:
        findings.error(f"{path}.system", "value", f"The system of an entryUUID is {codes.URI_SYSTEM}.")
        return None
    if not isinstance(value, str) or not is_uuid_urn(value):
        findings.error(f"{path}.value", "value", "An entryUUID is urn:uuid: and a UUID (mhd-startswithuuid).")
        return None
    return value.lower()


@lru_cache(maxsize=_MAX_CACHED)
def authority_uri(authority: str, terminology: Terminology) -> str:
    """Identifier.system of an assigning authority."""
    return fhir_uri(terminology.authorities.uri(authority))


def write_authority_id(value: str, authority: str | None, terminology: Terminology) -> Json:
    """Identifier of an id within an assigning authority; without authority only its value."""
    if not authority:
        return {"value": value}
    return {"system": authority_uri(authority, terminology), "value": value}


def write_cx(cx: Cx, terminology: Terminology) -> Json:
    """Identifier of a Cx."""
    return write_authority_id(cx.id, cx.authority, terminology)


def read_cx(identifier: Json, terminology: Terminology, findings: Findings, path: str) -> Cx | None:
    """Cx of an Identifier; its system has to be an assigning authority."""
    system, value = identifier.get("system"), identifier.get("value")
    if not system or not value:
        findings.error(path, "required", "A patient identifier needs system and value.")
        return None
    authority = read_authority(system, terminology, findings, f"{path}.system")
    return Cx(value, authority) if authority else None


def read_authority_id(
    identifier: Json, terminology: Terminology, findings: Findings, path: str
) -> tuple[str | None, str | None]:
    """Id and authority of an Identifier of a person or an organization, either of them None.

    An Identifier that is itself an OID (`urn:ietf:rfc:3986`) becomes a bare OID without authority.
    """
    system, value = identifier.get("system"), identifier.get("value")
    if not value:
        return None, None
    if not system:
        return value, None
    if system == codes.URI_SYSTEM:
        bare = bare_oid(value)
        return bare, None
    return value, read_authority(system, terminology, findings, f"{path}.system")


def read_authority(system: str, terminology: Terminology, findings: Findings, path: str) -> str | None:
    """OID of an Identifier.system; None after reporting that the settings do not map it."""
    oid = terminology.authorities.oid_or_none(system)
    if oid is None:
        _report_unmapped(terminology.authorities, system, findings, path)
    return oid


# --- bytes ----------------------------------------------------------------------------------------------
def write_hash(sha1: str) -> str | None:
    """Base64 of the 20 bytes of a SHA-1 in hex; None where it is not one."""
    try:
        raw = bytes.fromhex(sha1)
    except ValueError:
        return None
    return pybase64.b64encode_as_string(raw) if len(raw) == 20 else None


def read_hash(value: str | None, findings: Findings, path: str) -> str | None:
    """SHA-1 as 40 hex digits of attachment.hash, which is the base64 of its 20 bytes."""
    if not value:
        return None
    raw = decode_base64(value)
    if raw is not None and len(raw) == 20:
        return raw.hex()
    if (raw is not None and _HEX_SHA1.fullmatch(raw)) or _HEX_SHA1.fullmatch(value.encode()):
        hint = "it holds the hexadecimal text of the hash instead; encode the 20 bytes"
    else:
        hint = "it does not decode to 20 bytes"
    findings.error(path, "value", f"The hash is the base64 of the SHA-1 of the document: {hint}.")
    return None


def decode_base64(text: str) -> bytes | None:
    """Bytes of base64 text; white space is allowed as in FHIR base64Binary. None where it is not base64."""
    try:
        return bytes(pybase64.b64decode(text, validate=True))
    except (Base64Error, ValueError):
        pass
    try:
        return bytes(pybase64.b64decode("".join(text.split()), validate=True))
    except (Base64Error, ValueError):
        return None
