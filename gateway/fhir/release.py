"""The releases of FHIR that this server speaks (FHIR 4.0.1 and 5.0.0; IHE MHD 4.2.4 and 5.1.0)."""

from enum import Enum


class Release(Enum):
    """A release of FHIR that bases of this server speak."""

    R4 = "R4"
    R5 = "R5"

    @property
    def fhir_version(self) -> str:
        """As CapabilityStatement.fhirVersion has it."""
        return "4.0.1" if self is Release.R4 else "5.0.0"

    @property
    def parameter(self) -> str:
        """As the parameter fhirVersion of media types has it."""
        return "4.0" if self is Release.R4 else "5.0"

    @property
    def mhd(self) -> str:
        """The version of IHE MHD for it."""
        return "4.2.4" if self is Release.R4 else "5.1.0"


def release_named(version: str) -> Release | None:
    """The release of a fhirVersion parameter; a full version is cut, since clients send it."""
    short = ".".join(version.split(".")[:2])
    return next((release for release in Release if release.parameter == short), None)
