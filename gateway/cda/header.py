"""The header of a CDA R2 document -> what it says about itself (PCC TF-2 4.1, medical document binding to
document sharing metadata; ITI-106 of IHE MHD 4.2.4).

Only the header is looked at; the body belongs to its author. Imaging reports of DICOM PS3.20 name their
study as id of the service event and the accession number in an extension of the order.
"""

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

from lxml.etree import _Element
from msgspec.structs import replace

from gateway.cda.datatypes import (
    NS,
    Problems,
    child,
    children,
    read_address,
    read_code,
    read_gender,
    read_ids,
    read_name,
    read_oid,
    read_organization,
    read_party_id,
    read_telecoms,
    read_time,
    read_unique_id,
    text_of,
)
from gateway.model import codes
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.metadata import (
    Author,
    Code,
    DocumentEntry,
    Person,
    ReferenceId,
    SourcePatientInfo,
)
from gateway.model.publishing import SelfDescription
from gateway.safe_xml import parse_xml

_ROOT: Final = f"{{{NS}}}ClinicalDocument"
_PS3_20: Final = "{urn:dicom-org:ps3-20}accessionNumber"
_IMAGING_TEMPLATES: Final = "1.2.840.10008.9."
_ROLE_TARGET: Final = "recordTarget/patientRole"


class CdaError(ValueError):
    """A document that cannot be read as CDA R2; `problems` are pairs of element path and rule."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in problems))
        self.problems = tuple(problems)


def read_cda(
    data: bytes, zone: tzinfo | None = None, accession_authorities: frozenset[str] = frozenset()
) -> SelfDescription:
    """The header of a ClinicalDocument.

    `zone` is that of times without offset. Orders whose id is of `accession_authorities` (OIDs) are
    accession numbers. Raises MessageError for XML that is unsafe or not well-formed, CdaError for what is
    not CDA or says something that XDS cannot hold.
    """
    root = parse_xml(data, huge=True)
    if root.tag != _ROOT:
        raise CdaError([("/", f"The root element is not ClinicalDocument in the namespace {NS}.")])
    return _Header(root, zone, accession_authorities).read()


class _Header:
    """One pass over a header."""

    def __init__(self, root: _Element, zone: tzinfo | None, accession_authorities: frozenset[str]) -> None:
        self._root = root
        self._zone = zone
        self._accession_authorities = accession_authorities
        self._problems = Problems()

    def read(self) -> SelfDescription:
        root = self._root
        patient = self._patient()
        start, stop = self._service_times()
        language = child(root, "languageCode")
        entry = DocumentEntry(
            entry_uuid="",
            unique_id=read_unique_id(child(root, "id"), "id", self._problems) or "",
            source_patient_id=next(iter(patient.ids), None),
            source_patient_info=None if patient == SourcePatientInfo() else patient,
            authors=tuple(a for a in map(self._author, children(root, "author")) if a is not None),
            legal_authenticator=self._authenticator(),
            type_code=self._code("code"),
            facility_type=self._code("componentOf/encompassingEncounter/location/healthCareFacility/code"),
            practice_setting=self._code(
                "author/assignedAuthor/representedOrganization/standardIndustryClassCode"
            ),
            confidentiality=self._confidentiality(),
            event_codes=self._event_codes(),
            reference_ids=self._reference_ids(),
            creation_time=self._time(child(root, "effectiveTime"), "effectiveTime"),
            service_start_time=start,
            service_stop_time=stop,
            language=None if language is None else language.get("code"),
            title=text_of(child(root, "title")),
        )
        if self._problems.found:
            raise CdaError(self._problems.found)
        custodian = child(root, "custodian/assignedCustodian/representedCustodianOrganization")
        return SelfDescription(
            entry=entry, templates=self._templates(), custodian=read_organization(custodian)
        )

    # --- parts ------------------------------------------------------------------------------------------
    def _code(self, path: str, default_scheme: str | None = None) -> Code | None:
        return read_code(child(self._root, path), path, self._problems, default_scheme)

    def _time(self, element: _Element | None, path: str) -> str | None:
        return read_time(element, path, self._problems, self._zone)

    def _confidentiality(self) -> tuple[Code, ...]:
        # CDA allows no other code system here, so some leave it out
        code = self._code("confidentialityCode", codes.CONFIDENTIALITY_OID)
        return (code,) if code else ()

    def _patient(self) -> SourcePatientInfo:
        role = child(self._root, _ROLE_TARGET)
        person = child(role, "patient")
        birth = self._time(child(person, "birthTime"), f"{_ROLE_TARGET}/patient/birthTime")
        return SourcePatientInfo(
            ids=read_ids(children(role, "id"), f"{_ROLE_TARGET}/id", self._problems),
            names=tuple(n for n in map(read_name, children(person, "name")) if n is not None),
            birth_date=birth[:8] if birth else None,
            gender=read_gender(child(person, "administrativeGenderCode")),
            addresses=tuple(a for a in map(read_address, children(role, "addr")) if a is not None),
        )

    def _author(self, element: _Element) -> Author | None:
        assigned = child(element, "assignedAuthor")
        person = read_name(child(assigned, "assignedPerson/name"))
        if person is None:
            device = child(assigned, "assignedAuthoringDevice")
            name = text_of(child(device, "softwareName")) or text_of(child(device, "manufacturerModelName"))
            person = Person(family=name) if name else None
        number, authority = read_party_id(children(assigned, "id"))
        institution = read_organization(child(assigned, "representedOrganization"))
        if person is not None or (number and institution is None):
            person = replace(person or Person(), id=number, authority=authority)
        author = Author(
            person=person,
            institutions=(institution,) if institution else (),
            roles=self._role(element, "functionCode"),
            specialties=self._role(assigned, "code"),
            telecoms=read_telecoms(children(assigned, "telecom")),
        )
        return author if author.person or author.institutions else None

    def _role(self, parent: _Element | None, name: str) -> tuple[Code | str, ...]:
        """A role or a specialty, as text where it has no code system."""
        element = child(parent, name)
        if element is None:
            return ()
        scheme = read_oid(element.get("codeSystem"))
        display = element.get("displayName") or text_of(child(element, "originalText"))
        if element.get("code") and scheme:
            return (Code(str(element.get("code")), scheme, display),)
        return (display,) if display else ()

    def _authenticator(self) -> Person | None:
        assigned = child(self._root, "legalAuthenticator/assignedEntity")
        person = read_name(child(assigned, "assignedPerson/name"))
        number, authority = read_party_id(children(assigned, "id"))
        if person is None and number is None:
            return None
        return replace(person or Person(), id=number, authority=authority)

    # --- what was documented ----------------------------------------------------------------------------
    def _service_times(self) -> tuple[str | None, str | None]:
        """From the first start to the last end of the services that are documented."""
        path = "documentationOf/serviceEvent/effectiveTime"
        starts, stops = [], []
        for period in children(self._root, path):
            at = self._time(period, path)
            starts.append(self._time(child(period, "low"), f"{path}/low") or at)
            stops.append(self._time(child(period, "high"), f"{path}/high") or at)
        start = min((s for s in starts if s), key=dtm_start, default=None)
        stop = max((s for s in stops if s), key=dtm_end, default=None)
        if start and stop and dtm_start(start) >= dtm_end(stop):
            self._problems.add(path, "The service ends before it starts.")
        return start, stop

    def _event_codes(self) -> tuple[Code, ...]:
        path = "documentationOf/serviceEvent/code"
        read = (read_code(element, path, self._problems) for element in children(self._root, path))
        return tuple(dict.fromkeys(code for code in read if code is not None))

    def _reference_ids(self) -> tuple[ReferenceId, ...]:
        found: list[ReferenceId] = []
        for element in children(self._root, "componentOf/encompassingEncounter/id"):
            found += self._reference(element, codes.REFERENCE_ENCOUNTER, alone=True)
        for order in children(self._root, "inFulfillmentOf/order"):
            for element in children(order, "id"):
                is_accession = read_oid(element.get("root")) in self._accession_authorities
                kind = codes.REFERENCE_ACCESSION if is_accession else codes.REFERENCE_ORDER
                found += self._reference(element, kind)
            for element in order.iterfind(_PS3_20):
                found += self._reference(element, codes.REFERENCE_ACCESSION)
        if any(t.startswith(_IMAGING_TEMPLATES) for t in self._template_ids()):
            for element in children(self._root, "documentationOf/serviceEvent/id"):
                if not element.get("extension") and (study := read_oid(element.get("root"))):
                    found.append(ReferenceId(study, None, codes.REFERENCE_STUDY))
        return tuple(dict.fromkeys(found))

    def _reference(self, element: _Element, kind: str, *, alone: bool = False) -> list[ReferenceId]:
        """A reference id; one without extension, which has no authority, only where it may stand `alone`."""
        authority = read_oid(element.get("root"))
        extension = (element.get("extension") or "").strip()
        if authority is None:
            return []
        if extension:
            return [ReferenceId(extension, authority, kind)]
        return [ReferenceId(authority, None, kind)] if alone else []

    # --- templates --------------------------------------------------------------------------------------
    def _template_ids(self) -> list[str]:
        return [
            f"{root}:{extension}" if (extension := element.get("extension")) else root
            for element in children(self._root, "templateId")
            if (root := element.get("root"))
        ]

    def _templates(self) -> tuple[str, ...]:
        named = self._template_ids()
        candidates = [*named, *(name.partition(":")[0] for name in named)]
        embedded = child(self._root, "component/nonXMLBody/text")
        media_type = embedded.get("mediaType") if embedded is not None else None
        with_media = [f"{name};{media_type}" for name in candidates] if media_type else []
        return tuple(dict.fromkeys([*with_media, *candidates]))
