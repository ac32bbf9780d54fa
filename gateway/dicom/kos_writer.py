"""A manifest as MADO key object document: TID 2010 with an Image Library, codes of DICOM or of the trial.

DICOM PS3.3 A.35.4, PS3.16 TID 2010 and 1600; IHE RAD MADO (DICOM KOS manifest). The same manifest gives the
same bytes. Explicit VR little endian, UTF-8, defined lengths.
"""

import uuid
from enum import StrEnum
from struct import pack
from typing import Final

from msgspec import Struct

from gateway.dicom import tags
from gateway.dicom.concepts import MANIFEST_TITLE, Concept, Dialect
from gateway.dicom.encoding import element, in_order, joined, plain, sequence
from gateway.dicom.file_format import EXPLICIT_LITTLE_ENDIAN, MAGIC, PREAMBLE
from gateway.dicom.findings import Findings
from gateway.dicom.kos_encoder import KosEncoder
from gateway.dicom.kos_study_encoder import StudyEncoder
from gateway.dicom.losses import KOS_LOSSES
from gateway.dicom.sop_classes import KEY_OBJECT_SELECTION
from gateway.model.imaging import Finding, ImagingPatient, ImagingRequest, IssuedId, Manifest, Study

IMPLEMENTATION_CLASS: Final = "2.25.90492808181345918457890204732543739203"
IMPLEMENTATION_VERSION: Final = "MHD_XDS_GATEWAY"
_SEXES: Final = frozenset("MFO")


class ViewerElement(StrEnum):
    """Where the viewer's URL is written: Display URI, the private element of the trial, or both."""

    STANDARD = "standard"
    PRIVATE = "private"
    BOTH = "both"


class WrittenKos(Struct, frozen=True):
    """A document and what it could not carry of its manifest, by the rules of `KOS_LOSSES`."""

    content: bytes
    losses: tuple[Finding, ...] = ()


def write_kos(
    manifest: Manifest, *, dialect: Dialect | str = Dialect.DCM, viewer: ViewerElement | None = None
) -> bytes:
    """The DICOM file of a manifest. `viewer` is by default what suits the dialect."""
    return encode_kos(manifest, dialect=dialect, viewer=viewer).content


def encode_kos(
    manifest: Manifest, *, dialect: Dialect | str = Dialect.DCM, viewer: ViewerElement | None = None
) -> WrittenKos:
    """As `write_kos`, with what a key object document cannot carry."""
    dialect = Dialect(dialect)
    if viewer is None:
        viewer = ViewerElement.PRIVATE if dialect is Dialect.TI else ViewerElement.STANDARD
    losses = Findings(KOS_LOSSES)
    offset = _offset(manifest)
    encoder = KosEncoder(losses, dialect, offset)
    elements = [
        *_identification(manifest, encoder),
        *_patient(manifest.study.patient, encoder),
        *_study(manifest.study, encoder),
        *StudyEncoder(manifest.study, encoder, viewer).elements(),
        encoder.present(tags.TIMEZONE_OFFSET, offset),
        encoder.coding_schemes(),
    ]
    head = b"\0" * PREAMBLE + MAGIC + _file_meta(manifest.sop_instance_uid)
    return WrittenKos(head + in_order(elements), losses.all())


def _offset(manifest: Manifest) -> str | None:
    """The zone of the document: its own, else that of the study's times.

    The document has none where one of those times has none: to be wrong about the study is worse than to
    lose the zone of the document's creation.
    """
    if manifest.utc_offset is not None:
        return manifest.utc_offset
    study = manifest.study
    moments = [study.started, *(series.started for series in study.series)]
    timed = [moment for moment in moments if moment is not None and moment.time is not None]
    if not timed and manifest.created is not None:
        timed = [manifest.created]
    offsets = [moment.offset for moment in timed]
    return offsets[0] if offsets and None not in offsets else None


def _file_meta(instance: str) -> bytes:
    body = joined(
        element(0x00020001, b"OB", b"\0\1"),
        element(0x00020002, b"UI", KEY_OBJECT_SELECTION.encode()),
        element(0x00020003, b"UI", instance.encode("ascii", "replace")),
        element(0x00020010, b"UI", EXPLICIT_LITTLE_ENDIAN.encode()),
        element(0x00020012, b"UI", IMPLEMENTATION_CLASS.encode()),
        element(0x00020013, b"SH", IMPLEMENTATION_VERSION.encode()),
    )
    return element(0x00020000, b"UL", pack("<I", len(body))) + body


def _identification(manifest: Manifest, encoder: KosEncoder) -> list[bytes]:
    """SOP Common, Key Object Document Series, Equipment and Key Object Document modules."""
    series_uid = manifest.series_instance_uid
    if series_uid is None:
        encoder.report("series-uid-derived", "SeriesInstanceUID")
        series_uid = f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, manifest.sop_instance_uid).int}"
    if manifest.title is not None and manifest.title.code != MANIFEST_TITLE:
        encoder.report("title-replaced", "ConceptNameCodeSequence")
    created = manifest.created
    if created is None:
        encoder.report("created-missing", "ContentDate")
    else:
        created = encoder.in_zone(created, "ContentDate")
    return [
        plain(tags.SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
        plain(tags.SOP_CLASS_UID, KEY_OBJECT_SELECTION),
        encoder.text(tags.SOP_INSTANCE_UID, manifest.sop_instance_uid),
        plain(tags.MODALITY, "KO"),
        encoder.text(tags.SERIES_INSTANCE_UID, series_uid),
        plain(tags.SERIES_NUMBER, "1"),
        plain(tags.INSTANCE_NUMBER, "1"),
        sequence(tags.REFERENCED_PERFORMED_STEPS, ()),
        encoder.text(tags.MANUFACTURER, manifest.creator.manufacturer),
        encoder.organization(tags.INSTITUTION_NAME, manifest.creator.organization),
        encoder.text(tags.CONTENT_DATE, created.date if created else None),
        encoder.text(tags.CONTENT_TIME, created.time if created else None),
        plain(tags.VALUE_TYPE, "CONTAINER"),
        encoder.concept(Concept.MANIFEST),
        plain(tags.CONTINUITY_OF_CONTENT, "SEPARATE"),
        sequence(
            tags.CONTENT_TEMPLATE,
            [joined(plain(tags.MAPPING_RESOURCE, "DCMR"), plain(tags.TEMPLATE_IDENTIFIER, "2010"))],
        ),
    ]


def _patient(patient: ImagingPatient, encoder: KosEncoder) -> list[bytes]:
    primary = _patient_id(patient.ids[0], encoder) if patient.ids else [encoder.text(tags.PATIENT_ID, None)]
    sex = patient.sex if patient.sex in _SEXES else None
    if sex != patient.sex:
        encoder.report("sex-left-out", "PatientSex")
    others = [
        in_order([*_patient_id(one, encoder), plain(tags.TYPE_OF_PATIENT_ID, "TEXT")]) for one in patient.ids
    ]
    return [
        *primary,
        encoder.person(tags.PATIENT_NAME, patient.name, patient.ideographic_name, patient.phonetic_name),
        encoder.text(tags.PATIENT_BIRTH_DATE, patient.birth_date),
        encoder.text(tags.PATIENT_SEX, sex),
        sequence(tags.OTHER_PATIENT_IDS, others) if others else b"",
    ]


def _patient_id(identifier: IssuedId, encoder: KosEncoder) -> list[bytes]:
    issuer = identifier.issuer
    return [
        encoder.text(tags.PATIENT_ID, identifier.value),
        encoder.present(tags.ISSUER_OF_PATIENT_ID, issuer.namespace if issuer else None),
        encoder.issuer(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS, issuer, namespace=False),
    ]


def _study(study: Study, encoder: KosEncoder) -> list[bytes]:
    """General Study module and the requests of the Key Object Document module."""
    started = encoder.in_zone(study.started, "StudyDate") if study.started is not None else None
    accessions = dict.fromkeys(r.accession for r in study.requests if r.accession is not None)
    accession = next(iter(accessions)) if len(accessions) == 1 else None
    requests = study.requests
    if not requests:
        encoder.report("request-missing", "ReferencedRequestSequence")
        requests = (ImagingRequest(),)
    return [
        encoder.text(tags.STUDY_INSTANCE_UID, study.study_instance_uid),
        encoder.text(tags.STUDY_DATE, started.date if started else None),
        encoder.text(tags.STUDY_TIME, started.time if started else None),
        encoder.text(tags.STUDY_ID, study.study_id),
        encoder.present(tags.STUDY_DESCRIPTION, study.description),
        encoder.person(tags.REFERRING_PHYSICIAN, study.referring_physician),
        encoder.text(tags.ACCESSION_NUMBER, accession.value if accession else None),
        encoder.issuer(tags.ISSUER_OF_ACCESSION_NUMBER, accession.issuer if accession else None),
        sequence(
            tags.REFERENCED_REQUESTS, [_request(r, study.study_instance_uid, encoder) for r in requests]
        ),
    ]


def _request(request: ImagingRequest, study_uid: str, encoder: KosEncoder) -> bytes:
    return in_order(
        [
            encoder.text(tags.STUDY_INSTANCE_UID, study_uid),
            sequence(tags.REFERENCED_STUDIES, ()),
            *_issued(tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER, request.accession, encoder),
            *_issued(tags.PLACER_ORDER_NUMBER, tags.ORDER_PLACER, request.placer, encoder),
            *_issued(tags.FILLER_ORDER_NUMBER, tags.ORDER_FILLER, request.filler, encoder),
            encoder.text(tags.REQUESTED_PROCEDURE_ID, request.procedure_id),
            encoder.text(tags.REQUESTED_PROCEDURE_DESCRIPTION, request.procedure_description),
            sequence(
                tags.REQUESTED_PROCEDURE_CODES, [encoder.code(code) for code in request.procedure_codes]
            ),
        ]
    )


def _issued(number: int, issuer: int, identifier: IssuedId | None, encoder: KosEncoder) -> list[bytes]:
    if identifier is None:
        return [encoder.text(number, None)]
    return [encoder.text(number, identifier.value), encoder.issuer(issuer, identifier.issuer)]
