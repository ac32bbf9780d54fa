"""The attributes by which studies, series and instances are searched and described (DICOM PS3.18 10.6.1.2,
10.6.3.3; PS3.6), as far as a manifest knows them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.dicom import tags

TEXTS: Final = frozenset({"CS", "LO", "LT", "PN", "SH", "UC", "UR", "UT"})
"""Value representations whose values may have wildcards."""

_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")


class Level(IntEnum):
    """Where an attribute belongs; those of the patient are attributes of the study."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute. `always` says that it is part of every answer; others come when they are asked for.

    `matched` is False for what only can be asked to be included. `items` are those of a sequence.
    """

    keyword: str
    tag: int
    vr: str
    level: Level = Level.STUDY
    always: bool = False
    matched: bool = True
    items: "tuple[Attribute, ...]" = ()

    @property
    def name(self) -> str:
        """The tag as DICOM JSON has it."""
        return f"{self.tag:08X}"


Path = tuple[Attribute, ...]
"""An attribute of the dataset, or one inside of sequences."""


class UnknownAttribute(LookupError):
    """No attribute that is known here has this keyword or tag."""


class Table:
    """Attributes by keyword and by tag."""

    def __init__(self, attributes: Sequence[Attribute]) -> None:
        self._known = {name: a for a in attributes for name in (a.keyword, a.name)}
        self.all = tuple(attributes)

    def path(self, text: str) -> Path:
        """What `Keyword`, `GGGGEEEE` or a dotted sequence of them names. Raises UnknownAttribute."""
        known, path = self._known, []
        for part in text.split("."):
            found = known.get(part.upper() if _TAG.fullmatch(part) else part)
            if found is None:
                raise UnknownAttribute(text)
            path.append(found)
            known = {name: a for a in found.items for name in (a.keyword, a.name)}
        return tuple(path)

    def tag(self, keyword: str) -> str:
        """The tag of a keyword as DICOM JSON has it."""
        return self._known[keyword].name


def _of(tag: int, level: Level = Level.STUDY, *, always: bool = False, matched: bool = True) -> Attribute:
    vr, keyword = tags.DICTIONARY[tag]
    return Attribute(keyword, tag, vr.decode(), level, always, matched)


_ISSUER: Final = tuple(
    map(_of, (tags.LOCAL_NAMESPACE, tags.UNIVERSAL_ENTITY_ID, tags.UNIVERSAL_ENTITY_ID_TYPE))
)
_CODED: Final = tuple(
    map(_of, (tags.CODE_VALUE, tags.CODING_SCHEME_DESIGNATOR, tags.CODING_SCHEME_UID, tags.CODE_MEANING))
)


def _sequence(
    tag: int, items: tuple[Attribute, ...], level: Level = Level.STUDY, *, always: bool = False
) -> Attribute:
    return Attribute(tags.DICTIONARY[tag][1], tag, "SQ", level, always, items=items)


_ISSUER_OF_PATIENT: Final = _sequence(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS, _ISSUER, always=True)
_ISSUER_OF_ACCESSION: Final = _sequence(tags.ISSUER_OF_ACCESSION_NUMBER, _ISSUER, always=True)
_REQUEST: Final = (
    _of(tags.ACCESSION_NUMBER),
    _ISSUER_OF_ACCESSION,
    _of(tags.STUDY_INSTANCE_UID),
    _of(tags.REQUESTED_PROCEDURE_DESCRIPTION),
    _sequence(tags.REQUESTED_PROCEDURE_CODES, _CODED),
    _of(tags.REQUESTED_PROCEDURE_ID),
    _of(tags.PLACER_ORDER_NUMBER),
    _sequence(tags.ORDER_PLACER, _ISSUER),
    _of(tags.FILLER_ORDER_NUMBER),
    _sequence(tags.ORDER_FILLER, _ISSUER),
)

_OF_STUDIES: Final = (
    _of(tags.SPECIFIC_CHARACTER_SET, always=True, matched=False),
    _of(tags.STUDY_DATE, always=True),
    _of(tags.STUDY_TIME, always=True),
    _of(tags.ACCESSION_NUMBER, always=True),
    _ISSUER_OF_ACCESSION,
    Attribute("ModalitiesInStudy", 0x00080061, "CS", always=True),
    Attribute("SOPClassesInStudy", 0x00080062, "UI"),
    Attribute("AnatomicRegionsInStudyCodeSequence", 0x00080063, "SQ", items=_CODED),
    _of(tags.REFERRING_PHYSICIAN, always=True),
    _of(tags.TIMEZONE_OFFSET, always=True, matched=False),
    _of(tags.STUDY_DESCRIPTION, always=True),
    _sequence(tags.PROCEDURE_CODES, _CODED),
    _of(tags.PATIENT_NAME, always=True),
    _of(tags.PATIENT_ID, always=True),
    _of(tags.ISSUER_OF_PATIENT_ID, always=True),
    _ISSUER_OF_PATIENT,
    _of(tags.PATIENT_BIRTH_DATE, always=True),
    _of(tags.PATIENT_SEX, always=True),
    _sequence(
        tags.OTHER_PATIENT_IDS,
        (_of(tags.PATIENT_ID), _of(tags.ISSUER_OF_PATIENT_ID), _ISSUER_OF_PATIENT),
    ),
    _of(tags.STUDY_INSTANCE_UID, always=True),
    _of(tags.STUDY_ID, always=True),
    Attribute("NumberOfStudyRelatedSeries", 0x00201206, "IS", always=True),
    Attribute("NumberOfStudyRelatedInstances", 0x00201208, "IS", always=True),
    _sequence(tags.REFERENCED_REQUESTS, _REQUEST),
)
_OF_SERIES: Final = (
    Attribute("SeriesDate", 0x00080021, "DA", Level.SERIES, always=True),
    Attribute("SeriesTime", 0x00080031, "TM", Level.SERIES, always=True),
    _of(tags.MODALITY, Level.SERIES, always=True),
    Attribute("SeriesDescription", 0x0008103E, "LO", Level.SERIES, always=True),
    Attribute("AnatomicRegionSequence", 0x00082218, "SQ", Level.SERIES, items=_CODED),
    Attribute("BodyPartExamined", 0x00180015, "CS", Level.SERIES, always=True),
    _of(tags.SERIES_INSTANCE_UID, Level.SERIES, always=True),
    _of(tags.SERIES_NUMBER, Level.SERIES, always=True),
    Attribute("Laterality", 0x00200060, "CS", Level.SERIES),
    Attribute("NumberOfSeriesRelatedInstances", 0x00201209, "IS", Level.SERIES, always=True),
    Attribute("RequestAttributesSequence", 0x00400275, "SQ", Level.SERIES, always=True, items=_REQUEST),
    _of(tags.RETRIEVE_LOCATION_UID, Level.SERIES),
)
_OF_INSTANCES: Final = (
    _of(tags.SOP_CLASS_UID, Level.INSTANCE, always=True),
    _of(tags.SOP_INSTANCE_UID, Level.INSTANCE, always=True),
    _of(tags.INSTANCE_NUMBER, Level.INSTANCE, always=True),
    Attribute("NumberOfFrames", 0x00280008, "IS", Level.INSTANCE, always=True),
    _sequence(tags.CONCEPT_NAME, _CODED, Level.INSTANCE),
)
_OF_ALL: Final = (_of(tags.RETRIEVE_URL, always=True, matched=False),)

ATTRIBUTES: Final = Table((*_OF_STUDIES, *_OF_SERIES, *_OF_INSTANCES, *_OF_ALL))
