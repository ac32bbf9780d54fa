"""People, organizations, times and identifiers of a report, read tolerantly from FHIR R4 and R5
(HL7 Europe Imaging Report 1.0.0-ballot).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.fhir.datatypes import read_date_time
from gateway.fhir.findings import Findings
from gateway.fhir.manifest_read_values import (
    has_type,
    read_concept,
    read_date,
    read_issued,
    read_name,
)
from gateway.fhir.report_graph import ReportGraph
from gateway.fhir.terminology import Terminology
from gateway.fhir.tolerant import Element
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import ImagingPatient, IssuedId
from gateway.model.metadata import Author, Code, Organization, Person, Telecom
from gateway.model.oids import bare_oid, is_oid

_LETTERS: Final = {"male": "M", "female": "F", "other": "O"}
_SYSTEMS: Final = frozenset({"phone", "fax", "email", "pager", "url", "other"})
_USES: Final = frozenset({"home", "work", "mobile"})


# --- times ------------------------------------------------------------------------------------------------
def read_dtm(element: Element | None, name: str) -> str | None:
    """DTM of a date, dateTime or instant: in UTC; a time without zone is cut to its date."""
    value = element.text(name) if element is not None else None
    if element is None or value is None:
        return None
    day, separator, clock = value.partition("T")
    if separator and not (clock.endswith("Z") or "+" in clock or "-" in clock):
        element.report("time-zone-missing", name)
        value = day
    findings = Findings()
    read = read_date_time(value, findings, "")
    if read is None:
        element.report("date-invalid", name)
    return read


# --- identifiers ------------------------------------------------------------------------------------------
def study_uid_of(identifier: Element) -> str | None:
    """Study Instance UID without prefix, where the identifier is one by its system or type."""
    value = identifier.text("value")
    typed = has_type(identifier, codes.DICOM_CODE_SYSTEM, imaging.STUDY_INSTANCE_UID)
    if value is None or not (typed or identifier.value.get("system") == codes.DICOM_UID_SYSTEM):
        return None
    bare = bare_oid(value)
    if not is_oid(bare) or len(bare) > 64:
        identifier.report("study-uid-invalid", "value")
    return bare


def is_placer(identifier: Element) -> bool:
    """True for an identifier of type placer order number."""
    return has_type(identifier, codes.V2_IDENTIFIER_TYPE, imaging.V2_PLACER)


def distinct(found: Iterable[IssuedId | None]) -> tuple[IssuedId, ...]:
    """Identifiers, each once, in order of appearance."""
    return tuple(dict.fromkeys(issued for issued in found if issued is not None))


# --- people -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ReportPeople:
    """Reads who is named in a report; references are followed inside its Bundle only."""

    graph: ReportGraph
    terminology: Terminology

    def patient(self, subject: Element | None, owner: Element) -> ImagingPatient:
        """The subject of a report: a Patient of the Bundle, or what identifier and display of it say."""
        target = self.graph.target(subject, owner)
        if target is not None and target.value.get("resourceType") == "Patient":
            names = (read_name(name) for name in target.many("name"))
            return ImagingPatient(
                ids=distinct(read_issued(i, self.terminology) for i in target.many("identifier")),
                name=next((name for name in names if name is not None), None),
                birth_date=read_date(target, "birthDate"),
                sex=_LETTERS.get(target.text("gender") or ""),
            )
        named = read_issued(subject.one("identifier"), self.terminology) if subject is not None else None
        return ImagingPatient(ids=(named,)) if named is not None else ImagingPatient()

    def authors(self, references: Iterable[Element], owner: Element) -> tuple[Author, ...]:
        """One Author for each Reference that names somebody."""
        found = (self._author(reference, owner) for reference in references)
        return tuple(dict.fromkeys(author for author in found if author is not None))

    def person(self, reference: Element | None, owner: Element) -> Person | None:
        """The human or device that a Reference names."""
        target = self.graph.target(reference, owner)
        if target is None:
            display = reference.text("display") if reference is not None else None
            return Person(family=display) if display else None
        if target.value.get("resourceType") == "PractitionerRole":
            return self.person(target.one("practitioner"), target)
        return self._person(target)

    def organization(self, reference: Element | None, owner: Element) -> Organization | None:
        """The organization that a Reference names; None where it has no name."""
        target = self.graph.target(reference, owner)
        if target is None:
            display = reference.text("display") if reference is not None else None
            return Organization(display) if display else None
        if target.value.get("resourceType") != "Organization":
            return None
        name = target.text("name")
        number, authority = self._first_id(target)
        return Organization(name, number, authority) if name else None

    def organizations(self, references: Iterable[Element], owner: Element) -> tuple[Organization, ...]:
        """The organizations among what References name."""
        found = (
            self.organization(reference, owner)
            for reference in references
            if (target := self.graph.target(reference, owner)) is not None
            and target.value.get("resourceType") == "Organization"
        )
        return tuple(dict.fromkeys(one for one in found if one is not None))

    def _author(self, reference: Element, owner: Element) -> Author | None:
        target = self.graph.target(reference, owner)
        if target is None:
            person = self.person(reference, owner)
            return Author(person=person) if person else None
        match target.value.get("resourceType"):
            case "Organization":
                institution = self.organization(reference, owner)
                return (
                    Author(institutions=(institution,), telecoms=_telecoms(target)) if institution else None
                )
            case "PractitionerRole":
                return self._of_role(target)
            case _:
                person = self._person(target)
                return Author(person=person, telecoms=_telecoms(target)) if person else None

    def _of_role(self, role: Element) -> Author | None:
        institution = self.organization(role.one("organization"), role)
        practitioner = self.graph.target(role.one("practitioner"), role)
        telecoms = [*_telecoms(role), *(_telecoms(practitioner) if practitioner is not None else ())]
        author = Author(
            person=self.person(role.one("practitioner"), role),
            institutions=(institution,) if institution else (),
            roles=self._roles(role.many("code")),
            specialties=self._roles(role.many("specialty")),
            telecoms=tuple(dict.fromkeys(telecoms)),
        )
        return author if author.person or author.institutions else None

    def _roles(self, concepts: Iterable[Element]) -> tuple[Code | str, ...]:
        found: list[Code | str] = []
        for concept in concepts:
            code = read_concept(concept, self.terminology)
            if code is not None and is_oid(code.scheme):
                found.append(code)
            else:
                text = concept.text("text") or (code.display or code.code if code is not None else None)
                found.extend([text] if text else [])
        return tuple(found)

    def _person(self, resource: Element) -> Person | None:
        number, authority = self._first_id(resource)
        named: Person | None = None
        if resource.value.get("resourceType") == "Device":
            label = _device_name(resource)
            named = Person(family=label) if label else None
        elif isinstance(resource.value.get("name"), list | dict):
            named = next((n for n in map(read_name, resource.many("name")) if n is not None), None)
        if named is None:
            return Person(id=number, authority=authority) if number else None
        return Person(
            id=number,
            authority=authority,
            family=named.family,
            given=named.given,
            further_given=named.further_given,
            prefix=named.prefix,
            suffix=named.suffix,
        )

    def _first_id(self, resource: Element) -> tuple[str | None, str | None]:
        """The first identifier that XDS can carry: one of an authority that is known, or an OID itself."""
        for identifier in resource.many("identifier"):
            value, system = identifier.text("value"), identifier.text("system")
            if value is None or system is None:
                continue
            if system == codes.URI_SYSTEM and is_oid(bare_oid(value)):
                return bare_oid(value), None
            authority = self.terminology.authorities.oid_or_none(system)
            if authority is not None:
                return value, authority
        return None, None


def _device_name(device: Element) -> str | None:
    """Name of a Device in either release."""
    for element, part in (("deviceName", "name"), ("name", "value")):
        if isinstance(device.value.get(element), list):
            found = next((n.text(part) for n in device.many(element) if n.text(part)), None)
            if found:
                return found
    return None


def _telecoms(resource: Element) -> tuple[Telecom, ...]:
    return tuple(dict.fromkeys(_points(resource)))


def _points(resource: Element) -> Iterator[Telecom]:
    # where R5 has what R4 has in Organization.telecom
    contacts = (c for c in resource.many("contact") if not {"purpose", "name"} & c.value.keys())
    for holder in (resource, *contacts):
        for point in holder.many("telecom"):
            value, system, use = point.text("value"), point.text("system"), point.text("use")
            if value:
                yield Telecom(value, system if system in _SYSTEMS else "other", use if use in _USES else None)
