"""Persons, organizations and the source patient <- contained resources (IHE MHD 4.2.4, mapping of XCN, XON,
XTN and sourcePatientInfo; ITI TF-3 4.2.3.1.7).

A reference is contained (`#id`), logical (`identifier`), or text (`display`). A literal reference to another
server is never followed; it has meaning here only with an identifier or a display beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from msgspec.structs import replace

from gateway.fhir.datatypes import Json, read_authority_id, read_cx, read_date
from gateway.fhir.findings import Findings
from gateway.fhir.terminology import Terminology
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

_LETTERS: Final = {"male": "M", "female": "F", "other": "O", "unknown": "U"}
_V2_MEDICAL_RECORD: Final = "MR"
_USES: Final = frozenset({"home", "work", "mobile"})
_SYSTEMS: Final = frozenset({"phone", "fax", "email", "pager", "url", "other"})


@dataclass(frozen=True, slots=True)
class PeopleReader:
    """Reads the contained resources of one resource.

    `contained` maps local id to resource, `path` is the FHIRPath of the resource they are in.
    """

    terminology: Terminology
    findings: Findings
    contained: Mapping[str, Json]
    path: str

    # --- references -------------------------------------------------------------------------------------
    def target(self, reference: Json) -> Json | None:
        """The contained resource that a Reference points to."""
        literal = reference.get("reference") or ""
        return self.contained.get(literal[1:]) if literal.startswith("#") else None

    def path_of(self, resource: Json) -> str:
        """FHIRPath of a contained resource."""
        # the ids are unique and present, which FHIR validation has seen to
        return f"{self.path}.contained[{list(self.contained).index(resource['id'])}]"

    def _without_target(self, reference: Json, path: str) -> Person | None:
        identifier, display = reference.get("identifier"), reference.get("display")
        if not identifier and not display:
            self.findings.error(
                f"{path}.reference" if "reference" in reference else path,
                "structure",
                "The target is neither contained nor named by identifier or display; put it into contained.",
            )
            return None
        number, authority = None, None
        if identifier:
            number, authority = read_authority_id(
                identifier, self.terminology, self.findings, f"{path}.identifier"
            )
        return Person(id=number, family=display, authority=authority)

    # --- people -----------------------------------------------------------------------------------------
    def person(self, reference: Json, path: str) -> Person | None:
        """XCN of a Reference to a human, an organization or a device."""
        resource = self.target(reference)
        if resource is None:
            return self._without_target(reference, path)
        if resource["resourceType"] == "PractitionerRole":
            practitioner = resource.get("practitioner")
            return self.person(practitioner, path) if practitioner else None
        return self._person_of(resource)

    def _person_of(self, resource: Json) -> Person | None:
        number, authority = self._first_id(resource)
        named = _read_name(resource)
        if number is None and named is None:
            return None
        return replace(named or Person(), id=number, authority=authority)

    def _first_id(self, resource: Json) -> tuple[str | None, str | None]:
        identifiers: Sequence[Json] = resource.get("identifier") or ()
        known = self.terminology.authorities
        for number, identifier in enumerate(identifiers):
            system = identifier.get("system")
            is_last = number == len(identifiers) - 1
            # another identifier of the same person may be in an authority that the settings know
            if (
                not is_last
                and system
                and not system.startswith("urn:ietf:")
                and not known.oid_or_none(system)
            ):
                continue
            path = f"{self.path_of(resource)}.identifier[{number}]"
            return read_authority_id(identifier, self.terminology, self.findings, path)
        return None, None

    def organization(self, reference: Json, path: str) -> Organization | None:
        """XON of a Reference to an Organization."""
        resource = self.target(reference)
        if resource is None:
            person = self._without_target(reference, path)
            if person is None:
                return None
            return self._named(Organization(person.family, person.id, person.authority), path)
        number, authority = self._first_id(resource)
        return self._named(
            Organization(resource.get("name"), number, authority), f"{self.path_of(resource)}.name"
        )

    def _named(self, organization: Organization, path: str) -> Organization | None:
        if organization.name:
            return organization
        self.findings.error(path, "required", "XDS requires the name of an organization.")
        return None

    # --- authors ----------------------------------------------------------------------------------------
    def authors(self, references: Iterable[Json], path: str) -> tuple[Author, ...]:
        """One Author for each Reference; roles of the same contained practitioner are one Author."""
        authors: list[Author] = []
        of_practitioner: dict[str, int] = {}
        for number, reference in enumerate(references):
            author = self.author(reference, f"{path}[{number}]")
            if author is None:
                continue
            key = self._practitioner_of(reference)
            if key is not None and key in of_practitioner:
                position = of_practitioner[key]
                authors[position] = _merge(authors[position], author)
                continue
            if key is not None:
                of_practitioner[key] = len(authors)
            authors.append(author)
        return tuple(authors)

    def _practitioner_of(self, reference: Json) -> str | None:
        resource = self.target(reference)
        if resource is None or resource["resourceType"] != "PractitionerRole":
            return None
        literal = (resource.get("practitioner") or {}).get("reference")
        return literal if isinstance(literal, str) and literal.startswith("#") else None

    def author(self, reference: Json, path: str) -> Author | None:
        """Author of one Reference."""
        resource = self.target(reference)
        if resource is None:
            person = self._without_target(reference, path)
            return Author(person=person) if person else None
        kind = resource["resourceType"]
        if kind == "PractitionerRole":
            return self._author_of_role(resource)
        telecoms = read_telecoms(resource)
        if kind == "Organization":
            institution = self.organization(reference, path)
            return Author(institutions=(institution,), telecoms=telecoms) if institution else None
        author = Author(person=self._person_of(resource), telecoms=telecoms)
        if author == Author():
            self.findings.error(path, "required", "The author has neither name, identifier nor telecom.")
            return None
        return author

    def _author_of_role(self, role: Json) -> Author:
        path = self.path_of(role)
        practitioner, organization = role.get("practitioner"), role.get("organization")
        person = self.person(practitioner, f"{path}.practitioner") if practitioner else None
        institution = self.organization(organization, f"{path}.organization") if organization else None
        telecoms = read_telecoms(role)
        target = self.target(practitioner) if practitioner else None
        if target is not None:
            telecoms = _union(telecoms, read_telecoms(target))
        return Author(
            person=person,
            institutions=(institution,) if institution else (),
            roles=self._roles(role.get("code") or (), f"{path}.code"),
            specialties=self._roles(role.get("specialty") or (), f"{path}.specialty"),
            telecoms=telecoms,
        )

    def _roles(self, concepts: Iterable[Json], path: str) -> tuple[Code | str, ...]:
        roles: list[Code | str] = []
        table = self.terminology.code_systems
        for number, concept in enumerate(concepts):
            codings = [c for c in concept.get("coding") or () if c.get("code")]
            mapped = next((c for c in codings if c.get("system") and table.oid_or_none(c["system"])), None)
            if mapped is not None:
                roles.append(Code(mapped["code"], table.oid(mapped["system"]), mapped.get("display")))
            elif concept.get("text"):
                roles.append(concept["text"])
            elif any(not c.get("system") for c in codings):
                roles.append(next(c["code"] for c in codings if not c.get("system")))
            elif codings:
                self.findings.error(
                    f"{path}[{number}]",
                    "code-invalid",
                    f"{codings[0]['system']} is not mapped to an OID; add it to terminology.code_systems.",
                )
        return tuple(roles)

    # --- recipients and patients ------------------------------------------------------------------------
    def recipient(self, reference: Json, path: str) -> IntendedRecipient | None:
        """intendedRecipient of one Reference."""
        resource = self.target(reference)
        if resource is None:
            person = self._without_target(reference, path)
            return IntendedRecipient(person=person) if person else None
        telecom = next(iter(read_telecoms(resource)), None)
        if resource["resourceType"] == "Organization":
            organization = self.organization(reference, path)
            return IntendedRecipient(organization=organization, telecom=telecom) if organization else None
        found = self._person_of(resource)
        if found is None and telecom is None:
            self.findings.error(path, "required", "The recipient has neither name, identifier nor telecom.")
            return None
        return IntendedRecipient(person=found, telecom=telecom)

    def source_patient(self, patient: Json) -> tuple[Cx | None, SourcePatientInfo]:
        """sourcePatientId and sourcePatientInfo of a contained Patient.

        The sourcePatientId is the medical record number, else the first identifier.
        """
        path = self.path_of(patient)
        identifiers: Sequence[Json] = patient.get("identifier") or ()
        ids: list[Cx] = []
        first: Cx | None = None
        for number, identifier in enumerate(identifiers):
            cx = read_cx(identifier, self.terminology, self.findings, f"{path}.identifier[{number}]")
            if cx is None:
                continue
            ids.append(cx)
            if first is None and _is_medical_record_number(identifier):
                first = cx
        info = SourcePatientInfo(
            ids=tuple(ids),
            names=read_names(patient),
            birth_date=read_date(patient.get("birthDate")),
            gender=_LETTERS.get(patient.get("gender") or ""),
            addresses=read_addresses(patient),
        )
        return first or next(iter(ids), None), info


_T = TypeVar("_T")


def _union(first: tuple[_T, ...], second: tuple[_T, ...]) -> tuple[_T, ...]:
    return (*first, *(item for item in second if item not in first))


def _merge(first: Author, second: Author) -> Author:
    return Author(
        person=first.person or second.person,
        institutions=_union(first.institutions, second.institutions),
        roles=_union(first.roles, second.roles),
        specialties=_union(first.specialties, second.specialties),
        telecoms=_union(first.telecoms, second.telecoms),
    )


def _is_medical_record_number(identifier: Json) -> bool:
    codings = (identifier.get("type") or {}).get("coding") or ()
    return any(coding.get("code") == _V2_MEDICAL_RECORD for coding in codings)


def read_names(patient: Json) -> tuple[Person, ...]:
    """Every name of a Patient."""
    return tuple(p for p in map(_person_of_name, patient.get("name") or ()) if p)


def read_addresses(patient: Json) -> tuple[Address, ...]:
    """Every address of a Patient."""
    return tuple(a for a in map(_read_address, patient.get("address") or ()) if a)


def _person_of_name(name: Json) -> Person | None:
    given = [part for part in name.get("given") or () if part]
    family = name.get("family")
    if not family and not given:
        family = name.get("text")
    person = Person(
        family=family,
        given=given[0] if given else None,
        further_given=" ".join(given[1:]) or None,
        suffix=" ".join(filter(None, name.get("suffix") or ())) or None,
        prefix=" ".join(filter(None, name.get("prefix") or ())) or None,
    )
    return None if person == Person() else person


def _read_name(resource: Json) -> Person | None:
    names = resource.get("name")
    if isinstance(names, str):
        return Person(family=names)
    if not names:
        device = next(iter(resource.get("deviceName") or ()), None)
        return Person(family=device["name"]) if device else None
    official = next((name for name in names if name.get("use") == "official"), names[0])
    return _person_of_name(official)


def read_telecoms(resource: Json) -> tuple[Telecom, ...]:
    """Every telecom of a person or an organization."""
    return tuple(
        Telecom(
            point["value"],
            point["system"] if point.get("system") in _SYSTEMS else "other",
            point["use"] if point.get("use") in _USES else None,
        )
        for point in resource.get("telecom") or ()
        if point.get("value")
    )


def _read_address(address: Json) -> Address | None:
    lines = [line for line in address.get("line") or (address.get("text"),) if line]
    read = Address(
        street=lines[0] if lines else None,
        other=", ".join(lines[1:]) or None,
        city=address.get("city"),
        state=address.get("state"),
        postal_code=address.get("postalCode"),
        country=address.get("country"),
    )
    return None if read == Address() else read
