"""Rules on the structure of a submission that reading it into the model would hide (ITI TF-3 4.2.1, 4.2.3.1).

A reader of answers takes the first of two values; a registry has to refuse them.
"""

import re
from collections.abc import Iterable

from lxml.etree import _Element

from gateway.ebxml.document_entry import SINGLE_CODES, SINGLE_SLOTS
from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import (
    ASSOCIATION,
    CLASSIFICATION,
    EXTERNAL_IDENTIFIER,
    EXTRINSIC_OBJECT,
    OBJECT_REF,
    REGISTRY_PACKAGE,
    SLOT,
)
from gateway.ebxml.object_reader import read_scheme, slot_values
from gateway.ebxml.registry_package import package_labels
from gateway.model import codes

_KNOWN_OBJECTS = frozenset({EXTRINSIC_OBJECT, REGISTRY_PACKAGE, ASSOCIATION, CLASSIFICATION, OBJECT_REF})
_SINGLE_SLOTS = frozenset({*SINGLE_SLOTS, "submissionTime", "lastUpdateTime", "SubmissionSetStatus"})
_SINGLE_SCHEMES = frozenset({*SINGLE_CODES, codes.SS_CONTENT_TYPE, codes.ASSOCIATION_DOCUMENTATION})
_CODED_SCHEMES = frozenset(
    {*_SINGLE_SCHEMES, codes.DE_CONFIDENTIALITY, codes.DE_EVENT, codes.FOLDER_CODE_LIST}
)
_PATIENT_IDS = frozenset({codes.DE_PATIENT_ID, codes.SS_PATIENT_ID, codes.FOLDER_PATIENT_ID})
_PATIENT_CX = re.compile(r"[^^&]+\^\^\^&\d+(?:\.\d+)+&ISO")


def check_objects(object_list: _Element) -> None:
    """Check every object of a RegistryObjectList. Raises MetadataError (XDSRegistryMetadataError)."""
    _once(
        (child.get("id") for child in object_list if child.tag != OBJECT_REF), "two objects have the same id"
    )
    packages = {package.get("id") for package in object_list.iterchildren(REGISTRY_PACKAGE)}
    if not packages.issuperset(package_labels(object_list)):
        raise _broken("a Classification names a RegistryPackage that the submission does not hold")
    for child in object_list:
        if child.tag not in _KNOWN_OBJECTS:
            raise _broken(f"a submission cannot hold {_kind(child)}")
        if child.tag not in (CLASSIFICATION, OBJECT_REF):
            _check_object(child)


def _check_object(element: _Element) -> None:
    kind = _kind(element)
    if not (element.get("id") or "").strip():
        raise _broken(f"{kind} has no id")
    slots = list(element.iterchildren(SLOT))
    _once((slot.get("name") for slot in slots), f"{kind} has two slots of the same name")
    for slot in slots:
        name = slot.get("name")
        if name in _SINGLE_SLOTS and len(slot_values(slot)) > 1:
            raise _broken(f"slot {name} of {kind} has several values, it takes one")
    classifications = list(element.iterchildren(CLASSIFICATION))
    for classification in classifications:
        _check_classification(classification, element)
    schemes = (read_scheme(child.get("classificationScheme")) for child in classifications)
    _once(
        (scheme for scheme in schemes if scheme in _SINGLE_SCHEMES),
        f"{kind} has two classifications where one is allowed",
    )
    identifiers = list(element.iterchildren(EXTERNAL_IDENTIFIER))
    _once(
        (read_scheme(child.get("identificationScheme")) for child in identifiers),
        f"{kind} has two ExternalIdentifiers of the same scheme",
    )
    for identifier in identifiers:
        value = (identifier.get("value") or "").strip()
        if read_scheme(identifier.get("identificationScheme")) in _PATIENT_IDS and not _PATIENT_CX.fullmatch(
            value
        ):
            raise _broken(f"patientId of {kind} is not of the form id^^^&oid&ISO")


def _check_classification(classification: _Element, owner: _Element) -> None:
    kind = _kind(owner)
    if classification.get("classifiedObject") != owner.get("id"):
        raise _broken(f"a Classification in {kind} has a classifiedObject other than the object around it")
    if read_scheme(classification.get("classificationScheme")) not in _CODED_SCHEMES:
        return
    if not (classification.get("nodeRepresentation") or "").strip():
        raise _broken(f"a Classification of {kind} has no nodeRepresentation (the code)")
    schemes = [
        value
        for slot in classification.iterchildren(SLOT)
        if slot.get("name") == "codingScheme"
        for value in slot_values(slot)
    ]
    if len(schemes) != 1:
        raise _broken(f"a Classification of {kind} must have exactly one codingScheme")


def _once(values: Iterable[str | None], fault: str) -> None:
    seen: set[str | None] = set()
    for value in values:
        if value in seen:
            raise _broken(fault)
        seen.add(value)


def _kind(element: _Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _broken(context: str) -> MetadataError:
    return MetadataError("XDSRegistryMetadataError", context)
