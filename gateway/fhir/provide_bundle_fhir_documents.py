"""FHIR documents as entries of a Provide Document Bundle (IHE MHD 4.2.4, FHIR Documents Publish Option).

Here the recipient makes the bytes, once: in JSON those of the request, in XML the exclusive canonical form of
the entry (which keeps its namespaces and leaves comments out). Hash and size are of these bytes, and nobody
serialises the document again. What is checked is what makes a Bundle a document (FHIR R4 3.3.1, bdl-9 to
bdl-11); its content is the matter of its author, as in a Binary. An imaging report with minimal metadata is
taken too, which is a Bundle of type collection.
"""

from typing import Any, Final, TypeGuard

import msgspec
from lxml import etree

from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind
from gateway.fhir.report_read import is_report_bundle
from gateway.fhir.validation import is_resource_type, validate_resource
from gateway.fhir.xml_writer import FHIR_NAMESPACE
from gateway.model.releases import FhirRelease
from gateway.safe_xml import parse_xml

_KEPT: Final = ("resourceType", "type")
_NOT_IN_DOCUMENTS: Final = ("search", "request", "response")


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = []


def check_fhir_document(
    bundle: Json, path: str, findings: Findings, release: FhirRelease = FhirRelease.R4
) -> None:
    """Report what keeps a Bundle that came as an entry from being a FHIR document."""
    entries = bundle.get("entry")
    outline = bundle
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        outline = {**bundle, "entry": [_without_resource(entry) for entry in entries]}
    before = len(findings.errors)
    validate_resource(outline, path, findings, release)
    if len(findings.errors) > before:
        return
    if bundle["type"] == "collection" and is_report_bundle(bundle):
        # a report with minimal metadata, which is a document of HL7 Europe and none of FHIR
        for number, entry in enumerate(entries or ()):
            place = f"{path}.entry[{number}].resource"
            _check_resource(entry.get("resource"), place, findings, release)
        return
    if bundle["type"] != "document":
        findings.error(f"{path}.type", "value", "A Bundle among the entries has the type document.")
        return
    identifier = bundle.get("identifier") or {}
    if not (identifier.get("system") and identifier.get("value")):
        findings.error(
            f"{path}.identifier", "invariant", "A document has an identifier with system and value (bdl-9)."
        )
    if "timestamp" not in bundle:
        findings.error(f"{path}.timestamp", "invariant", "A document has a timestamp (bdl-10).")
    if not entries:
        findings.error(f"{path}.entry", "invariant", "A document begins with a Composition (bdl-11).")
    for number, entry in enumerate(entries or ()):
        _check_entry(entry, number, f"{path}.entry[{number}]", findings, release)


def _without_resource(entry: Json) -> Json:
    return {name: item for name, item in entry.items() if name != "resource"} or {"id": "empty"}


def _check_entry(entry: Json, number: int, path: str, findings: Findings, release: FhirRelease) -> None:
    for name in _NOT_IN_DOCUMENTS:
        if name in entry:
            findings.error(f"{path}.{name}", "invariant", "An entry of a document has none (bdl-2 to bdl-4).")
    resource = entry.get("resource")
    place = f"{path}.resource"
    if _check_resource(resource, place, findings, release) and number == 0:
        if resource["resourceType"] == "Composition":
            validate_resource(resource, place, findings, release)
        else:
            findings.error(place, "invariant", "A document begins with a Composition (bdl-11).")


def _check_resource(resource: Any, place: str, findings: Findings, release: FhirRelease) -> TypeGuard[Json]:
    if not isinstance(resource, dict):
        findings.error(place, "required", "An entry of a document has a resource (bdl-5).")
    elif not is_resource_type(resource.get("resourceType"), release):
        findings.error(place, "structure", f"This is not a resource that FHIR {release.name} defines.")
    else:
        return True
    return False


def serialise_documents(raw: bytes, wire_format: FhirFormat, index: BundleIndex) -> dict[int, bytes]:
    """Bytes of each document Bundle by its position. The parsed entries keep no more than their type.

    `raw` is the request body, which was read before and so is well-formed.
    """
    entries = list(index.of(EntryKind.FHIR_DOCUMENT))
    if not entries:
        return {}
    in_xml = wire_format is FhirFormat.XML
    slices = _xml_slices(raw) if in_xml else _json_slices(raw)
    for entry in entries:
        kept = {name: entry.resource[name] for name in _KEPT}
        entry.resource.clear()
        entry.resource.update(kept)
    return {entry.index: slices[entry.index] for entry in entries}


def _json_slices(raw: bytes) -> list[bytes]:
    return [bytes(entry.resource) for entry in msgspec.json.decode(raw, type=_RawBundle).entry]


def _xml_slices(raw: bytes) -> list[bytes]:
    root = parse_xml(raw, huge=True, charset="utf-8")
    namespaces = {"f": FHIR_NAMESPACE}
    slices = []
    for entry in root.iterfind("f:entry", namespaces):
        document = entry.find("f:resource/f:Bundle", namespaces)
        found = b"" if document is None else etree.tostring(document, method="c14n", exclusive=True)
        slices.append(bytes(found))
    return slices
