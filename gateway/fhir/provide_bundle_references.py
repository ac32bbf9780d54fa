"""References out of a Provide Document Bundle to persons, organizations and the source patient
(IHE MHD 4.2.4, UnContained Reference Option; 3.65.4.1.3: what is needed for processing is retrieved).

XDS keeps values, not references. So the target, fetched from the server that holds it or taken from the
Patient entry, is put into `contained` and then mapped like any contained resource.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

from gateway.fhir.datatypes import Json, PatientOf, write_cx
from gateway.fhir.findings import Findings
from gateway.fhir.lists import extensions
from gateway.fhir.provide_bundle_documents import Unreachable
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry, literal_id
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import validate_resource
from gateway.model import codes

_TARGETS: Final = (
    "Device",
    "Location",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "RelatedPerson",
    "Group",
)
_ROLE_LINKS: Final = ("practitioner", "organization")
_OUTSIDE: Final = ("https://", "http://")


@dataclass(frozen=True, slots=True)
class OutsideReference:
    """A Reference to another server: `resource` is where it stands, `path` its FHIRPath."""

    url: str
    reference: Json
    resource: Json
    path: str


Fetched = Mapping[str, Json | Unreachable]
"""What a URL led to."""


def outside_references(index: BundleIndex, directory: str | None) -> tuple[OutsideReference, ...]:
    """References whose target is at another server and becomes part of the metadata.

    `directory` is the FHIR base of persons and organizations that are referred to as if they were here.
    """
    return tuple(
        OutsideReference(url, reference, entry.resource, path)
        for entry in index.entries
        for reference, path in _references(entry)
        if (url := _outside_url(reference, index, directory)) is not None
    )


def _outside_url(reference: Json, index: BundleIndex, directory: str | None) -> str | None:
    literal = reference.get("reference") or ""
    if index.entry_of(literal) is not None:
        return None
    own = literal_id(literal, index.base_url)
    if own is not None:
        return f"{directory}/{own[0]}/{own[1]}" if directory and own[0] in _TARGETS else None
    return literal if literal.lower().startswith(_OUTSIDE) else None


def _references(entry: RequestEntry) -> Iterator[tuple[Json, str]]:
    """References that XDS keeps the values of, each with its FHIRPath."""
    resource, path = entry.resource, entry.resource_path
    if entry.kind is EntryKind.DOCUMENT:
        for number, author in enumerate(resource.get("author") or ()):
            yield author, f"{path}.author[{number}]"
        if resource.get("authenticator"):
            yield resource["authenticator"], f"{path}.authenticator"
        source_patient = (resource.get("context") or {}).get("sourcePatientInfo")
        if source_patient:
            yield source_patient, f"{path}.context.sourcePatientInfo"
    elif entry.kind is EntryKind.SUBMISSION_SET:
        source = resource.get("source")
        if source:
            yield source, f"{path}.source"
            yield from _in_extensions(source, codes.EXT_AUTHOR_ORG, f"{path}.source")
        yield from _in_extensions(resource, codes.EXT_INTENDED_RECIPIENT, path)


def _in_extensions(element: Json, url: str, path: str) -> Iterator[tuple[Json, str]]:
    for number, extension in extensions(element, url):
        if extension.get("valueReference"):
            yield extension["valueReference"], f"{path}.extension[{number}].value"


def urls_to_fetch(references: Iterable[OutsideReference]) -> tuple[str, ...]:
    """The URLs, each once."""
    return tuple(dict.fromkeys(reference.url for reference in references))


def linked_urls(url: str, resource: Json) -> tuple[str, ...]:
    """What a PractitionerRole, fetched from `url`, needs besides: its person and organization."""
    if resource.get("resourceType") != "PractitionerRole":
        return ()
    literals = (_link(resource, name) for name in _ROLE_LINKS)
    return tuple(_absolute(url, literal) for literal in literals if literal and not literal.startswith("#"))


def _link(role: Json, name: str) -> str | None:
    element = role.get(name)
    literal = element.get("reference") if isinstance(element, dict) else None
    return literal if isinstance(literal, str) else None


def _absolute(url: str, literal: str) -> str:
    # [base]/PractitionerRole/1 and Practitioner/2 make [base]/Practitioner/2
    return urljoin(url, f"../{literal}")


def contain_outside(references: Sequence[OutsideReference], fetched: Fetched, findings: Findings) -> None:
    """Put the targets that were fetched into `contained`; report those that a Reference cannot do without."""
    for outside in references:
        target = fetched.get(outside.url, Unreachable("it was not asked for"))
        if isinstance(target, Unreachable):
            _report(outside, target, findings)
            continue
        if target.get("resourceType") not in _TARGETS:
            findings.error(
                f"{outside.path}.reference", "value", "The target is not a resource that can stand here."
            )
            continue
        before = len(findings.errors)
        validate_resource(_alone(target), outside.path, findings)
        if len(findings.errors) == before:
            outside.reference["reference"] = _contain(outside.resource, outside.url, target, fetched)


def _report(outside: OutsideReference, target: Unreachable, findings: Findings) -> None:
    if outside.reference.get("identifier") or outside.reference.get("display"):
        findings.inform(
            outside.path, f"Taken from identifier and display alone; the target is not: {target.reason}."
        )
        return
    findings.error(
        f"{outside.path}.reference",
        "structure",
        f"The target is not contained and cannot be fetched: {target.reason}. Put it into contained, or give "
        "its identifier or display.",
        "UnresolvedReferenceException",
    )


def _alone(target: Json) -> Json:
    """The resource without what only counts at its own server."""
    return {name: item for name, item in target.items() if name not in ("meta", "text", "contained")}


def _contain(resource: Json, url: str, target: Json, fetched: Fetched) -> str:
    local_id = f"fetched-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    contained = resource.setdefault("contained", [])
    if not any(item.get("id") == local_id for item in contained):
        copy = {**_alone(target), "id": local_id}
        contained.append(copy)
        if target["resourceType"] == "PractitionerRole":
            for name in _ROLE_LINKS:
                _contain_link(resource, copy, name, url, fetched)
    return f"#{local_id}"


def _contain_link(resource: Json, role: Json, name: str, url: str, fetched: Fetched) -> None:
    literal = _link(role, name)
    if not literal:
        return
    linked_url = _absolute(url, literal)
    linked = fetched.get(linked_url)
    reference = {key: item for key, item in role[name].items() if key != "reference"}
    if linked is not None and not isinstance(linked, Unreachable) and linked.get("resourceType") in _TARGETS:
        attempt = Findings()
        validate_resource(_alone(linked), name, attempt)
        if not attempt.errors:
            reference["reference"] = _contain(resource, linked_url, linked, fetched)
    if reference:
        role[name] = reference
    else:
        del role[name]


def contain_patient_entries(index: BundleIndex) -> None:
    """Let sourcePatientInfo that refers to the Patient of the Bundle refer to a contained copy."""
    for entry in index.of(EntryKind.DOCUMENT):
        reference = (entry.resource.get("context") or {}).get("sourcePatientInfo") or {}
        found = index.entry_of(reference.get("reference"))
        if found is not None and found.kind is EntryKind.PATIENT and found.resource:
            full_url = found.full_url or ""
            reference["reference"] = _contain(entry.resource, full_url, found.resource, {})


def name_own_patients(index: BundleIndex, patient_of: PatientOf, terminology: Terminology) -> None:
    """Let sourcePatientInfo that refers to a Patient of this server name it by identifier, all it has."""
    for entry in index.of(EntryKind.DOCUMENT):
        reference = (entry.resource.get("context") or {}).get("sourcePatientInfo") or {}
        literal = reference.get("reference") or ""
        patient = None if not literal or literal.startswith("#") else patient_of(literal)
        if patient is not None:
            del reference["reference"]
            reference.setdefault("identifier", write_cx(patient, terminology))
