"""Answer to ITI-65: transaction-response with one entry per request entry, in order, each with its Location
(IHE MHD 4.2.4 3.65.4.2).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import logical_id
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import write_outcome
from gateway.fhir.provide_bundle_entries import EntryKind
from gateway.fhir.provide_context import PlannedEntry, ProvideBundle, ProvideContext
from gateway.model.metadata import DocumentEntry

_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")
_CREATED: Final = "201 Created"
_DONE: Final = "200 OK"


def write_provide_response(
    bundle: ProvideBundle, context: ProvideContext, warnings: Sequence[Issue] = ()
) -> Json:
    """The transaction-response as JSON values.

    A warning is in the outcome of the entry that it is about; those of the registry and of the Bundle as a
    whole are in that of the SubmissionSet.
    """
    entries = {entry.entry_uuid: entry for entry in bundle.submission.entries}
    issues = _by_entry(bundle, (*bundle.warnings, *warnings))
    return {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [
            _write_entry(planned, entries, context, issues.get(position, ()))
            for position, planned in enumerate(bundle.plan)
        ],
    }


def _by_entry(bundle: ProvideBundle, issues: Sequence[Issue]) -> dict[int, list[Issue]]:
    whole = next((n for n, p in enumerate(bundle.plan) if p.kind is EntryKind.SUBMISSION_SET), 0)
    found: dict[int, list[Issue]] = {}
    for issue in issues:
        named = _ENTRY.match(issue.expression or "")
        found.setdefault(int(named[1]) if named else whole, []).append(issue)
    return found


def _write_entry(
    planned: PlannedEntry,
    entries: Mapping[str, DocumentEntry],
    context: ProvideContext,
    issues: Sequence[Issue],
) -> Json:
    is_left_out = planned.kind is EntryKind.FOLDER and planned.target is None
    is_new = planned.method == "POST" and planned.kind is not EntryKind.PATIENT and not is_left_out
    response: Json = {"status": _CREATED if is_new else _DONE}
    location = None if is_left_out else _location(planned, entries, context)
    if location:
        response["location"] = location
    if issues:
        response["outcome"] = write_outcome(issues)
    return {"response": response}


def _location(
    planned: PlannedEntry, entries: Mapping[str, DocumentEntry], context: ProvideContext
) -> str | None:
    target = planned.target or ""
    match planned.kind:
        case EntryKind.SUBMISSION_SET | EntryKind.FOLDER:
            return f"List/{logical_id(target)}"
        case EntryKind.BINARY | EntryKind.FHIR_DOCUMENT:
            return context.document_url(
                replace(entries[target], repository_unique_id=context.repository_unique_id)
            )
        case EntryKind.PATIENT:
            patient = planned.patient
            return context.patient_reference(patient).get("reference") if patient else None
        case _:
            return f"DocumentReference/{logical_id(target)}"
