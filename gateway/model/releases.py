"""Releases of FHIR that resources and documents here are of, by their `fhirVersion` parameter."""

from enum import StrEnum


class FhirRelease(StrEnum):
    """A release of FHIR: R4 is 4.0.1, R5 is 5.0.0."""

    R4 = "4.0"
    R5 = "5.0"
