"""Rules of the ProvideBundle profiles (IHE MHD 4.2.4 3.65.4.1.2) and those between the entries of a
Bundle, which no profile expresses.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.fhir.datatypes import Json, is_uuid_urn
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry, literal_id, literal_uuid
from gateway.fhir.provide_profiles import MetadataLevel, level_of
from gateway.fhir.provide_rules_general import (
    check_modifiers,
    check_request_bundle,
    check_texts,
    report_unmapped,
)
from gateway.fhir.provide_rules_resources import (
    check_document_reference,
    check_folder,
    check_patch,
    check_submission_set,
)
from gateway.model import codes

_METHODS: Final[Mapping[EntryKind, tuple[str, ...]]] = {
    EntryKind.SUBMISSION_SET: ("POST",),
    EntryKind.DOCUMENT: ("POST",),
    EntryKind.FOLDER: ("POST", "PUT"),
    EntryKind.BINARY: ("POST",),
    EntryKind.PATCH: ("PATCH",),
    EntryKind.PATIENT: ("GET", "POST", "PUT"),
    EntryKind.FHIR_DOCUMENT: ("POST",),
}
_ABSOLUTE = re.compile(r"(?:https?://|urn:)\S+", re.IGNORECASE)
_CONDITIONS: Final = ("ifNoneMatch", "ifModifiedSince", "ifMatch", "ifNoneExist")


def check_bundle(
    bundle: Json,
    index: BundleIndex,
    findings: Findings,
    *,
    limited_metadata: bool = False,
    said: Mapping[int, frozenset[str]] = MappingProxyType({}),
) -> MetadataLevel:
    """Report every broken rule of the Bundle itself and of each entry on its own; the profile it keeps.

    With `limited_metadata` a Minimal Bundle need not have what XDS requires, nor elements that the document
    says itself, which are in `said` by the position of the DocumentReference.
    """
    if bundle["type"] != "transaction":
        findings.error("Bundle.type", "value", "A Provide Document Bundle has the type transaction.")
    check_request_bundle(bundle, findings)
    check_modifiers(bundle, findings)
    level = _check_profile(bundle, findings)
    _check_slices(index, findings)
    _check_full_urls(index, findings)
    for position, entry in enumerate(index.entries):
        _check_request(bundle["entry"][position], entry, index.base_url, findings)
    limited = limited_metadata and level is MetadataLevel.MINIMAL
    for entry in index.entries:
        left_open = said.get(entry.index, frozenset()) if level is MetadataLevel.MINIMAL else frozenset()
        _check_resource(entry, level, findings, limited=limited, left_open=left_open)
        check_texts(entry, findings)
        report_unmapped(entry, findings)
    return level


def _check_profile(bundle: Json, findings: Findings) -> MetadataLevel:
    level = level_of(bundle)
    if level is None:
        findings.error(
            "Bundle.meta.profile",
            "required",
            f"One of the profiles {', '.join(MetadataLevel)} is needed.",
        )
    return level or MetadataLevel.COMPREHENSIVE


def _check_slices(index: BundleIndex, findings: Findings) -> None:
    sets = list(index.of(EntryKind.SUBMISSION_SET))
    if not sets:
        findings.error(
            "Bundle.entry",
            "required",
            f"The Bundle has one List with the code submissionset of {codes.MHD_LIST_TYPES}.",
        )
    for entry in sets[1:]:
        findings.error(entry.path, "structure", "The Bundle has one SubmissionSet; this is another one.")
    for entry in list(index.of(EntryKind.PATIENT))[1:]:
        findings.error(entry.path, "structure", "The Bundle has at most one Patient.")
    for entry in index.entries:
        if entry.kind is None:
            _report_unknown(entry, findings)


def _report_unknown(entry: RequestEntry, findings: Findings) -> None:
    kind = entry.resource.get("resourceType")
    if kind is None:
        findings.error(entry.path, "required", "The entry has no resource.")
    elif kind == "List":
        findings.error(
            f"{entry.resource_path}.code",
            "value",
            f"The code of a List is submissionset or folder of {codes.MHD_LIST_TYPES}.",
        )
    else:
        findings.error(
            entry.resource_path,
            "structure",
            f"The profile has no place for an entry with a {kind}. Persons, organizations and devices are "
            "contained in the resource that refers to them.",
        )


def _check_full_urls(index: BundleIndex, findings: Findings) -> None:
    seen: set[str] = set()
    for entry in index.entries:
        path = f"{entry.path}.fullUrl"
        if entry.full_url is None:
            if entry.method == "POST":
                findings.error(path, "required", "A new resource needs urn:uuid: and a UUID as fullUrl.")
            continue
        if entry.method == "POST" and not is_uuid_urn(entry.full_url):
            findings.error(path, "value", "The fullUrl of a new resource is urn:uuid: and a UUID.")
        elif not _ABSOLUTE.fullmatch(entry.full_url):
            findings.error(path, "value", "A fullUrl is an absolute URL or a URN.")
        key = entry.full_url.lower()
        if key in seen:
            findings.error(path, "duplicate", "Another entry has the same fullUrl.")
        seen.add(key)


def _check_request(raw: Json, entry: RequestEntry, base_url: str, findings: Findings) -> None:
    request = raw.get("request")
    path = f"{entry.path}.request"
    if request is None:
        findings.error(path, "required", "An entry of a transaction needs request.")
        return
    for name in _CONDITIONS:
        is_update = entry.kind is EntryKind.FOLDER and entry.method == "PUT"
        if name in request and not (name == "ifMatch" and is_update):
            findings.error(
                f"{path}.{name}", "not-supported", "Conditions are not supported in this transaction."
            )
    if entry.kind is None:
        return
    allowed = _METHODS[entry.kind]
    if entry.method not in allowed:
        findings.error(
            f"{path}.method", "value", f"The method of a {entry.kind} entry is {' or '.join(allowed)}."
        )
    elif entry.method == "POST":
        kind = entry.resource["resourceType"]
        if entry.url.removeprefix(f"{base_url}/") != kind:
            findings.error(f"{path}.url", "value", f"The url of this request is {kind}.")
    else:
        _check_target(entry, base_url, f"{path}.url", findings)


def _check_target(entry: RequestEntry, base_url: str, path: str, findings: Findings) -> None:
    wanted = {EntryKind.FOLDER: "List", EntryKind.PATCH: "DocumentReference"}.get(
        entry.kind or EntryKind.PATIENT
    )
    if wanted is None:
        found = literal_id(entry.url, base_url)
        if entry.method == "PUT" and (found is None or found[0] != "Patient"):
            findings.error(path, "value", "The url of this request is Patient/ and its id.")
    elif literal_uuid(entry.url, wanted, base_url) is None:
        findings.error(
            path, "value", f"The url of this request is {wanted}/ and the id of a resource of this server."
        )


def _check_resource(
    entry: RequestEntry,
    level: MetadataLevel,
    findings: Findings,
    *,
    limited: bool,
    left_open: frozenset[str] = frozenset(),
) -> None:
    resource, path = entry.resource, entry.resource_path
    match entry.kind:
        case EntryKind.SUBMISSION_SET:
            check_submission_set(resource, path, level, findings, limited=limited)
        case EntryKind.FOLDER:
            check_folder(resource, path, level, findings, limited=limited)
        case EntryKind.DOCUMENT:
            check_document_reference(resource, path, level, findings, limited=limited, left_open=left_open)
        case EntryKind.PATCH:
            check_patch(resource, path, findings)
        case _:
            pass
