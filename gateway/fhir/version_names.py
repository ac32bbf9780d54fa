"""Names that differ between FHIR R4 and R5: paths of elements, and canonicals of HL7 Europe."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.fhir.version_rules import Shape
from gateway.model import codes

# --- paths ------------------------------------------------------------------------------------------------
_SOURCE_PATIENT: Final = f"extension('{codes.EXT_SOURCE_PATIENT}').value"
_PATHS: Final = tuple(
    (re.compile(old), new)
    for old, new in (
        (r"\bDocumentReference\.masterIdentifier \| ", ""),
        (r"\bmasterIdentifier\b", "identifier"),
        (r"\bauthenticator\b", "attester.party"),
        (r"\bcontext\.(period|facilityType|practiceSetting)\b", r"\1"),
        (r"\bcontext\.event\b(\[\d+\])?", r"event\1.concept"),
        (r"\bcontext\.encounter\b", "context"),
        (r"\bcontext\.related\b", "basedOn"),
        (r"\bcontext\.sourcePatientInfo\b", _SOURCE_PATIENT),
        (r"\bcontent(\[\d+\])?\.format\b", r"content\1.profile.value"),
    )
)


def path_in_r5(path: str) -> str:
    """FHIRPath of an element of R4 as R5 has it."""
    for pattern, new in _PATHS:
        path = pattern.sub(new, path)
    return path


PATH: Final = Shape(up=lambda path, _: path_in_r5(path))


# --- canonicals -------------------------------------------------------------------------------------------
_EU_BASES: Final = (
    ("http://hl7.eu/fhir/imaging/", "http://hl7.eu/fhir/imaging-r5/"),
    ("http://hl7.eu/fhir/base/", "http://hl7.eu/fhir/base-r5/"),
    ("http://hl7.eu/fhir/health-data-api/", "http://hl7.eu/fhir/eu-health-data-api/"),
)


_CANONICAL: Final = re.compile(
    r"(?:ActorDefinition|CapabilityStatement|CodeSystem|ConceptMap|ImplementationGuide|NamingSystem|"
    r"OperationDefinition|SearchParameter|StructureDefinition|ValueSet)/"
)


def canonical_in_r5(url: str) -> str:
    """A canonical of HL7 Europe as its guides for R5 have it."""
    return _moved(url, dict(_EU_BASES))


def canonical_in_r4(url: str) -> str:
    """A canonical of HL7 Europe as its guides for R4 have it."""
    return _moved(url, {new: old for old, new in _EU_BASES})


def _moved(url: str, bases: Mapping[str, str]) -> str:
    """The canonical below the base that replaces its own; any other URL, of a Binary for example, stays."""
    for base, other in bases.items():
        if url.startswith(base) and _CANONICAL.match(url, len(base)):
            return other + url.removeprefix(base)
    return url
