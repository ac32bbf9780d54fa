"""References whose type only one release of FHIR has.

An ImagingSelection of R5 is a Basic in R4, under the same id, so that references to it change their type
wherever they stand, narratives included. R5 has no Media and its like: a reference to one keeps its words.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_selections import BASIC, SELECTION, is_selection

ONLY_IN_R4: Final = frozenset({"Media", "DeviceUseStatement", "RequestGroup", "DocumentManifest"})
_NO_NAME: Final = "a resource that FHIR R5 does not have"
_LITERAL: Final = re.compile(r"(?P<base>.*/|)(?P<kind>[A-Z][A-Za-z]+)(?P<rest>/[A-Za-z0-9\-.]{1,64}(?:/.*)?)")
_LINK: Final = re.compile(r'(?P<before>\bhref=")(?P<literal>[^"]+)(?=")')


class References:
    """The references of one answer or request in the other release.

    A Basic that is there tells itself whether it stands for a selection. One that is not there does, for no
    other is referred to without its type here.
    """

    def __init__(self, resource: Json, *, up: bool) -> None:
        self._up = up
        self._basics: Mapping[str, bool] = dict(_basics(resource)) if up else {}

    def reference(self, reference: Json, lost: "Any") -> Json:
        """A Reference whose type is one of the other release."""
        literal = reference.get("reference")
        if not isinstance(literal, str):
            return reference
        kind = _kind(literal)
        if self._up and kind in ONLY_IN_R4:
            lost(f"reference to {kind}")
            kept = {k: v for k, v in reference.items() if k not in ("reference", "type")}
            return kept if kept.keys() & {"identifier", "display"} else {**kept, "display": _NO_NAME}
        renamed = self.literal(literal, reference.get("type"))
        is_other = renamed != literal or self._basics.get(literal, False)
        made = {**reference, "reference": renamed} if renamed != literal else reference
        old, new = (BASIC, SELECTION) if self._up else (SELECTION, BASIC)
        if made.get("type") == old and (is_other or not self._up):
            made = {**made, "type": new}
        return made

    def literal(self, literal: str, kind: Any = None) -> str:
        """The same for a literal reference, or the URL of a resource; `kind` is what the reference says."""
        found = _LITERAL.fullmatch(literal)
        if found is None or found["kind"] != (BASIC if self._up else SELECTION):
            return literal
        if self._up:
            local = BASIC + found["rest"].partition("/_history/")[0]
            if not self._basics.get(literal, self._basics.get(local, kind != BASIC)):
                return literal
        return f"{found['base']}{SELECTION if self._up else BASIC}{found['rest']}"

    def narrative(self, div: str) -> str:
        """The links of a narrative."""
        return _LINK.sub(lambda link: link["before"] + self.literal(link["literal"]), div)


def _kind(literal: str) -> str | None:
    found = _LITERAL.fullmatch(literal)
    return found["kind"] if found is not None else None


def _basics(resource: Any) -> Iterator[tuple[str, bool]]:
    """Each Basic that is there by `Type/id` and by its fullUrl, and whether it stands for a selection."""
    if not isinstance(resource, dict):
        return
    entries = resource.get("entry") if resource.get("resourceType") == "Bundle" else [{"resource": resource}]
    for entry in entries if isinstance(entries, list) else ():
        held = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(held, dict) and held.get("resourceType") == BASIC:
            stands = is_selection(held)
            yield f"{BASIC}/{held.get('id')}", stands
            if isinstance(entry.get("fullUrl"), str):
                yield entry["fullUrl"], stands
