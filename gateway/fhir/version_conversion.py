"""Carries out the table of differences between FHIR R4 and R5 on a resource, with all that is inside it."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_selections import (
    BASIC,
    SELECTION,
    STAND_INS,
    basic_as_selection,
    is_selection,
    selection_as_basic,
)
from gateway.fhir.version_names import canonical_in_r4, canonical_in_r5
from gateway.fhir.version_references import References
from gateway.fhir.version_rules import Differences, Lost
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease


# --- profiles ---------------------------------------------------------------------------------------------
def _profiles_up(resource: Json, profiles: list[str]) -> list[str]:
    """MADO has no profiles for R5; MHD is claimed with its version, where content.profile is as it wants."""
    content = resource.get("content") if resource["resourceType"] == "DocumentReference" else None
    as_mhd = all(len(part.get("profile", ())) < 2 for part in content or ())
    claimed = []
    for profile in profiles:
        if profile.startswith(codes.MHD) and as_mhd:
            claimed.append(f"{profile.partition('|')[0]}|{FhirRelease.R5.mhd}")
        elif not profile.startswith((codes.MHD, imaging.MADO)) and profile.partition("|")[0] not in STAND_INS:
            claimed.append(canonical_in_r5(profile))
    return claimed


def _profiles_down(_: Json, profiles: list[str]) -> list[str]:
    return [
        profile.removesuffix(f"|{FhirRelease.R5.mhd}")
        if profile.startswith(codes.MHD)
        else canonical_in_r4(profile)
        for profile in profiles
    ]


class ConversionError(ValueError):
    """A resource has values of other shapes than its release has, as one that nobody has validated may."""


# --- resources --------------------------------------------------------------------------------------------
class Conversion:
    """One resource from one release to the other, `up` from R4 to R5; `documents` converts those, too."""

    def __init__(
        self,
        table: Mapping[str, Differences],
        given: Json,
        lost: Lost,
        *,
        up: bool,
        documents: bool = False,
    ) -> None:
        self._table = table
        self._references = References(given, up=up)
        self._lost = lost
        self._up = up
        self._documents = documents
        self._url: Callable[[str], str] = canonical_in_r5 if up else canonical_in_r4

    def convert(self, given: Json) -> Json:
        """A resource of either release in the other. Raises ConversionError."""
        try:
            return self.resource(given)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise ConversionError("an element has a value of another shape than FHIR has") from None

    def resource(self, given: Json) -> Json:
        """The same of one whose shape is known."""
        if given.get("resourceType") == SELECTION and not self._up:
            given = selection_as_basic(given, self._lost)
        elif given.get("resourceType") == BASIC and self._up and is_selection(given):
            given = basic_as_selection(given, self._lost)
        kind = given.get("resourceType")
        if not isinstance(kind, str):
            return given
        if kind == "Bundle" and given.get("type") == "document" and not self._documents:
            return given
        made = self._object(given, kind)
        if "contained" in given:
            made["contained"] = self._values(given["contained"], "Resource")
        meta = made.get("meta")
        if isinstance(meta, dict) and "profile" in meta:
            profiles = (_profiles_up if self._up else _profiles_down)(made, meta["profile"])
            made["meta"] = {name: value for name, value in meta.items() if name != "profile"}
            if profiles:
                made["meta"]["profile"] = profiles
            if not made["meta"]:
                del made["meta"]
        return made

    def _object(self, given: Json, kind: str) -> Json:
        differences = self._table.get(kind)
        if differences is None:
            return self._named(given)
        claimed = differences.claimed_r4 if self._up else differences.claimed_r5
        made = {name: value for name, value in given.items() if name not in claimed}
        if "extension" in made:
            self._keep_extensions(made, differences)

        def lost(element: str) -> None:
            self._lost(f"{kind}.{element}")

        for rule in differences.rules:
            (rule.up if self._up else rule.down)(given, made, lost)
        children = {name: made.pop(name) for name in differences.inside if name in made}
        made = self._named(made)
        for name, value in children.items():
            made[name] = self._values(value, differences.inside[name])
        return made

    def _keep_extensions(self, made: Json, differences: Differences) -> None:
        urls = differences.native_r4 if self._up else differences.r5_extensions
        kept = [
            item for item in made["extension"] if not (isinstance(item, dict) and item.get("url") in urls)
        ]
        del made["extension"]
        if kept:
            made["extension"] = kept

    def _values(self, value: Any, kind: str) -> Any:
        if isinstance(value, list):
            return [self._values(item, kind) for item in value]
        if not isinstance(value, dict):
            return value
        return self.resource(value) if kind == "Resource" else self._object(value, kind)

    def _named(self, value: Json) -> Json:
        """An object with the canonicals of the other release, where a system or an extension has one."""
        made = {name: self._below(name, item) for name, item in value.items()}
        return self._references.reference(made, self._lost) if "reference" in made else made

    def _below(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            if name in ("system", "url"):
                return self._url(value)
            if name == "fullUrl":
                return self._references.literal(value)
            return self._references.narrative(value) if name == "div" else value
        if isinstance(value, list):
            return [self._below("", item) for item in value]
        return self._named(value) if isinstance(value, dict) else value
