"""Which profile a Provide Document Bundle keeps, and what that leaves to XDS (IHE MHD 4.2.4 1:33.2).

XDS takes what column XDS DS of ITI TF-3 Table 4.3.1-3 requires, whatever the profile. So a Minimal Bundle is
taken if it has all of that, and told what it lacks if not. Only the Comprehensive profile wants persons and
organizations contained.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.fhir.datatypes import Json, canonical
from gateway.model import codes


class MetadataLevel(StrEnum):
    """The ProvideBundle profiles."""

    COMPREHENSIVE = codes.PROFILE_COMPREHENSIVE_BUNDLE
    UNCONTAINED = codes.PROFILE_UNCONTAINED_BUNDLE
    MINIMAL = codes.PROFILE_MINIMAL_BUNDLE

    @property
    def contained_only(self) -> bool:
        """True where persons and organizations are contained in the resource that refers to them."""
        return self is MetadataLevel.COMPREHENSIVE


_OLDER: Final[Mapping[MetadataLevel, frozenset[str]]] = {
    MetadataLevel.COMPREHENSIVE: codes.LEGACY_COMPREHENSIVE_BUNDLES,
    MetadataLevel.UNCONTAINED: codes.LEGACY_UNCONTAINED_BUNDLES,
    MetadataLevel.MINIMAL: codes.LEGACY_MINIMAL_BUNDLES,
}

XDS_NAMES: Final[Mapping[str, str]] = {
    "masterIdentifier": "DocumentEntry.uniqueId",
    "type": "DocumentEntry.typeCode",
    "category": "DocumentEntry.classCode",
    "subject": "patientId",
    "securityLabel": "DocumentEntry.confidentialityCode",
    "content.attachment.contentType": "DocumentEntry.mimeType",
    "content.attachment.language": "DocumentEntry.languageCode",
    "content.attachment.creation": "DocumentEntry.creationTime",
    "content.format": "DocumentEntry.formatCode",
    "context.facilityType": "DocumentEntry.healthcareFacilityTypeCode",
    "context.practiceSetting": "DocumentEntry.practiceSettingCode",
    "context.sourcePatientInfo": "DocumentEntry.sourcePatientId",
    "date": "SubmissionSet.submissionTime",
    "title": "Folder.title",
}
"""Metadata attributes of XDS by the FHIR element that carries them."""


def level_of(bundle: Json) -> MetadataLevel | None:
    """The strictest profile that the Bundle claims; None where it claims none of them."""
    profiles = {str(canonical(url)) for url in (bundle.get("meta") or {}).get("profile") or ()}
    legacy = {url.replace("https://ihe.net/", "http://ihe.net/") for url in profiles}
    for level in MetadataLevel:
        if level.value in profiles or legacy & _OLDER[level]:
            return level
    return None


def missing_text(element: str, level: MetadataLevel) -> str:
    """Why an element is needed that a resource leaves out."""
    name = XDS_NAMES.get(element)
    if level is MetadataLevel.MINIMAL and name:
        return f"XDS requires {name}, which the Minimal profile leaves open; this server publishes to XDS."
    return "The Comprehensive profiles require this element."
