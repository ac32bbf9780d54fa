"""Media types of documents of ITI-68, of FHIR documents with their release (FHIR R5, versioning)."""

from typing import Final

from gateway.fhir.document_release import is_fhir
from gateway.mhd.conditions import is_media_type
from gateway.model.imaging_codes import MIME_DICOM
from gateway.model.releases import FhirRelease
from gateway.security.document_urls import DocumentKey

_DEFAULT_TYPE: Final = "application/octet-stream"


def bare(media_type: str) -> str:
    """The type without parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


def with_release(media_type: str, release: FhirRelease | None) -> str:
    """The media type of a FHIR document, with its release where that is known and not said."""
    if release is None or "fhirversion" in media_type.lower():
        return media_type
    return f"{media_type}; fhirVersion={release}"


def manifest_type(media_type: str) -> str:
    """The type of a manifest that is made, or can be: those in FHIR are of R4, for which MADO is."""
    return with_release(media_type, None if bare(media_type) == MIME_DICOM else FhirRelease.R4)


def stored_type(key: DocumentKey) -> str:
    """The type of the stored document; empty where the registry has another text in its place."""
    if not is_media_type(key.mime_type or ""):
        return ""
    return manifest_type(key.mime_type) if key.manifest else with_release(key.mime_type, key.release)


def is_negotiated(key: DocumentKey) -> bool:
    """True where another Accept would give another answer than the document."""
    return key.manifest or is_fhir(key.mime_type)


def is_active(media_type: str) -> bool:
    """Whether a browser runs scripts of such a document: HTML, SVG, and what else is XML."""
    name = media_type.partition(";")[0].strip().lower()
    return name == "text/html" or name.endswith(("/xml", "+xml"))


def first_media_type(*claims: str | None) -> str:
    """The first claim that is a media type: the registry's goes before the repository's."""
    return next((claim for claim in claims if claim and is_media_type(claim)), _DEFAULT_TYPE)
