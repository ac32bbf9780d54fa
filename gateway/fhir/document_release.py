"""Of which release of FHIR a stored FHIR document is (FHIR R5, versioning: fhirVersion labels FHIR content).

XDS has no element for it. It follows from the formatCode, where that is a canonical of HL7 Europe or the code
of a manifest of MADO, or from a parameter of the mimeType; else from a canonical of HL7 Europe near the
beginning of the document itself. Of any other document it is not known.
"""

from typing import Final

from gateway.fhir.formats import FhirFormat
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import DocumentEntry
from gateway.model.releases import FhirRelease, release_named

_FHIR: Final = frozenset(map(str, FhirFormat))
_STRUCTURES: Final = (
    (imaging.EU_R5_STRUCTURE, FhirRelease.R5),
    (imaging.EU_STRUCTURE, FhirRelease.R4),
    (imaging.LEGACY_EU_STRUCTURES[0], FhirRelease.R4),
)


def document_release(entry: DocumentEntry) -> FhirRelease | None:
    """The release of a stored document; None for one that is no FHIR, and where nothing says it."""
    if not is_fhir(entry.mime_type):
        return None
    _, _, parameters = entry.mime_type.partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "fhirversion":
            return release_named(value.strip().strip('"'))
    code = entry.format_code.code if entry.format_code is not None else ""
    if code == imaging.FORMAT_FHIR_MANIFEST:
        return FhirRelease.R4
    return next((release for base, release in _STRUCTURES if code.startswith(base)), None)


def release_in(beginning: bytes) -> FhirRelease | None:
    """The release of a document by the first canonical in its beginning."""
    found = [(at, release) for base, release in _STRUCTURES if (at := beginning.find(base.encode())) >= 0]
    return min(found)[1] if found else None


def is_fhir(media_type: str) -> bool:
    """True for the media types of FHIR."""
    return media_type.partition(";")[0].strip().lower() in _FHIR
