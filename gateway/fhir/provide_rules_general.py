"""Rules for every part of a Provide Document Bundle (ITI-65), whatever kind of entry it is in.

FHIR R4: modifiers that nobody may pass over (2.1.0.1, 2.4), what only other kinds of Bundle have (bdl-1,
bdl-2, bdl-4). ebRIM: the length of texts. IHE MHD 4.2.4: content that XDS has no place for is reported.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gateway.fhir.datatypes import Json, canonical, identifier_role
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import EntryKind, RequestEntry
from gateway.fhir.validation import elements
from gateway.model import codes

LONGEST_TEXT: Final = 1024
"""Characters of an ebRIM FreeFormText: title and comments."""

_MODIFIERS: Final = ("modifierExtension", "implicitRules")
_TEXTS: Final[dict[EntryKind, tuple[str, ...]]] = {
    EntryKind.DOCUMENT: ("description", "content.attachment.title"),
    EntryKind.SUBMISSION_SET: ("title", "note.text"),
    EntryKind.FOLDER: ("title", "note.text"),
}
_MAPPED_EXTENSIONS: Final = frozenset(
    {
        codes.EXT_HOME_COMMUNITY,
        codes.EXT_DESIGNATION_TYPE,
        codes.EXT_SOURCE_ID,
        codes.EXT_INTENDED_RECIPIENT,
    }
)


def element_values(value: Any, steps: list[str], path: str) -> Iterator[tuple[Any, str]]:
    """What an element path leads to, with the FHIRPath of each; an absent element is None."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from element_values(item, steps, f"{path}[{number}]")
    elif not steps:
        yield value, path
    else:
        inner = value.get(steps[0]) if isinstance(value, dict) else None
        yield from element_values(inner, steps[1:], f"{path}.{steps[0]}")


def check_modifiers(bundle: Json, findings: Findings) -> None:
    """Report what changes the meaning of the resource around it, of which this server knows nothing."""
    parts = [(bundle, "Bundle"), *((element, place) for _, element, place in elements(bundle, "Bundle"))]
    for element, place in parts:
        for name in _MODIFIERS:
            if name in element:
                findings.error(
                    f"{place}.{name}", "extension", "This may change what the resource says; leave it out."
                )


def check_request_bundle(bundle: Json, findings: Findings) -> None:
    """Report what only searches and answers have."""
    if "total" in bundle:
        findings.error("Bundle.total", "invariant", "Only the Bundle of a search has a total (bdl-1).")
    for number, entry in enumerate(bundle.get("entry") or ()):
        for name, rule in (("search", "bdl-2"), ("response", "bdl-4")):
            if name in entry:
                findings.error(
                    f"Bundle.entry[{number}].{name}", "invariant", f"An entry of a request has none ({rule})."
                )


def check_texts(entry: RequestEntry, findings: Findings) -> None:
    """Report texts that are longer than the registry's message can carry."""
    if entry.kind is None:
        return
    for element in _TEXTS.get(entry.kind, ()):
        for value, place in element_values(entry.resource, element.split("."), entry.resource_path):
            if isinstance(value, str) and len(value) > LONGEST_TEXT:
                findings.error(place, "too-long", f"XDS takes at most {LONGEST_TEXT} characters here.")


def report_unmapped(entry: RequestEntry, findings: Findings) -> None:
    """Say which content of a DocumentReference or List is not stored."""
    if entry.kind not in _TEXTS:
        return
    path = entry.resource_path
    for place in (
        *_places(entry.resource, "extension", path, lambda e: canonical(e.get("url")) in _MAPPED_EXTENSIONS),
        *_places(entry.resource, "identifier", path, lambda i: identifier_role(i) is not None),
    ):
        findings.inform(place, "XDS has no place for this; it is not stored.")


def _places(resource: Json, element: str, path: str, is_mapped: Callable[[Json], bool]) -> Iterable[str]:
    items = enumerate(resource.get(element) or ())
    return (f"{path}.{element}[{number}]" for number, item in items if not is_mapped(item))
