"""What the two releases of the Imaging Report guide call things (HL7 Europe Imaging Report 1.0.0-ballot):
canonicals, the priority category, and the elements that R4 has as extensions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.tolerant import Element
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """One release of the guide. `structures` is the base of its canonicals, `former` what that was before.

    `category_system` is the code system of `Medical-Imaging`; `studies` is the element of a report that
    refers to its studies.
    """

    release: FhirRelease
    structures: str
    former: str | None
    category_system: str
    studies: str

    def composition_of(self, report: Element) -> Element | None:
        """The Reference of a DiagnosticReport to its Composition."""
        if self.release is FhirRelease.R5:
            return report.one("composition")
        extension = report.extension(imaging.EXT_REPORT_COMPOSITION)
        return extension.one("valueReference") if extension is not None else None


TERMS: Final[Mapping[FhirRelease, ReleaseTerms]] = MappingProxyType(
    {
        FhirRelease.R4: ReleaseTerms(
            FhirRelease.R4,
            imaging.EU_STRUCTURE,
            "http://hl7.eu/fhir/imaging-r4/StructureDefinition/",
            imaging.EU_PRIORITY_CATEGORIES,
            "imagingStudy",
        ),
        FhirRelease.R5: ReleaseTerms(
            FhirRelease.R5,
            imaging.EU_R5_STRUCTURE,
            None,
            imaging.LEGACY_EU_PRIORITY_CATEGORIES,
            "study",
        ),
    }
)

BASES: Final = tuple(base for terms in TERMS.values() for base in (terms.structures, terms.former) if base)
"""Every base that the guide's canonicals have or had."""

# --- sections (LOINC) -----------------------------------------------------------------------------------
SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "18726-0": "imagingstudy",
        "55115-0": "order",
        "11329-0": "history",
        "55111-9": "procedure",
        "18834-2": "comparison",
        "59776-5": "findings",
        "19005-8": "impression",
        "18783-1": "recommendation",
        "73568-8": "communication",
        "LP173421-1": "report",
    }
)
MANDATORY_SECTIONS: Final = ("imagingstudy", "order", "history", "procedure")
SECTION_ENTRIES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "imagingstudy": frozenset({"ImagingStudy"}),
        "order": frozenset({"ServiceRequest"}),
        "procedure": frozenset({"Procedure", "AdverseEvent", "Observation"}),
    }
)
"""Types that the guide names for the entries of a section; others are allowed and a note."""


def claims(resource: Json, profile: str) -> bool:
    """True where a resource claims a profile of the guide, of whatever release and age."""
    meta = resource.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    if not isinstance(claimed, list):
        return False
    names = {base + profile for base in BASES}
    return any(isinstance(url, str) and url.partition("|")[0] in names for url in claimed)


def release_of(bundle: Json) -> FhirRelease:
    """The release that a report Bundle is written in: by its profiles, else by elements that only R5 has."""
    entries = bundle.get("entry")
    held = [e.get("resource") for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    resources = [resource for resource in held if isinstance(resource, dict)]
    for resource in (bundle, *resources):
        meta = resource.get("meta")
        claimed = meta.get("profile") if isinstance(meta, dict) else None
        for url in claimed if isinstance(claimed, list) else ():
            for terms in TERMS.values():
                bases = [base for base in (terms.structures, terms.former) if base]
                if isinstance(url, str) and url.startswith(tuple(bases)):
                    return terms.release
    return FhirRelease.R5 if any(map(_is_r5, resources)) else FhirRelease.R4


def release_of_text(raw: bytes) -> FhirRelease:
    """The release of a document by the canonicals in its JSON or XML, R4 where it has none of R5."""
    is_r5 = TERMS[FhirRelease.R5].structures.encode() in raw
    return (
        FhirRelease.R5 if is_r5 and TERMS[FhirRelease.R4].structures.encode() not in raw else FhirRelease.R4
    )


def _is_r5(resource: Json) -> bool:
    match resource.get("resourceType"):
        case "DiagnosticReport":
            return bool({"study", "composition", "note", "supportingInfo"} & resource.keys())
        case "Composition":
            return any(isinstance(resource.get(name), list) for name in ("subject", "identifier"))
        case "ImagingSelection":
            return True
        case _:
            return False


def section_of(section: Element) -> str | None:
    """Name of a section by its LOINC code; None for one that the guide does not know."""
    concept = section.one("code")
    for coding in concept.many("coding") if concept is not None else ():
        if coding.value.get("system") == imaging.LOINC_SYSTEM:
            name = SECTIONS.get(str(coding.value.get("code")))
            if name is not None:
                return name
    return None


def mode_of(attester: Element) -> str | None:
    """Mode of an attester: a code in R4, a concept in R5."""
    if isinstance(attester.value.get("mode"), str):
        return attester.text("mode")
    concept = attester.one("mode")
    codings = concept.many("coding") if concept is not None else ()
    return next((code for coding in codings if (code := coding.text("code"))), None)
