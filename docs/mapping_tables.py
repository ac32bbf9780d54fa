"""Which attribute stands where on each wire: found out by writing a full object with and without it.

Nothing is written down here that the mappings could contradict: the tables are what the code does.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import msgspec
import pydicom
from lxml.etree import QName, _Element
from msgspec.structs import replace

from docs.mapping_samples import ENTRY, FOLDER, MANIFEST, SUBMISSION_SET
from gateway.dicom.kos_writer import encode_kos
from gateway.ebxml.document_entry import write_document_entry
from gateway.ebxml.registry_package import write_folder, write_submission_set
from gateway.fhir.document_reference import WriteContext, write_document_reference
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.manifest_bundle import ManifestContext, write_manifest_bundle
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.imaging import (
    ImagingPatient,
    ImagingRequest,
    Instance,
    Manifest,
    RetrieveLocation,
    Series,
    Study,
)
from gateway.model.metadata import AvailabilityStatus, Code

HOW = """\
These tables are made while the documentation is built: a full object is written to each wire with and
without each attribute, and what differs is shown. Attributes have the names of `gateway.model`, elements of
FHIR are those of R4; a step in brackets of a key object document is an item of its content tree. `-` says
that a wire has no place for an attribute; [Mapping](mapping.md) says what cannot be carried, and when
that is told."""

Places = Mapping[str, object]
"""What stands at each place of something written."""
Write = Callable[[Any], Places]

_SCHEMES: Final = {
    value: f"Classification {name}"
    for name, value in {
        "author": codes.DE_AUTHOR,
        "classCode": codes.DE_CLASS,
        "typeCode": codes.DE_TYPE,
        "formatCode": codes.DE_FORMAT,
        "healthcareFacilityTypeCode": codes.DE_FACILITY,
        "practiceSettingCode": codes.DE_PRACTICE_SETTING,
        "confidentialityCode": codes.DE_CONFIDENTIALITY,
        "eventCodeList": codes.DE_EVENT,
        "author ": codes.SS_AUTHOR,
        "contentTypeCode": codes.SS_CONTENT_TYPE,
        "codeList": codes.FOLDER_CODE_LIST,
    }.items()
}


@dataclass(frozen=True)
class Wire:
    """A column: its heading and how an object is written."""

    heading: str
    write: Write


def mapping_page() -> str:
    """The page."""
    context = WriteContext(
        Terminology(),
        "[base]",
        document_url=lambda entry: f"[base]/{entry.repository_unique_id}/{entry.unique_id}",
        patient_reference=lambda cx: {"reference": f"Patient/{cx.authority}-{cx.id}"},
    )
    documents = (
        Wire("ebRIM", lambda entry: _of_xml(write_document_entry(entry))),
        Wire("FHIR DocumentReference", lambda entry: _of_json(write_document_reference(entry, context))),
    )
    sets = (
        Wire("ebRIM", lambda item: _of_xml(write_submission_set(item))),
        Wire("FHIR List", lambda item: _of_json(write_submission_set_list(item, (), context))),
    )
    folders = (
        Wire("ebRIM", lambda item: _of_xml(write_folder(item))),
        Wire("FHIR List", lambda item: _of_json(write_folder_list(item, (), context))),
    )
    parts = [
        "# Element by element",
        HOW,
        "## DocumentEntry, rim:ExtrinsicObject and DocumentReference",
        table(ENTRY, documents),
        "## SubmissionSet, rim:RegistryPackage and List",
        table(SUBMISSION_SET, sets),
        "## Folder, rim:RegistryPackage and List",
        table(FOLDER, folders),
        "## Manifest: key object document and FHIR",
    ]
    for title, part, with_part in _manifest_parts():
        wires = (
            Wire("DICOM KOS (MADO)", lambda value, put=with_part: _of_kos(put(value))),
            Wire("FHIR manifest: resource and element", lambda value, put=with_part: _of_bundle(put(value))),
        )
        parts += [f"### {title}", table(part, wires)]
    return "\n\n".join(parts) + "\n"


def table(full: Any, wires: Iterable[Wire]) -> str:
    """A row for each attribute of `full`, a column for each wire."""
    columns = list(wires)
    whole = [wire.write(full) for wire in columns]
    lines = [
        f"| attribute | {' | '.join(wire.heading for wire in columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, changed in variants(full):
        cells = [
            _cell(_differing(places, wire.write(changed)))
            for places, wire in zip(whole, columns, strict=True)
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def variants(full: Any) -> Iterator[tuple[str, Any]]:
    """Each attribute with an object that lacks it, or has another value where it has to be there."""
    for field in msgspec.structs.fields(full):
        value = getattr(full, field.name)
        if field.name in _OF_THE_GATEWAY or _has_a_table(value):
            continue
        if field.name in _OTHERS and isinstance(value, type(_OTHERS[field.name])):
            yield field.name, replace(full, **{field.name: _OTHERS[field.name]})
        elif field.required:
            yield field.name, replace(full, **{field.name: f"{value}.9"})
        else:
            yield field.name, replace(full, **{field.name: field.default})


_OF_THE_GATEWAY: Final = frozenset({"has_translation", "made_of", "extra"})
"""What is worked out and stands on no wire, and slots of a domain's own."""
_OTHERS: Final[dict[str, Any]] = {
    "entry_uuid": "urn:uuid:00000000-0000-4000-8000-000000000009",
    "status": AvailabilityStatus.DEPRECATED,
    "object_type": codes.ON_DEMAND_DOCUMENT,
    "submission_time": "20240203",
    "title": "Another",
    "modalities": (Code("MR", "1.2.840.10008.2.16.4", "Magnetic Resonance"),),
    "utc_offset": "+0100",
    "stated_series": 9,
    "stated_instances": 9,
}
"""Values in place of those that have to be there."""


def _has_a_table(value: object) -> bool:
    one = value[0] if isinstance(value, tuple) and value else value
    return isinstance(one, Study | ImagingPatient | ImagingRequest | Series | Instance | RetrieveLocation)


def _differing(whole: Places, changed: Places) -> list[str]:
    return list(dict.fromkeys(_element(p) for p in whole if whole[p] != changed.get(p)))


_PARTS_OF_A_VALUE: Final = re.compile(
    r"(?<=\w)(?<!ServiceRequest)\.(_\w+\.extension|extension\[iso|value[A-Z]|"
    r"(assigner|coding|system|code|display|reference|resourceType|value|family|given|type|use)\b).*$"
    r"|(?<=identifier)\..*$|(?<=\])\.(resourceType|value[A-Z]).*$|(?<=\.code)\.(coding|text).*$"
    r"|(?<=contained\[Organization\])\..*$|(?<=contained\[Practitioner\])\..*$|(?<=PractitionerRole\])\..*$"
)
_PARTS_OF_AN_ITEM: Final = re.compile(
    r"(?<=\]) (RelationshipType|ValueType|TextValue|UID|Date|Time|ConceptCodeSequence|MeasuredValue).*$"
    r"|(?<=IdentifierSequence)\..*|(?<=NumberSequence)\..*|(?<=QualifiersSequence)\..*|(?<=CodeSequence)\..*"
)
"""What is left out behind an element: of a code its system, of a person the family name, and the like."""


def _element(place: str) -> str:
    """The element whose value a place is part of."""
    whole = _PARTS_OF_AN_ITEM.sub("", place)
    return whole if whole != place else _PARTS_OF_A_VALUE.sub("", place)


def _cell(places: list[str]) -> str:
    return "<br>".join(f"`{place}`" for place in places) or "-"


# --- places ---------------------------------------------------------------------------------------------
def _of_xml(element: _Element) -> Places:
    places: dict[str, list[str]] = defaultdict(list)
    for name, value in element.attrib.items():
        places[f"@{name}"].append(str(value))
    for child in element:
        kind = QName(child).localname
        text = "|".join(t.strip() for t in child.itertext() if t.strip()) + str(sorted(_attributes(child)))
        if kind == "Slot":
            kind = f"Slot {child.get('name')}"
        elif kind == "Classification":
            scheme = child.get("classificationScheme")
            kind = _SCHEMES.get(scheme, "Classification").strip() if scheme else "Classification (node)"
        elif kind == "ExternalIdentifier":
            [name] = [
                each.get("value")
                for each in child.iter("{*}LocalizedString")
                if each.get("value") is not None
            ]
            kind = f"ExternalIdentifier {name}"
        places[kind].append(text)
    return places


def _attributes(element: _Element) -> Iterator[str]:
    for each in element.iter():
        # ids of parts are made anew each time
        yield from (
            f"{n}={v}"
            for n, v in each.attrib.items()
            if n not in {"id", "registryObject", "classifiedObject"}
        )


def _of_json(resource: Any) -> Places:
    places: dict[str, list[object]] = defaultdict(list)
    _walk(resource, "", places)
    return places


def _walk(value: Any, path: str, places: dict[str, list[object]]) -> None:
    if isinstance(value, bytes):
        value = msgspec.json.decode(value)
    if isinstance(value, list):
        for each in value:
            _walk(each, path + _kind(each), places)
    elif isinstance(value, dict):
        for name, each in value.items():
            if not (name in {"url", "id"} and path.endswith("]")):
                _walk(each, f"{path}.{name}".lstrip("."), places)
    else:
        places[path].append(value)


def _kind(item: Any) -> str:
    """What tells items of one list apart: the URL of an extension, the type of a contained resource."""
    if not isinstance(item, dict):
        return ""
    if "url" in item and any(name.startswith("value") or name == "extension" for name in item):
        return f"[{str(item['url']).rsplit('/', 1)[-1]}]"
    if "resourceType" in item:
        return f"[{item['resourceType']}]"
    return ""


def _of_bundle(manifest: Manifest) -> Places:
    context = ManifestContext(Terminology(), datetime(2024, 1, 1, tzinfo=UTC))
    bundle = write_manifest_bundle(manifest, context)
    places: dict[str, list[object]] = defaultdict(list)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if isinstance(resource, bytes):
            resource = msgspec.json.decode(resource)
        kind = resource["resourceType"]
        for name, value in resource.items():
            if name not in {"resourceType", "id", "text", "meta"}:
                _walk(value, f"{kind}.{name}", places)
    return {p: v for p, v in places.items() if not p.endswith((".reference",)) and ".section." not in p}


def _of_kos(manifest: Manifest) -> Places:
    dataset = pydicom.dcmread(BytesIO(encode_kos(manifest).content))
    places: dict[str, list[object]] = defaultdict(list)
    _walk_dicom(dataset, "", places)
    return places


def _walk_dicom(dataset: pydicom.Dataset, path: str, places: dict[str, list[object]]) -> None:
    for element in dataset:
        name = element.keyword or str(element.tag)
        if name == "ConceptNameCodeSequence" and path:
            continue
        if element.VR != "SQ":
            places[f"{path}{name}"].append(str(element.value))
            continue
        for item in element.value:
            concept = item.get("ConceptNameCodeSequence")
            if name == "ContentSequence" and concept:
                step = f"{path}[{concept[0].CodeMeaning}] "
            elif name == "ContentSequence":
                step = f"{path}[image] "
            else:
                step = f"{path}{name}."
            _walk_dicom(item, step, places)


# --- parts of a manifest --------------------------------------------------------------------------------
def _manifest_parts() -> Iterator[tuple[str, Any, Callable[[Any], Manifest]]]:
    study = MANIFEST.study
    series, request = study.series[0], study.requests[0]

    def of_study(value: Any) -> Manifest:
        return replace(MANIFEST, study=value)

    def of_series(value: Any) -> Manifest:
        return of_study(replace(study, series=(value,)))

    yield "Manifest", MANIFEST, lambda value: value
    yield "Study", study, of_study
    yield "Patient", study.patient, lambda value: of_study(replace(study, patient=value))
    yield "Request", request, lambda value: of_study(replace(study, requests=(value,)))
    yield "Series", series, of_series
    yield "Location", series.locations[0], lambda value: of_series(replace(series, locations=(value,)))
    yield (
        "Instance",
        series.instances[0],
        lambda value: of_series(replace(series, instances=(value,))),
    )
