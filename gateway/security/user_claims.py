"""Claims of IHE IUA about who asks, in the `extensions` of a token (3.71.4.2.2.1)."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.model.claims import Claims, Coding

_MOST_CODES = 20
_LONGEST = 1024


def read_user_claims(extensions: object, known: Claims) -> Claims:
    """`known` with what `ihe_iua` and `ihe_bppc` add; what is not of its type there is left out."""
    if not isinstance(extensions, dict):
        return known
    user, consent = _object(extensions, "ihe_iua"), _object(extensions, "ihe_bppc")
    return replace(
        known,
        name=_text(user, "subject_name"),
        organization=_text(user, "subject_organization"),
        organization_id=_text(user, "subject_organization_id"),
        roles=_codings(user, "subject_role"),
        purposes=_codings(user, "purpose_of_use"),
        home_community_id=_text(user, "home_community_id"),
        provider_id=_text(user, "national_provider_identifier"),
        person_id=_text(user, "person_id"),
        patient=_text(consent, "patient_id"),
        consent=_text(consent, "doc_id"),
        consent_policy=_text(consent, "acp"),
    )


def write_user_claims(claims: Claims) -> dict[str, Any]:
    """The same as `extensions` of a token, without what is not known."""
    user = {
        "subject_name": claims.name,
        "subject_organization": claims.organization,
        "subject_organization_id": claims.organization_id,
        "subject_role": [_coding(coding) for coding in claims.roles] or None,
        "purpose_of_use": [_coding(coding) for coding in claims.purposes] or None,
        "home_community_id": claims.home_community_id,
        "national_provider_identifier": claims.provider_id,
        "person_id": claims.person_id,
    }
    consent = {"patient_id": claims.patient, "doc_id": claims.consent, "acp": claims.consent_policy}
    both = {"ihe_iua": _known(user), "ihe_bppc": _known(consent)}
    return {name: content for name, content in both.items() if content}


def _known(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not None}


def _coding(coding: Coding) -> dict[str, str]:
    written = {"system": coding.system, "code": coding.code}
    return {**written, "display": coding.display} if coding.display is not None else written


def _object(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def _text(content: Mapping[str, Any], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def _codings(content: Mapping[str, Any], name: str) -> tuple[Coding, ...]:
    value = content.get(name)
    items = value if isinstance(value, list) else [value]
    return tuple(
        Coding(_text(item, "system") or "", code, _text(item, "display"))
        for item in items[:_MOST_CODES]
        if isinstance(item, dict) and (code := _text(item, "code")) is not None
    )
