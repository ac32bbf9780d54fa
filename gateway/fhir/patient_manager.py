"""What a patient manager says of patients: answers of ITI-83 (IHE PIXm 3.1.0 2:3.83.4.2), Patients of ITI-78
(IHE PDQm 3.2.0 2:3.78.4.2), and what searches of Patients ask for.

Managers differ in how they say that they do not know somebody, and in what they answer besides; what is read
here is what they mean. A Patient is passed on without elements that are not FHIR.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from msgspec import Struct

from gateway.fhir.datatypes import Json, write_cx, write_date_time
from gateway.fhir.findings import Findings
from gateway.fhir.peer_shapes import shaped
from gateway.fhir.people_read import read_addresses, read_names, read_telecoms
from gateway.fhir.search_values import escape, write_token
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import validate_resource
from gateway.model import codes
from gateway.model.identity import CrossReference, CrossReferenceStatus, PatientQuery, SourceIdentifier
from gateway.model.metadata import Cx, Person
from gateway.model.oids import is_oid

_GENDERS: Final = {"male": "M", "female": "F", "other": "UN"}
_LETTERS: Final = {letter: code for code, letter in _GENDERS.items()}
_OLD: Final = "old"
_REPLACED_BY: Final = "replaced-by"
_SAYS: Final = (
    ("targetsystem", CrossReferenceStatus.UNKNOWN_TARGET),
    ("assigning authority", CrossReferenceStatus.UNKNOWN_DOMAIN),
    ("identifier not found", CrossReferenceStatus.UNKNOWN_PATIENT),
)
"""Texts of IHE PIXm in OperationOutcome, in small letters. They are the same under any status."""
_MEANS: Final = {
    (404, "not-found"): CrossReferenceStatus.UNKNOWN_PATIENT,
    (400, "code-invalid"): CrossReferenceStatus.UNKNOWN_DOMAIN,
    (403, "code-invalid"): CrossReferenceStatus.UNKNOWN_TARGET,
}


class ManagedPatient(Struct, frozen=True):
    """A Patient of a manager.

    `resource` is FHIR R4; `identifiers` are those whose authority is known, without old ones. `replaced_by`
    refers to the Patient that took the place of this one, which is not active then.
    """

    logical_id: str
    resource: Json
    identifiers: tuple[Cx, ...]
    active: bool = True
    replaced_by: str | None = None


# --- ITI-83 -----------------------------------------------------------------------------------------------
def read_cross_reference(
    resource: Json, source: tuple[str, str], targets: Collection[str], terminology: Terminology
) -> CrossReference | None:
    """A resource that answers with 200; None for one that does not answer the question.

    `source` are system and value that were asked for, which some managers repeat; `targets` OIDs of the
    domains that are wanted, where some tell of all.
    """
    read = shaped(resource)
    if read is None:
        # IHE PIXm 3.1.0 writes of a Bundle for patients that were merged or deleted
        is_empty = resource.get("resourceType") == "Bundle" and not resource.get("entry")
        return CrossReference(CrossReferenceStatus.KNOWN) if is_empty else None
    if read["resourceType"] == "OperationOutcome":
        return read_refusal(200, read)
    if read["resourceType"] != "Parameters":
        return None
    identifiers: dict[Cx, None] = {}
    patients: dict[str, None] = {}
    for parameter in read.get("parameter") or ():
        name, identifier = parameter.get("name"), parameter.get("valueIdentifier") or {}
        if name == "targetIdentifier" and (identifier.get("system"), identifier.get("value")) != source:
            cx = _current(identifier, terminology)
            if cx is not None and cx.authority in targets:
                identifiers[cx] = None
        literal = (parameter.get("valueReference") or {}).get("reference")
        if name == "targetId" and literal and literal != source[1]:
            patients[literal] = None
    return CrossReference(CrossReferenceStatus.KNOWN, tuple(identifiers), tuple(patients))


def read_refusal(status: int, outcome: Json | None) -> CrossReference | None:
    """What a manager means that refuses (its HTTP status, its OperationOutcome); None where it is not that it
    does not know somebody or a domain."""
    issues = (outcome or {}).get("issue") or ()
    for issue in issues:
        text = " ".join(_texts(issue)).lower()
        for said, meant in _SAYS:
            if said in text:
                return CrossReference(meant)
    for issue in issues:
        plain = _MEANS.get((status, issue.get("code", "")))
        if plain is not None:
            return CrossReference(plain)
    return None


def _texts(issue: Json) -> Iterator[str]:
    details = issue.get("details") or {}
    yield issue.get("diagnostics") or ""
    yield details.get("text") or ""
    yield from (coding.get("display") or "" for coding in details.get("coding") or ())


# --- ITI-78 -----------------------------------------------------------------------------------------------
def read_managed_patient(resource: object, terminology: Terminology) -> ManagedPatient | None:
    """A Patient of a manager; None for another resource, and for one without id."""
    read = shaped(resource)
    if read is None or read["resourceType"] != "Patient" or "id" not in read:
        return None
    listed = (_current(each, terminology) for each in read.get("identifier") or ())
    replaced = (
        (link.get("other") or {}).get("reference")
        for link in read.get("link") or ()
        if link.get("type") == _REPLACED_BY
    )
    return ManagedPatient(
        logical_id=read["id"],
        resource=_valid(read),
        identifiers=tuple(dict.fromkeys(cx for cx in listed if cx is not None)),
        active=read.get("active") is not False,
        replaced_by=next((literal for literal in replaced if literal), None),
    )


def has_identifier(patient: ManagedPatient, source: SourceIdentifier, terminology: Terminology) -> bool:
    """True where a Patient has an identifier, of a system that may be written as URI or OID."""
    authority = terminology.authorities.oid_or_none(source.system)
    if authority is not None and Cx(source.value, authority) in patient.identifiers:
        return True
    listed = patient.resource.get("identifier") or ()
    return any((each.get("system"), each.get("value")) == (source.system, source.value) for each in listed)


def said_of(patient: ManagedPatient) -> PatientQuery:
    """What is known of a patient, as other communities are asked for them (XCPD); without identifiers."""
    resource = patient.resource
    maiden = (
        extension.get("valueString")
        for extension in resource.get("extension") or ()
        if extension.get("url") == codes.MOTHERS_MAIDEN_NAME
    )
    mother = next((name for name in maiden if name), None)
    return PatientQuery(
        names=read_names(resource),
        birth_date=str(resource.get("birthDate") or "").replace("-", "") or None,
        gender=_GENDERS.get(resource.get("gender") or ""),
        addresses=read_addresses(resource),
        telecoms=read_telecoms(resource),
        mothers_maiden_name=Person(family=mother) if mother else None,
    )


def search_for(query: PatientQuery, terminology: Terminology) -> list[tuple[str, str]]:
    """Parameters of ITI-78 that find the patients whom a query means; empty where it says nothing.

    Several names are alternatives in a query, and FHIR has no way to say so of pairs: what all have in
    common is asked for.
    """
    found = [("identifier", _token(identifier, terminology)) for identifier in query.identifiers]
    families = _alternatives(name.family for name in query.names)
    given = _alternatives(name.given for name in query.names)
    found += [(name, value) for name, value in (("family", families), ("given", given)) if value]
    if query.birth_date and (born := write_date_time(query.birth_date[:8])):
        found.append(("birthdate", born))
    if query.gender in _LETTERS:
        found.append(("gender", _LETTERS[query.gender]))
    if len(query.addresses) == 1:
        (address,) = query.addresses
        found += [
            (f"address-{name}", escape(value))
            for name, value in (
                ("city", address.city),
                ("state", address.state),
                ("postalcode", address.postal_code),
                ("country", address.country),
            )
            if value
        ]
    if query.telecoms and (telecoms := _alternatives(point.value for point in query.telecoms)):
        found.append(("telecom", telecoms))
    if query.mothers_maiden_name is not None and query.mothers_maiden_name.family:
        found.append(("mothersMaidenName", escape(query.mothers_maiden_name.family)))
    return found


def _alternatives(values: Iterable[str | None]) -> str | None:
    """An OR list; None where one of the values is not known, so that nobody is left out for it."""
    listed = list(dict.fromkeys(values))
    return None if None in listed else ",".join(escape(value) for value in listed if value) or None


def _token(identifier: Cx, terminology: Terminology) -> str:
    written = write_cx(identifier, terminology)
    return write_token(written.get("system", ""), written["value"])


def _current(identifier: Json, terminology: Terminology) -> Cx | None:
    """The Cx of an Identifier; None for one that is not used any more, or whose authority is not known."""
    system, value = identifier.get("system"), identifier.get("value")
    if not system or not value or identifier.get("use") == _OLD:
        return None
    authority = system if is_oid(system) else terminology.authorities.oid_or_none(system)
    return Cx(value, authority) if authority else None


def _valid(patient: Json) -> Json:
    """The Patient without the elements that are not FHIR R4."""
    if _is_valid(patient):
        return patient
    kept: Any = {"resourceType": "Patient"}
    for name, value in patient.items():
        if _is_valid({"resourceType": "Patient", name: value}):
            kept[name] = value
    return dict(kept)


def _is_valid(patient: Json) -> bool:
    findings = Findings()
    validate_resource(patient, "Patient", findings)
    return not findings.errors
