"""Releases of FHIR that resources and documents here are of, by their `fhirVersion` parameter."""

from enum import StrEnum


class FhirRelease(StrEnum):
    """A release of FHIR: R4 is 4.0.1, R5 is 5.0.0."""

    R4 = "4.0"
    R5 = "5.0"

    @property
    def full_version(self) -> str:
        """As CapabilityStatement.fhirVersion has it; the value is that of the parameter of media types."""
        return "4.0.1" if self is FhirRelease.R4 else "5.0.0"

    @property
    def mhd(self) -> str:
        """The version of IHE MHD for it."""
        return "4.2.4" if self is FhirRelease.R4 else "5.1.0"


def release_named(version: str) -> FhirRelease | None:
    """The release of a fhirVersion parameter; a full version is cut, since clients send it."""
    short = ".".join(version.split(".")[:2])
    return next((release for release in FhirRelease if release == short), None)
