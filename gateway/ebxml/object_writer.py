"""Writing one ebRIM RegistryObject in the order of rim.xsd (ITI TF-3 4.2.1 and 4.2.3.1)."""

import re
from collections.abc import Iterable
from uuid import NAMESPACE_URL, uuid5

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    CLASSIFICATION,
    DESCRIPTION,
    EXTERNAL_IDENTIFIER,
    FREE_FORM_TEXT,
    LOCALIZED_STRING,
    LONG_NAME,
    NAME,
    SLOT,
    VALUE,
    VALUE_LIST,
    VERSION_INFO,
    VERSION_NAME,
)
from gateway.model import Author, Code
from gateway.model.codes import NS_RIM, OBJECT_TYPE_PREFIX

_NSMAP = {"rim": NS_RIM}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def checked(text: str, limit: int, element: str) -> str:
    """The text itself. Raises MetadataError where it is too long for the schema or not XML."""
    if len(text) <= limit and text.isprintable():
        return text
    if len(text) > limit:
        raise MetadataError(
            "XDSRegistryMetadataError",
            f"{element} has {len(text)} characters, ebRIM allows {limit}; shorten it",
        )
    if _NOT_XML.search(text):
        raise MetadataError(
            "XDSRegistryMetadataError", f"{element} has a control character, which XML cannot carry"
        )
    return text


def add_slot(parent: _Element, name: str, values: Iterable[str]) -> None:
    """Slot with its values, of 256 characters each at most."""
    slot = SubElement(parent, SLOT, {"name": checked(name, LONG_NAME, "a slot name")})
    value_list = SubElement(slot, VALUE_LIST)
    for value in values:
        SubElement(value_list, VALUE).text = checked(value, LONG_NAME, f"a value of slot {name}")


class ObjectWriter:
    """One RegistryObject under construction. Call the methods in the order in which they stand here.

    With a `parent` it is built in place, at half the cost of moving it there.
    """

    def __init__(
        self, tag: str, object_id: str, attributes: dict[str, str | None], parent: _Element | None
    ) -> None:
        self.element: _Element = (
            Element(tag, {"id": object_id}, nsmap=_NSMAP)
            if parent is None
            else SubElement(parent, tag, {"id": object_id})
        )
        self._id = object_id
        self._children = 0
        self._child_prefix = (
            uuid5(NAMESPACE_URL, object_id).urn[:-12] if object_id.startswith("urn:uuid:") else None
        )
        for name, value in attributes.items():
            if value is not None:
                self.element.set(name, checked(value, LONG_NAME, f"attribute {name}"))

    def slot(self, name: str, *values: str | None) -> None:
        """Slot; left out where all values are None."""
        present = [value for value in values if value is not None]
        if present:
            add_slot(self.element, name, present)

    def extra_slots(self, extra: Iterable[tuple[str, tuple[str, ...]]]) -> None:
        """Slots that XDS does not define, as they were read."""
        for name, values in extra:
            add_slot(self.element, name, values)

    def texts(self, title: str | None, comments: str | None, version: str | None = None) -> None:
        """Name, Description and VersionInfo."""
        _add_text(self.element, NAME, title, "title")
        _add_text(self.element, DESCRIPTION, comments, "comments")
        if version is not None:
            name = checked(version, VERSION_NAME, "version")
            SubElement(self.element, VERSION_INFO, {"versionName": name})

    def author(self, scheme: str, author: Author) -> None:
        """author classification (ITI TF-3 4.2.3.1.4)."""
        classification = self._classification({"classificationScheme": scheme, "nodeRepresentation": ""})
        for name, values in (
            ("authorPerson", [hl7.write_xcn(author.person)] if author.person else []),
            ("authorInstitution", [hl7.write_xon(value) for value in author.institutions]),
            ("authorRole", [hl7.write_coded_text(value) for value in author.roles]),
            ("authorSpecialty", [hl7.write_coded_text(value) for value in author.specialties]),
            ("authorTelecommunication", [hl7.write_xtn(value) for value in author.telecoms]),
        ):
            if values:
                add_slot(classification, name, values)

    def code(self, scheme: str, code: Code | None, element: str) -> None:
        """Coded attribute (ITI TF-3 4.2.3.1.2): code, codingScheme, display name."""
        if code is None:
            return
        representation = checked(code.code, LONG_NAME, f"{element} (code)")
        classification = self._classification(
            {"classificationScheme": scheme, "nodeRepresentation": representation}
        )
        add_slot(classification, "codingScheme", (code.scheme,))
        _add_text(classification, NAME, code.display, f"{element} (display name)")

    def node(self, node: str) -> None:
        """Classification by node: what makes a package a SubmissionSet or Folder, and limited metadata."""
        self._classification({"classificationNode": node})

    def identifier(self, scheme: str, name: str, value: str | None) -> None:
        """ExternalIdentifier (ITI TF-3 4.2.3.1.5); `name` is `XDSDocumentEntry.uniqueId` and the like."""
        if value is None:
            return
        identifier = SubElement(
            self.element,
            EXTERNAL_IDENTIFIER,
            {
                "id": self._child_id(),
                "objectType": OBJECT_TYPE_PREFIX + "ExternalIdentifier",
                "registryObject": self._id,
                "identificationScheme": scheme,
                "value": checked(value, LONG_NAME, name),
            },
        )
        _add_text(identifier, NAME, name, name)

    def _classification(self, attributes: dict[str, str]) -> _Element:
        return SubElement(
            self.element,
            CLASSIFICATION,
            {
                "id": self._child_id(),
                "objectType": OBJECT_TYPE_PREFIX + "Classification",
                "classifiedObject": self._id,
                **attributes,
            },
        )

    def _child_id(self) -> str:
        """Id of a part: a UUID where the object has one, else symbolic as the object's own."""
        self._children += 1
        if self._child_prefix is None:
            return f"{self._id}.{self._children}"
        return f"{self._child_prefix}{self._children:012x}"


def _add_text(parent: _Element, tag: str, text: str | None, element: str) -> None:
    if text is not None:
        value = checked(text, FREE_FORM_TEXT, element)
        SubElement(SubElement(parent, tag), LOCALIZED_STRING, {"value": value})
