"""SAML 2.0 assertions of IHE XUA for peers (ITI-40; ITI TF-2 3.40.4.1.2), from the claims of who asks.

An assertion is signed once and then stays as it is: what is given out are bytes that fit into any envelope,
for its canonical form is exclusive and every prefix is declared inside.
"""

import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from lxml import etree
from lxml.etree import SubElement, _Element
from msgspec import Struct

from gateway.model import codes
from gateway.model.claims import Claims, Coding
from gateway.security.signer import Signer

_SAML: Final = f"{{{codes.NS_SAML}}}"
_XSI_TYPE: Final = f"{{{codes.NS_XSI}}}type"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEPT: Final = 2000
_REUSED_SECONDS: Final = 60.0
_LONGEST_TREATMENT: Final = 7200.0
_EMERGENCIES: Final = frozenset({"ETREAT", "BTG", "EMERGENCY"})


class UnmappedCoding(ValueError):
    """A role or purpose has a code system whose OID is not known. `system` is it."""

    def __init__(self, system: str) -> None:
        super().__init__(f"the code system {system} has no OID")
        self.system = system


class OwnClaims(Struct, frozen=True):
    """What assertions say where a token does not: of the service, and of the organisation it works for."""

    subject: str
    name: str | None = None
    organization: str | None = None
    organization_id: str | None = None
    roles: tuple[Coding, ...] = ()
    purposes: tuple[Coding, ...] = ()
    home_community_id: str | None = None
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Further ones, as texts by name."""
    treatment_issuer: str | None = None
    """Who speaks of treatment relationships, where that is another."""


class _Made(NamedTuple):
    """A block that was made, until when it is used again, and who signed it."""

    block: bytes
    until: float
    signer: Signer


class AssertionWriter:
    """Writes assertions; the same claims for the same audience are signed once a minute."""

    def __init__(
        self,
        issuer: str,
        signer: Callable[[], Signer],
        own: OwnClaims,
        *,
        oid_of: Callable[[str], str | None],
        lifetime: float = 300.0,
        refuse_unmapped: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`oid_of` gives the OID of a code system; with `refuse_unmapped` a code without one is an error,
        else it is left out. `lifetime` is in seconds."""
        self._issuer = issuer
        self._signer = signer
        self._own = own
        self._oid_of = oid_of
        self._lifetime = lifetime
        self._refuse_unmapped = refuse_unmapped
        self._clock = clock
        self._made: OrderedDict[object, _Made] = OrderedDict()

    def security_header(
        self,
        claims: Claims | None,
        audience: str,
        patient: str | None = None,
        *,
        vouched: bool = False,
        treatment: bool = False,
    ) -> bytes:
        """A `wsse:Security` block with an assertion for `audience`. `patient` is a CX.

        With `vouched` it says what it is and its sender vouches for it, as in eHDSI; with `treatment` one of
        the treatment relationship to the patient (eHDSI TRC) follows.

        Raises UnmappedCoding.
        """
        now, signer = self._clock(), self._signer()
        key = (claims, audience, patient, vouched, treatment)
        known = self._made.get(key)
        # one from before a renewal of the key is not used again
        if known is not None and now < known.until and known.signer is signer:
            self._made.move_to_end(key)
            return known.block
        ends = now + self._lifetime
        if claims is not None and claims.expires is not None:
            ends = min(ends, claims.expires)
        said = _Said(
            _clean(self._own.subject if claims is None else claims.subject), audience, _instant(now), ends
        )
        identity = self._identity(said, claims, patient, vouched=vouched)
        made = [identity]
        if treatment:
            made.append(self._treatment(said, identity.get("ID", ""), claims, patient or "", now))
        block = security_block(
            b"".join(etree.tostring(signer.sign(each, each.get("ID", ""))) for each in made)
        )
        self._made[key] = _Made(block, now + min(_REUSED_SECONDS, (ends - now) / 2), signer)
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return block

    def _identity(
        self, said: "_Said", claims: Claims | None, patient: str | None, *, vouched: bool
    ) -> _Element:
        """Who asks."""
        root = _begun(
            self._issuer,
            said,
            codes.SAML_SENDER_VOUCHES if vouched else codes.SAML_BEARER,
            codes.EHDSI_IDENTITY if vouched else None,
        )
        authentication = None if claims is None else claims.authentication
        _add_authentication(root, said, authentication or codes.AUTHN_UNSPECIFIED)
        self._add_attributes(root, claims, patient)
        return root

    def _treatment(
        self, said: "_Said", identity: str, claims: Claims | None, patient: str, now: float
    ) -> _Element:
        """The relationship to a patient, for the user of the other assertion."""
        said = said._replace(ends=min(said.ends, now + _LONGEST_TREATMENT))
        issuer = self._own.treatment_issuer or self._issuer
        root = _begun(issuer, said, codes.SAML_SENDER_VOUCHES, codes.EHDSI_TREATMENT)
        advice = SubElement(root, f"{_SAML}Advice")
        SubElement(advice, f"{_SAML}AssertionIDRef").text = identity
        _add_authentication(root, said, codes.AUTHN_PREVIOUS_SESSION)
        statement = SubElement(root, f"{_SAML}AttributeStatement")
        purposes = (claims.purposes if claims is not None else ()) or self._own.purposes
        emergency = any(each.code in _EMERGENCIES for each in purposes)
        for name, text in (
            # what is the name of a user elsewhere is the id of the patient here
            (codes.XUA_SUBJECT_ID, patient),
            (codes.XUA_RESOURCE_ID, patient),
            (codes.XUA_PURPOSE, "EMERGENCY" if emergency else "TREATMENT"),
        ):
            SubElement(_attribute(statement, name), f"{_SAML}AttributeValue").text = _clean(text)
        return root

    def _add_attributes(self, root: _Element, claims: Claims | None, patient: str | None) -> None:
        own, said = self._own, claims or Claims("", "", "")
        # an organisation is named as a whole: the id of one beside the name of another would be a third
        named = said if said.organization or said.organization_id else own
        texts = (
            (codes.XUA_SUBJECT_ID, said.name or own.name),
            (codes.XUA_ORGANIZATION, named.organization),
            (codes.XUA_ORGANIZATION_ID, named.organization_id),
            (codes.XUA_HOME_COMMUNITY, own.home_community_id),
            (codes.XUA_NPI, said.provider_id),
            (codes.XUA_RESOURCE_ID, patient or said.patient),
            (codes.XUA_CONSENT, said.consent),
            (codes.XUA_CONSENT_POLICY, said.consent_policy),
        )
        roles = tuple(self._coded(said.roles or own.roles))
        purposes = tuple(self._coded(said.purposes or own.purposes))
        present = [(name, text) for name, text in texts if text]
        present += [(name, text) for name, more in own.attributes for text in more]
        if not (present or roles or purposes):
            return  # the schema wants an attribute in a statement
        statement = SubElement(root, f"{_SAML}AttributeStatement")
        for name, text in present:
            SubElement(_attribute(statement, name), f"{_SAML}AttributeValue").text = _clean(text)
        _add_codes(statement, codes.XUA_ROLE, "Role", roles)
        _add_codes(statement, codes.XUA_PURPOSE, "PurposeOfUse", purposes)

    def _coded(self, codings: Iterable[Coding]) -> Iterable[tuple[Coding, str]]:
        for coding in codings:
            oid = self._oid_of(coding.system)
            if oid is not None:
                yield coding, oid
            elif self._refuse_unmapped:
                raise UnmappedCoding(coding.system)


class _Said(NamedTuple):
    """What the assertions of one header have in common; `ends` is in seconds since 1970."""

    subject: str
    audience: str
    issued: str
    ends: float


def _begun(issuer: str, said: _Said, method: str, qualifier: str | None) -> _Element:
    """An assertion up to its conditions, with a place for the signature."""
    ending = _instant(said.ends)
    root = etree.Element(
        f"{_SAML}Assertion",
        {"ID": f"_{uuid.uuid4().hex}", "IssueInstant": said.issued, "Version": "2.0"},
        nsmap={"saml": codes.NS_SAML},
    )
    SubElement(
        root, f"{_SAML}Issuer", {} if qualifier is None else {"NameQualifier": qualifier}
    ).text = _clean(issuer)
    SubElement(root, f"{{{codes.NS_DS}}}Signature", {"Id": "placeholder"}, nsmap={"ds": codes.NS_DS})
    subject = SubElement(root, f"{_SAML}Subject")
    SubElement(subject, f"{_SAML}NameID", {"Format": codes.SAML_UNSPECIFIED}).text = said.subject
    confirmation = SubElement(subject, f"{_SAML}SubjectConfirmation", {"Method": method})
    SubElement(confirmation, f"{_SAML}SubjectConfirmationData", {"NotOnOrAfter": ending})
    conditions = SubElement(root, f"{_SAML}Conditions", {"NotBefore": said.issued, "NotOnOrAfter": ending})
    restriction = SubElement(conditions, f"{_SAML}AudienceRestriction")
    SubElement(restriction, f"{_SAML}Audience").text = _clean(said.audience)
    return root


def _add_authentication(root: _Element, said: _Said, how: str) -> None:
    statement = SubElement(root, f"{_SAML}AuthnStatement", {"AuthnInstant": said.issued})
    context = SubElement(statement, f"{_SAML}AuthnContext")
    SubElement(context, f"{_SAML}AuthnContextClassRef").text = _clean(how)


def security_block(assertion: bytes) -> bytes:
    """`wsse:Security` around an assertion, whose bytes stay what they are."""
    return b'<wsse:Security xmlns:wsse="%b" xmlns:s="%b" s:mustUnderstand="1">%b</wsse:Security>' % (
        codes.NS_WSSE.encode(),
        codes.NS_SOAP12.encode(),
        assertion,
    )


def _attribute(statement: _Element, name: str) -> _Element:
    named = {"Name": name, "NameFormat": codes.SAML_NAME_FORMAT_URI}
    return SubElement(statement, f"{_SAML}Attribute", named)


def _add_codes(statement: _Element, name: str, local: str, coded: Iterable[tuple[Coding, str]]) -> None:
    values = [_code(local, coding, oid) for coding, oid in coded]
    if values:
        attribute = _attribute(statement, name)
        for value in values:
            SubElement(attribute, f"{_SAML}AttributeValue").append(value)


def _code(local: str, coding: Coding, oid: str) -> _Element:
    element = etree.Element(
        f"{{{codes.NS_HL7V3}}}{local}", nsmap={"hl7": codes.NS_HL7V3, "xsi": codes.NS_XSI}
    )
    # the prefix of the type is that of the element, so that the exclusive canonical form declares it
    element.set(_XSI_TYPE, "hl7:CE")
    element.set("code", _clean(coding.code))
    element.set("codeSystem", oid)
    if coding.display:
        element.set("displayName", _clean(coding.display))
    return element


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _clean(text: str) -> str:
    return _NOT_XML.sub("", text)
