"""What a manifest of a study says about itself, for a publish that brings nothing else (ITI-106; RAD-68 of
XDS-I.b; IHE RAD MADO 0.1.0 appendix A).
"""

from datetime import tzinfo
from typing import Final

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_times import Zones, utc_dtm
from gateway.fhir.manifest_metadata import (
    IMAGING_STUDY,
    ManifestFormat,
    authors_of_manifest,
    event_codes_of,
    reference_ids_of,
    source_patient_id,
    source_patient_info,
)
from gateway.fhir.report_metadata import MEDICAL_IMAGING
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Manifest
from gateway.model.metadata import DocumentEntry
from gateway.model.publishing import MetadataTables, SelfDescription

_PROFILES: Final = frozenset(
    {imaging.PROFILE_MADO_BUNDLE, imaging.PROFILE_MADO_COMPOSITION, imaging.PROFILE_MADO_STUDY}
)


def is_manifest_bundle(bundle: Json) -> bool:
    """True where a Bundle, its Composition or its ImagingStudy claims the profile that manifests have."""
    listed = bundle.get("entry")
    resources = (entry.get("resource") for entry in (listed if isinstance(listed, list) else ()))
    return any(_claims(resource) for resource in (bundle, *resources))


def describe_manifest(
    manifest: Manifest, form: ManifestFormat, tables: MetadataTables, zone: tzinfo | None
) -> SelfDescription:
    """The metadata that follow from a manifest; `zone` is that of times without offset.

    Its class is that of `tables` for its type, else the category Medical-Imaging of the European guides.
    """
    by_type = tables.class_codes.get((IMAGING_STUDY.code, IMAGING_STUDY.scheme))
    study, zones = manifest.study, Zones.of(manifest, zone)
    entry = DocumentEntry(
        entry_uuid="",
        unique_id=manifest.sop_instance_uid,
        mime_type=form.value,
        format_code=form.code,
        type_code=IMAGING_STUDY,
        class_code=by_type or MEDICAL_IMAGING,
        event_codes=event_codes_of(manifest),
        reference_ids=reference_ids_of(manifest),
        authors=authors_of_manifest(manifest),
        title=study.description,
        creation_time=utc_dtm(manifest.created, zones),
        service_start_time=utc_dtm(study.started, zones),
        source_patient_id=source_patient_id(study.patient),
        source_patient_info=source_patient_info(study.patient),
    )
    return SelfDescription(entry=entry)


def _claims(resource: object) -> bool:
    meta = resource.get("meta") if isinstance(resource, dict) else None
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    return isinstance(profiles, list) and not _PROFILES.isdisjoint(p for p in profiles if isinstance(p, str))
