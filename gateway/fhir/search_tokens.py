"""Tokens of ITI-67 in terms of XDS: systems to OIDs, identifiers to uniqueId, entryUUID and CXi.

A system that the settings do not map is an error that names it, never an empty answer: the registry may
well hold the document under an OID that nobody told us (ITI TF-2 Appendix Z.9.1, IHE MHD 4.2.4 mapping).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.fhir.document_ids import read_document_id
from gateway.fhir.matching import CodeToken, IdentifierToken, RelatedToken
from gateway.fhir.search_values import SearchProblem, read_token
from gateway.fhir.terminology import OidMap, Terminology, UnmappedError
from gateway.model import codes
from gateway.model.metadata import Code, Cx
from gateway.model.oids import bare_oid, is_oid

_UID_SYSTEMS = frozenset({codes.URI_SYSTEM, codes.DICOM_UID_SYSTEM})
_HL7_DELIMITER = re.compile(r"[|^&~\\]")
_TYPES_WITH_AUTHORITY = (
    codes.REFERENCE_ACCESSION,
    codes.REFERENCE_ORDER,
    codes.REFERENCE_REFERRAL,
    codes.REFERENCE_ENCOUNTER,
)
_TYPES_WITHOUT_AUTHORITY = (codes.REFERENCE_STUDY, codes.REFERENCE_UNIQUE_ID, codes.REFERENCE_WORKFLOW)
_NO_LITERAL = re.compile(r"[^0-9A-Za-z.\- :/%]+")


@dataclass(frozen=True, slots=True)
class AskedCode:
    """A token to filter by, and the codes to ask the registry for; None where ITI-18 cannot say it."""

    token: CodeToken
    pushed: tuple[Code, ...] | None


def read_code(text: str, parameter: str, terminology: Terminology) -> AskedCode:
    """Read `system|code`, `code`, `system|` or `|code`. Raises SearchProblem."""
    token = read_token(text)
    if token.system is None:
        return AskedCode(CodeToken(token.code, None), None)
    if token.system == "":
        return AskedCode(CodeToken(token.code, frozenset({""})), None)
    if ":" in token.system:
        schemes = _oids(terminology.code_systems, token.system, parameter)
    else:
        # a scheme that is no OID is shown in FHIR as it stands, with its blanks encoded
        schemes = tuple(dict.fromkeys((token.system.replace("%20", " "), token.system)))
    asked = CodeToken(token.code, frozenset(map(bare_oid, schemes)))
    if token.code is None:
        return AskedCode(asked, None)
    return AskedCode(asked, tuple(Code(token.code, scheme) for scheme in schemes))


def read_patient_identifier(text: str, parameter: str, terminology: Terminology) -> Cx:
    """Read `system|value`, both required. Raises SearchProblem."""
    token = read_token(text)
    if not token.system or not token.code:
        raise SearchProblem("value", f"{parameter}: give system|value, both parts.")
    return Cx(token.code, _authorities(terminology, token.system, parameter)[0])


def read_identifier(text: str, parameter: str, terminology: Terminology) -> IdentifierToken:
    """Read a masterIdentifier or identifier. A value `urn:uuid:` may be either. Raises SearchProblem."""
    token = read_token(text)
    value = token.code
    if not value:
        raise SearchProblem("value", f"{parameter}: the value behind the system is missing.")
    if token.system == "":
        return IdentifierToken()  # every identifier of a document has a system
    if token.system in _UID_SYSTEMS or (token.system is None and ":" in value):
        return _read_uri_identifier(value)
    if token.system is None:
        return IdentifierToken(extension=value)
    root = _authorities(terminology, token.system, parameter)[0]
    return IdentifierToken(unique_id=f"{root}^{value}")


def read_logical_id(text: str) -> IdentifierToken:
    """Read an `_id`: the UUID of the logicalID or entryUUID, or the id of a translation; others name none."""
    named = read_document_id(read_token(text).code or "")
    if named is None:
        return IdentifierToken()
    return IdentifierToken(entry_uuid=named.entry_uuid, lasting=True, made_as=named.made_as)


def read_related(text: str, parameter: str, terminology: Terminology) -> RelatedToken:
    """Read an identifier of context.related. Raises SearchProblem."""
    token = read_token(text)
    if token.system is None:
        return RelatedToken(_spellings(token.code or ""), None)
    if token.system in _UID_SYSTEMS or token.system == "":
        if not token.code:
            raise SearchProblem("value", f"{parameter}: the value behind the system is missing.")
        return RelatedToken(_spellings(token.code), frozenset())
    authorities = frozenset(_authorities(terminology, token.system, parameter))
    return RelatedToken(frozenset({token.code}) if token.code else frozenset(), authorities)


def related_patterns(tokens: tuple[RelatedToken, ...]) -> tuple[str, ...] | None:
    """What to ask of referenceIdList, which finds at least what `tokens` mean; None where one has no id.

    ITI TF-2 3.18 says of FindDocumentsByReferenceId both that values are matched as a whole and that they
    are LIKE patterns over the CXi. So there is a pattern for each id, and the values that a registry of the
    other reading may hold it as; what either finds too much is filtered afterwards.
    """
    if not all(token.ids for token in tokens):
        return None
    patterns = [pattern(value) + "^%" for token in tokens for value in sorted(token.ids)]
    whole = [value for token in tokens for value in _whole_values(token)]
    return tuple(dict.fromkeys([*patterns, *whole]))


def _whole_values(token: RelatedToken) -> Iterator[str]:
    """CXi texts of an id in each type it may have. Escapes differ, so ids that need them have none."""
    for value in sorted(token.ids):
        if _HL7_DELIMITER.search(value):
            continue
        for authority in sorted(token.authorities or ()):
            yield from (f"{value}^^^&{authority}&ISO^{kind}" for kind in _TYPES_WITH_AUTHORITY)
        if not token.authorities:
            yield from (f"{value}^^^^{kind}" for kind in _TYPES_WITHOUT_AUTHORITY)


def pattern(text: str) -> str:
    """LIKE pattern for a text inside an HL7 v2 field.

    HL7 escapes and the missing escape character of LIKE make some characters uncertain; each run of them
    becomes `%`, which finds too much but never too little.
    """
    return re.sub("%+", "%", _NO_LITERAL.sub("%", text))


def _read_uri_identifier(value: str) -> IdentifierToken:
    lower = value.lower()
    if lower.startswith("urn:oid:") and is_oid(value[8:]):
        return IdentifierToken(unique_id=value[8:])
    if lower.startswith("urn:uuid:"):
        return IdentifierToken(unique_id=lower, entry_uuid=lower)
    return IdentifierToken(unique_id=value)


def _spellings(value: str) -> frozenset[str]:
    found = {value}
    if value[:8].lower() == "urn:oid:":
        found.add(value[8:])
    if value[:9].lower() == "urn:uuid:":
        found.add(value.lower())
    return frozenset(found)


def _authorities(terminology: Terminology, system: str, parameter: str) -> tuple[str, ...]:
    if is_oid(system):
        return (system,)
    if ":" not in system:
        raise SearchProblem("value", f"{parameter}: the system has to be a URI, for example urn:oid:2.999.1.")
    return _oids(terminology.authorities, system, parameter)


def _oids(table: OidMap, system: str, parameter: str) -> tuple[str, ...]:
    try:
        return table.oids(system)
    except UnmappedError as error:
        raise SearchProblem("value", f"{parameter}: the system {error}.") from None
