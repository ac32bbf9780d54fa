"""What a SAML 2.0 assertion says (SAML 2.0 core 2; attributes of IHE XUA, ITI TF-2 3.40.4.1.2).

Its signature has been verified before, and the element here is what that signature is good for.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from lxml.etree import _Element
from msgspec import Struct

from gateway.model import codes
from gateway.model.claims import Claims, Coding
from gateway.security.assertion_shape import AssertionRefused

_SAML: Final = f"{{{codes.NS_SAML}}}"
_DS: Final = f"{{{codes.NS_DS}}}"
_CONDITIONS: Final = frozenset({"AudienceRestriction", "OneTimeUse", "ProxyRestriction"})
_LONGEST: Final = 1024
_MOST_CODES: Final = 20


class Confirmation(Struct, frozen=True):
    """One way in which the subject may be confirmed. `certificates` are DER, of the key that it holds."""

    method: str
    starts: float | None = None
    ends: float | None = None
    recipient: str | None = None
    certificates: tuple[bytes, ...] = ()


class Statement(Struct, frozen=True):
    """An assertion as values; times in seconds since 1970. Of each set of `audiences` one has to be met.

    `qualifier` is the NameQualifier of its Issuer, `refers_to` are the IDs that its Advice names.
    """

    issuer: str
    claims: Claims
    issued: float
    starts: float
    ends: float
    audiences: tuple[frozenset[str], ...]
    confirmations: tuple[Confirmation, ...]
    one_time: bool = False
    session_ends: float | None = None
    qualifier: str | None = None
    refers_to: tuple[str, ...] = ()


def read_statement(assertion: _Element) -> Statement:
    """Read an assertion. Raises AssertionRefused where a part that decides cannot be read."""
    conditions = assertion.find(f"{_SAML}Conditions")
    subject = assertion.find(f"{_SAML}Subject")
    assert conditions is not None and subject is not None
    issued = _required_time(assertion, "IssueInstant")
    ends = _required_time(conditions, "NotOnOrAfter")
    sessions = [
        time
        for each in assertion.findall(f"{_SAML}AuthnStatement")
        if (time := _time(each, "SessionNotOnOrAfter")) is not None
    ]
    for condition in conditions:
        if _local(condition) not in _CONDITIONS:
            raise AssertionRefused("InvalidSecurityToken", "it has a condition that is not understood")
    named = assertion.find(f"{_SAML}Issuer")
    issuer = _text(named) or ""
    starts = _time(conditions, "NotBefore")
    return Statement(
        issuer=issuer,
        claims=_claims(assertion, issuer, subject, ends),
        issued=issued,
        starts=issued if starts is None else starts,
        ends=ends,
        audiences=tuple(
            frozenset(filter(None, map(_text, restriction.findall(f"{_SAML}Audience"))))
            for restriction in conditions.findall(f"{_SAML}AudienceRestriction")
        ),
        confirmations=tuple(map(_confirmation, subject.findall(f"{_SAML}SubjectConfirmation"))),
        one_time=conditions.find(f"{_SAML}OneTimeUse") is not None,
        session_ends=min(sessions, default=None),
        qualifier=None if named is None else named.get("NameQualifier"),
        refers_to=tuple(
            _text(each) or "" for each in assertion.iterfind(f"{_SAML}Advice/{_SAML}AssertionIDRef")
        ),
    )


def _confirmation(element: _Element) -> Confirmation:
    data = element.find(f"{_SAML}SubjectConfirmationData")
    if data is None:
        return Confirmation(element.get("Method", ""))
    path = f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"
    certificates = []
    for shown in data.findall(path):
        try:
            certificates.append(base64.b64decode(shown.text or ""))
        except ValueError:
            continue
    return Confirmation(
        element.get("Method", ""),
        _time(data, "NotBefore"),
        _time(data, "NotOnOrAfter"),
        data.get("Recipient"),
        tuple(certificates),
    )


def _claims(assertion: _Element, issuer: str, subject: _Element, ends: float) -> Claims:
    name_ids = subject.findall(f"{_SAML}NameID")
    name = _text(name_ids[0]) if len(name_ids) == 1 else None
    if name is None:
        raise AssertionRefused("InvalidSecurityToken", "its subject has no NameID")
    values = _attributes(assertion)

    def first(*names: str) -> str | None:
        return next((text for key in names for value in values.get(key, ()) if (text := _text(value))), None)

    statement = assertion.find(f"{_SAML}AuthnStatement/{_SAML}AuthnContext/{_SAML}AuthnContextClassRef")
    return Claims(
        issuer=issuer,
        subject=name,
        # an assertion names no system that asks, so its issuer answers for it
        client_id=issuer,
        statement_id=assertion.get("ID"),
        name=first(codes.XUA_SUBJECT_ID),
        organization=first(codes.XUA_ORGANIZATION),
        organization_id=first(codes.XUA_ORGANIZATION_ID),
        roles=_codings(values.get(codes.XUA_ROLE, ())),
        purposes=_codings(values.get(codes.XUA_PURPOSE, ())),
        home_community_id=_home(first(codes.XUA_HOME_COMMUNITY, codes.XUA_HOME_COMMUNITY_NHIN)),
        provider_id=first(codes.XUA_NPI) or _instance_id(values.get(codes.XUA_PROVIDER_ID, ())),
        patient=first(codes.XUA_RESOURCE_ID),
        consent=first(codes.XUA_CONSENT),
        consent_policy=first(codes.XUA_CONSENT_POLICY),
        authentication=_text(statement),
        expires=ends,
        assertion=True,
    )


def _attributes(assertion: _Element) -> Mapping[str, Sequence[_Element]]:
    """Values by name; statements, attributes and values may all be repeated."""
    found: dict[str, list[_Element]] = {}
    for attribute in assertion.iterfind(f"{_SAML}AttributeStatement/{_SAML}Attribute"):
        values = found.setdefault(attribute.get("Name", ""), [])
        values += attribute.findall(f"{_SAML}AttributeValue")
    return found


def _codings(values: Sequence[_Element]) -> tuple[Coding, ...]:
    """Codes of Role and PurposeOfUse; a plain text is a code without system."""
    codings: list[Coding] = []
    for value in values[:_MOST_CODES]:
        coded = list(_coded(value))
        text = _text(value)
        if not coded and text is not None:
            coded = [Coding("", text)]
        codings += coded
    return tuple(codings)


def _coded(value: _Element) -> Iterator[Coding]:
    for child in value:
        code = child.get("code")
        if code and len(code) <= _LONGEST:
            system = (child.get("codeSystem") or "").removeprefix("urn:oid:")
            yield Coding(f"urn:oid:{system}" if system else "", code, child.get("displayName"))


def _instance_id(values: Sequence[_Element]) -> str | None:
    for value in values:
        for child in value:
            root, extension = child.get("root"), child.get("extension")
            if root and len(root) + len(extension or "") <= _LONGEST:
                return f"{extension}^^^&{root}&ISO" if extension else root
    return None


def _home(text: str | None) -> str | None:
    return text if text is None or text.startswith("urn:oid:") else f"urn:oid:{text}"


def _text(element: _Element | None) -> str | None:
    """Trimmed text of an element without children; None where it is empty or too long."""
    if element is None or len(element):
        return None
    text = (element.text or "").strip()
    return text if 0 < len(text) <= _LONGEST else None


def _local(element: _Element) -> str:
    tag = str(element.tag)
    return tag.removeprefix(_SAML) if tag.startswith(_SAML) else ""


def _required_time(element: _Element, name: str) -> float:
    time = _time(element, name)
    if time is None:
        raise AssertionRefused("InvalidSecurityToken", f"it has no {name}")
    return time


def _time(element: _Element, name: str) -> float | None:
    text = element.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise AssertionRefused("InvalidSecurityToken", f"its {name} is not a time") from None
