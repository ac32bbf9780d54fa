"""A discharge summary as HL7 CDA Release 2 with one text section."""

from typing import Any

from lxml import etree

from gateway.demo.samples import STAFF_AUTHORITY, IdSource, SampleAuthor, SamplePatient

NS = "urn:hl7-org:v3"
# the type stubs know no default namespace
_NAMESPACES: Any = {None: NS}
_SECTION = (
    "Admitted with cough and fever. Chest CT without findings.",
    "Discharged in good general condition. No medication needed.",
)


def _add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    child = etree.SubElement(parent, f"{{{NS}}}{tag}", dict(attributes))
    child.text = text
    return child


def write_cda(
    ids: IdSource,
    *,
    identifier: str,
    patient: SamplePatient,
    author: SampleAuthor,
    written: str,
) -> bytes:
    """ClinicalDocument as UTF-8 XML. `identifier` is a bare OID, `written` an HL7 TS with offset."""
    root = etree.Element(f"{{{NS}}}ClinicalDocument", None, _NAMESPACES)
    _add(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040")
    _add(root, "id", root=identifier)
    _add(
        root,
        "code",
        code="18842-5",
        codeSystem="2.16.840.1.113883.6.1",
        codeSystemName="LOINC",
        displayName="Discharge summary",
    )
    _add(root, "title", "Discharge summary")
    _add(root, "effectiveTime", value=written)
    _add(root, "confidentialityCode", code="N", codeSystem="2.16.840.1.113883.5.25")
    _add(root, "languageCode", code="en")
    _add_patient(root, patient)
    _add_author(root, author, written)
    custodian = _add(_add(_add(root, "custodian"), "assignedCustodian"), "representedCustodianOrganization")
    _add(custodian, "id", root=author.organization_id)
    _add(custodian, "name", author.organization)
    body = _add(_add(root, "component"), "structuredBody")
    section = _add(_add(body, "component"), "section")
    _add(section, "id", root=ids.oid(9))
    _add(
        section,
        "code",
        code="8648-8",
        codeSystem="2.16.840.1.113883.6.1",
        displayName="Hospital course Narrative",
    )
    _add(section, "title", "Hospital course")
    text = _add(section, "text")
    for paragraph in _SECTION:
        _add(text, "paragraph", paragraph)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def _add_patient(root: etree._Element, person: SamplePatient) -> None:
    role = _add(_add(root, "recordTarget"), "patientRole")
    _add(role, "id", root=person.authority, extension=person.id)
    patient = _add(role, "patient")
    name = _add(patient, "name")
    _add(name, "given", person.given)
    _add(name, "family", person.family)
    gender = {"male": "M", "female": "F"}.get(person.gender, "UN")
    _add(patient, "administrativeGenderCode", code=gender, codeSystem="2.16.840.1.113883.5.1")
    _add(patient, "birthTime", value=person.birth_date.replace("-", ""))


def _add_author(root: etree._Element, person: SampleAuthor, written: str) -> None:
    author = _add(root, "author")
    _add(author, "time", value=written)
    assigned = _add(author, "assignedAuthor")
    if person.staff_id:
        _add(assigned, "id", root=STAFF_AUTHORITY, extension=person.staff_id)
    else:
        _add(assigned, "id", nullFlavor="UNK")
    name = _add(_add(assigned, "assignedPerson"), "name")
    _add(name, "given", person.given)
    _add(name, "family", person.family)
    organization = _add(assigned, "representedOrganization")
    _add(organization, "id", root=person.organization_id)
    _add(organization, "name", person.organization)
