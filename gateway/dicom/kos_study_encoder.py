"""What a manifest says of its study: evidence (PS3.3 C.17.6.2), content tree (TID 2010, 1600 to 1602)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from gateway.dicom import tags
from gateway.dicom.concepts import Concept
from gateway.dicom.encoding import element, joined, plain, sequence
from gateway.dicom.sop_classes import common_modality, value_type_of
from gateway.model.imaging import Instance, RetrieveLocation, Series, Study
from gateway.model.imaging_codes import DCM
from gateway.model.metadata import Code

if TYPE_CHECKING:
    from gateway.dicom.kos_encoder import KosEncoder
    from gateway.dicom.kos_writer import ViewerElement

_BLOCK: Final = 0x10
_CREATOR_TAG: Final = tags.PRIVATE_DISPLAY_GROUP << 16 | _BLOCK
_VIEWER_TAG: Final = tags.PRIVATE_DISPLAY_GROUP << 16 | _BLOCK << 8 | tags.PRIVATE_DISPLAY_ELEMENT


class StudyEncoder:
    """Encodes the study of one document."""

    def __init__(self, study: Study, encoder: KosEncoder, viewer: ViewerElement) -> None:
        study = replace(study, series=tuple(_with_modality(series) for series in study.series))
        self._study = study
        self._encoder = encoder
        self._viewer = viewer
        self._kinds: dict[str, tuple[bytes, bytes]] = {}
        self._references = {
            id(instance): self._reference(instance)
            for series in study.series
            for instance in series.instances
        }

    def elements(self) -> list[bytes]:
        """Evidence sequence and content sequence."""
        return [sequence(tags.CURRENT_EVIDENCE, [self._evidence()]), sequence(tags.CONTENT, self._content())]

    def _reference(self, instance: Instance) -> bytes:
        encoder = self._encoder
        return joined(
            encoder.text(tags.REFERENCED_SOP_CLASS_UID, instance.sop_class_uid),
            encoder.text(tags.REFERENCED_SOP_INSTANCE_UID, instance.sop_instance_uid),
        )

    def _evidence(self) -> bytes:
        encoder, study = self._encoder, self._study
        listed = [item for series in study.series for item in self._listed(series)]
        return joined(
            sequence(tags.REFERENCED_SERIES, listed),
            self._private_viewer(),
            encoder.text(tags.STUDY_INSTANCE_UID, study.study_instance_uid),
            encoder.present(tags.DISPLAY_URI, study.viewer_url if self._viewer != "private" else None),
        )

    def _private_viewer(self) -> bytes:
        url = self._study.viewer_url
        if url is None or self._viewer == "standard":
            return b""
        return joined(
            element(_CREATOR_TAG, b"LO", tags.PRIVATE_DISPLAY_CREATOR.encode()),
            element(_VIEWER_TAG, b"UR", url.encode("utf-8", "replace")),
        )

    def _listed(self, series: Series) -> list[bytes]:
        """One item per location: an item has one Retrieve Location UID."""
        locations = [location for location in series.locations if location != RetrieveLocation()]
        if len(locations) < len(series.locations):
            self._encoder.report("location-empty", tags.name(tags.REFERENCED_SERIES))
        instances = sequence(tags.REFERENCED_SOPS, [self._references[id(one)] for one in series.instances])
        uid = self._encoder.text(tags.SERIES_INSTANCE_UID, series.series_instance_uid)
        return [
            joined(
                self._encoder.present(tags.RETRIEVE_URL, location.url),
                instances,
                uid,
                self._encoder.present(tags.RETRIEVE_LOCATION_UID, location.uid),
            )
            for location in locations or [RetrieveLocation()]
        ]

    def _content(self) -> list[bytes]:
        encoder, study = self._encoder, self._study
        procedures = [
            encoder.code_item(Concept.PROCEDURE_CODE, code, "HAS CONCEPT MOD")
            for code in study.procedure_codes
        ]
        shown = [
            joined(sequence(tags.REFERENCED_SOPS, [self._references[id(one)]]), *self._kind(one))
            for series in study.series
            for one in series.instances
        ]
        return [*procedures, self._library(), *shown]

    def _kind(self, instance: Instance) -> tuple[bytes, bytes]:
        """Relationship and value type of the item that refers to an instance."""
        sop_class = instance.sop_class_uid
        if sop_class not in self._kinds:
            self._kinds[sop_class] = (
                plain(tags.RELATIONSHIP_TYPE, "CONTAINS"),
                plain(tags.VALUE_TYPE, value_type_of(sop_class)),
            )
        return self._kinds[sop_class]

    def _library(self) -> bytes:
        encoder, study = self._encoder, self._study
        if study.stated_series not in (None, len(study.series)):
            encoder.report("count-restated", "ImageLibrary")
        return encoder.container(
            Concept.LIBRARY,
            [
                *(
                    encoder.code_item(Concept.MODALITY, code)
                    for code in study.modalities or study.all_modalities
                ),
                *(encoder.code_item(Concept.REGION, code) for code in study.regions),
                encoder.number_item(Concept.SERIES_COUNT, len(study.series), "series"),
                *(self._group(number, series) for number, series in enumerate(study.series, start=1)),
            ],
        )

    def _group(self, number: int, series: Series) -> bytes:
        encoder, place = self._encoder, f"ImageLibrary.Group[{number}]"
        if series.stated_instances not in (None, len(series.instances)):
            encoder.report("count-restated", place)
        described: list[bytes] = []
        if series.modality is not None:
            described.append(encoder.code_item(Concept.MODALITY, series.modality))
        if series.started is not None:
            described += encoder.moment_items(Concept.SERIES_DATE, Concept.SERIES_TIME, series.started, place)
        if series.description is not None:
            described.append(encoder.text_item(Concept.SERIES_DESCRIPTION, series.description))
        if series.number is not None:
            described.append(encoder.text_item(Concept.SERIES_NUMBER, series.number))
        described.append(encoder.uid_item(Concept.SERIES_UID, series.series_instance_uid))
        described += [encoder.code_item(Concept.REGION, code) for code in series.body_sites]
        if series.body_site_text is not None:
            described.append(encoder.text_item(Concept.REGION, series.body_site_text))
        if series.laterality is not None:
            described.append(encoder.code_item(Concept.LATERALITY, series.laterality))
        described.append(encoder.number_item(Concept.INSTANCE_COUNT, len(series.instances), "instances"))
        return encoder.container(Concept.GROUP, described + [self._entry(one) for one in series.instances])

    def _entry(self, instance: Instance) -> bytes:
        encoder = self._encoder
        described: list[bytes] = []
        if instance.number is not None:
            described.append(encoder.text_item(Concept.INSTANCE_NUMBER, instance.number))
        if instance.frames is not None:
            described.append(encoder.number_item(Concept.FRAMES, instance.frames, "frames"))
        if instance.title is not None:
            described.append(encoder.code_item(Concept.KEY_OBJECT_TITLE, instance.title))
        if instance.description is not None:
            described.append(encoder.text_item(Concept.KEY_OBJECT_DESCRIPTION, instance.description))
        return joined(
            sequence(tags.REFERENCED_SOPS, [self._references[id(instance)]]),
            *self._kind(instance),
            sequence(tags.CONTENT, described) if described else b"",
        )


def _with_modality(series: Series) -> Series:
    """A group of the library has to have a modality: that of its SOP classes where none is given."""
    modality = series.modality or common_modality(one.sop_class_uid for one in series.instances)
    return replace(series, modality=Code(modality, DCM)) if isinstance(modality, str) else series
