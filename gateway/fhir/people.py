"""Persons, organizations and the source patient -> contained resources (IHE MHD 4.2.4, mapping of XCN, XON,
XTN and sourcePatientInfo; ITI TF-3 4.2.3.1.7).

An author with a person or with institution, role or specialty becomes Practitioner, Organization or
PractitionerRole. A person with several institutions becomes one PractitionerRole for each of them, all with
the same Practitioner, because a PractitionerRole has one organization.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from msgspec.structs import replace

from gateway.fhir.datatypes import Json, write_authority_id, write_coding, write_cx, write_date
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.metadata import (
    Address,
    Author,
    Code,
    Cx,
    IntendedRecipient,
    Organization,
    Person,
    SourcePatientInfo,
    Telecom,
)
from gateway.model.oids import is_oid

_GENDERS: Final = {"M": "male", "F": "female", "O": "other", "A": "other", "N": "other", "U": "unknown"}
_MAX_CACHED = 4096


class Contained(NamedTuple):
    """Contained resources and the ids of those that stand for the value itself."""

    resources: tuple[Any, ...]
    ids: tuple[str, ...]


def write_name(person: Person) -> Json | None:
    """HumanName of a Person; None where it has no name."""
    name: Json = {}
    if person.family:
        name["family"] = person.family
    given = [part for part in (person.given, person.further_given) if part]
    if given:
        name["given"] = given
    if person.prefix:
        name["prefix"] = [person.prefix]
    suffix = [part for part in (person.suffix, person.degree) if part]
    if suffix:
        name["suffix"] = suffix
    return name or None


def write_telecom(telecom: Telecom) -> Json:
    """ContactPoint of a Telecom."""
    point: Json = {"system": telecom.system, "value": telecom.value}
    if telecom.use:
        point["use"] = telecom.use
    return point


def write_practitioner(
    person: Person | None, telecoms: tuple[Telecom, ...], resource_id: str, terminology: Terminology
) -> Json:
    """Practitioner of a Person (XCN)."""
    resource: Json = {"resourceType": "Practitioner", "id": resource_id}
    if person is not None:
        if person.id:
            resource["identifier"] = [write_authority_id(person.id, person.authority, terminology)]
        name = write_name(person)
        if name:
            resource["name"] = [name]
    if telecoms:
        resource["telecom"] = [write_telecom(t) for t in telecoms]
    return resource


def write_organization(
    organization: Organization, telecoms: tuple[Telecom, ...], resource_id: str, terminology: Terminology
) -> Json:
    """Organization of an XON; an id that is an OID without authority becomes a URI.

    Its telecom has no use `home` (org-3), so an organization reached at home shows the number alone.
    """
    resource: Json = {"resourceType": "Organization", "id": resource_id}
    if organization.id and not organization.authority and is_oid(organization.id):
        resource["identifier"] = [{"system": codes.URI_SYSTEM, "value": f"urn:oid:{organization.id}"}]
    elif organization.id:
        resource["identifier"] = [write_authority_id(organization.id, organization.authority, terminology)]
    if organization.name:
        resource["name"] = organization.name
    if telecoms:
        resource["telecom"] = [
            write_telecom(replace(t, use=None) if t.use == "home" else t) for t in telecoms
        ]
    return resource


def _write_role(role: Code | str, terminology: Terminology) -> Json:
    return {"text": role} if isinstance(role, str) else {"coding": [write_coding(role, terminology)]}


def write_author(author: Author, prefix: str, terminology: Terminology) -> Contained:
    """The resources of one author; their ids start with `prefix`. No resource for an author without data."""
    person, institutions, telecoms = author.person, author.institutions, author.telecoms
    qualified = bool(author.roles or author.specialties)
    if not qualified and not institutions:
        if person is None and not telecoms:
            return Contained((), ())
        return Contained((write_practitioner(person, telecoms, prefix, terminology),), (prefix,))
    if not qualified and person is None:
        names = [f"{prefix}o{number}" for number in range(len(institutions))]
        return Contained(
            tuple(
                write_organization(institution, telecoms, name, terminology)
                for institution, name in zip(institutions, names, strict=True)
            ),
            tuple(names),
        )
    return _write_roles(author, prefix, terminology)


def _write_roles(author: Author, prefix: str, terminology: Terminology) -> Contained:
    resources: list[Json] = []
    ids: list[str] = []
    if author.person is not None:
        resources.append(write_practitioner(author.person, (), f"{prefix}p", terminology))
    for number in range(max(1, len(author.institutions))):
        role: Json = {"resourceType": "PractitionerRole", "id": f"{prefix}r{number}"}
        if author.person is not None:
            role["practitioner"] = {"reference": f"#{prefix}p"}
        if author.institutions:
            name = f"{prefix}o{number}"
            resources.append(write_organization(author.institutions[number], (), name, terminology))
            role["organization"] = {"reference": f"#{name}"}
        if number == 0:
            if author.roles:
                role["code"] = [_write_role(r, terminology) for r in author.roles]
            if author.specialties:
                role["specialty"] = [_write_role(s, terminology) for s in author.specialties]
            if author.telecoms:
                role["telecom"] = [write_telecom(t) for t in author.telecoms]
        resources.append(role)
        ids.append(role["id"])
    return Contained(tuple(resources), tuple(ids))


@lru_cache(maxsize=_MAX_CACHED)
def author_fragments(author: Author, prefix: str, terminology: Terminology) -> Contained:
    """`write_author` with resources as JSON, kept ready: the same people write most of a page."""
    written = write_author(author, prefix, terminology)
    return Contained(tuple(orjson.Fragment(orjson.dumps(r)) for r in written.resources), written.ids)


@lru_cache(maxsize=_MAX_CACHED)
def practitioner_fragment(person: Person, resource_id: str, terminology: Terminology) -> orjson.Fragment:
    """Practitioner as JSON, kept ready."""
    return orjson.Fragment(orjson.dumps(write_practitioner(person, (), resource_id, terminology)))


def write_recipient(recipient: IntendedRecipient, prefix: str, terminology: Terminology) -> tuple[Json, ...]:
    """The resources of one intendedRecipient: Organization, Practitioner or both; each is referenced."""
    resources = []
    telecoms = (recipient.telecom,) if recipient.telecom else ()
    if recipient.organization is not None:
        own = telecoms if recipient.person is None else ()
        resources.append(write_organization(recipient.organization, own, f"{prefix}o", terminology))
    if recipient.person is not None or (recipient.organization is None and telecoms):
        resources.append(write_practitioner(recipient.person, telecoms, f"{prefix}p", terminology))
    return tuple(resources)


def write_address(address: Address) -> Json:
    """Address of an XAD, empty where it has no part."""
    written: Json = {}
    lines = [line for line in (address.street, address.other) if line]
    if lines:
        written["line"] = lines
    for element, value in (
        ("city", address.city),
        ("state", address.state),
        ("postalCode", address.postal_code),
        ("country", address.country),
    ):
        if value:
            written[element] = value
    return written


def write_source_patient(
    patient_id: Cx | None, info: SourcePatientInfo | None, resource_id: str, terminology: Terminology
) -> Json | None:
    """Patient of sourcePatientId (its first identifier) and sourcePatientInfo; None where both are absent."""
    ids = [patient_id] if patient_id else []
    resource: Json = {"resourceType": "Patient", "id": resource_id}
    if info is not None:
        ids.extend(cx for cx in info.ids if cx != patient_id)
    identifiers = [write_cx(cx, terminology) for cx in ids if cx.id]
    if identifiers:
        resource["identifier"] = identifiers
    if info is not None:
        names = [name for name in map(write_name, info.names) if name]
        if names:
            resource["name"] = names
        gender = _GENDERS.get(info.gender or "")
        if gender:
            resource["gender"] = gender
        birth_date = write_date(info.birth_date)
        if birth_date:
            resource["birthDate"] = birth_date
        addresses = [a for a in map(write_address, info.addresses) if a]
        if addresses:
            resource["address"] = addresses
    return resource if len(resource) > 2 else None


@lru_cache(maxsize=256)
def source_patient_fragment(
    patient_id: Cx | None, info: SourcePatientInfo | None, resource_id: str, terminology: Terminology
) -> orjson.Fragment | None:
    """`write_source_patient` as JSON, kept ready: a page is about one patient."""
    written = write_source_patient(patient_id, info, resource_id, terminology)
    return None if written is None else orjson.Fragment(orjson.dumps(written))
