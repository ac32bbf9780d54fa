"""Concept names of a manifest's content tree (DICOM TID 2010, 1600 to 1602; IHE RAD MADO), in all dialects.

The same concept has three codes: the one that DICOM gave it (CP-2595), the one of the trial implementation
(`99IHE`), and the placeholder of drafts. A reader takes each; a writer has one of the first two.
"""

from enum import Enum, StrEnum
from typing import Final

from msgspec import Struct

from gateway.model import imaging_codes

MANIFEST_TITLE: Final = "131560"


class Dialect(StrEnum):
    """Which codes are written: those of DICOM, or those of the trial implementation of MADO."""

    DCM = "dcm"
    TI = "ti"


class ConceptName(Struct, frozen=True, gc=False):
    """A concept name: its codes by dialect and its meaning."""

    code: str
    meaning: str
    trial: str | None = None
    placeholder: str | None = None

    def coded(self, dialect: Dialect) -> tuple[str, str, str]:
        """Code value, coding scheme designator and meaning."""
        if dialect is Dialect.TI and self.trial is not None:
            return self.trial, "99IHE", self.meaning
        return self.code, "DCM", self.meaning


class Concept(Enum):
    """What a content item says."""

    MANIFEST = ConceptName(MANIFEST_TITLE, "Manifest with Description", "MADOTEMP001", "ddd001")
    PROCEDURE_CODE = ConceptName("121023", "Procedure Code")
    LIBRARY = ConceptName("111028", "Image Library")
    GROUP = ConceptName("126200", "Image Library Group")
    MODALITY = ConceptName("121139", "Modality")
    REGION = ConceptName("123014", "Target Region")
    LATERALITY = ConceptName("111027", "Laterality")
    STUDY_DATE = ConceptName("111060", "Study Date")
    STUDY_TIME = ConceptName("111061", "Study Time")
    SERIES_COUNT = ConceptName("131565", "Number of Study Related Series", "MADOTEMP009", "ddd009")
    SERIES_DATE = ConceptName("131561", "Series Date", "MADOTEMP003", "ddd003")
    SERIES_TIME = ConceptName("131562", "Series Time", "MADOTEMP004", "ddd004")
    SERIES_DESCRIPTION = ConceptName("131563", "Series Description", "MADOTEMP002", "ddd002")
    SERIES_NUMBER = ConceptName("113607", "Series Number")
    SERIES_UID = ConceptName("112002", "Series Instance UID")
    INSTANCE_COUNT = ConceptName("131564", "Number of Series Related Instances", "MADOTEMP007", "ddd007")
    INSTANCE_NUMBER = ConceptName("113609", "Instance Number")
    FRAMES = ConceptName("121140", "Number of Frames")
    KEY_OBJECT_TITLE = ConceptName("121144", "Document Title")
    KEY_OBJECT_DESCRIPTION = ConceptName("113012", "Key Object Description")


def _table() -> dict[bytes, Concept]:
    found: dict[bytes, Concept] = {}
    for concept in Concept:
        named = concept.value
        for code in (named.code, named.trial, named.placeholder):
            if code is not None:
                found[code.encode()] = concept
    return found


_BY_CODE: Final = _table()
_SCHEMES: Final = frozenset({b"", b"DCM", b"99IHE", imaging_codes.DCM.encode()})


def concept_of(code: bytes, scheme: bytes) -> Concept | None:
    """The concept of a code, in whatever dialect; placeholders are met under several private schemes."""
    concept = _BY_CODE.get(code.strip(b" \0"))
    if concept is None:
        return None
    scheme = scheme.strip(b" \0")
    return concept if scheme in _SCHEMES or scheme.startswith(b"99") else None
