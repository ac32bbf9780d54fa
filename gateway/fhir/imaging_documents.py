"""DocumentReference of imaging documents: what MADO and HL7 Europe have beyond IHE MHD, and the twin of a
manifest in the other format (IHE RAD MADO 0.1.0 MadoDicomKosDocumentReference, MadoFhirDocumentReference;
HL7 Europe Imaging Report 1.0.0-ballot; EU Health Data API 1.0.0-ballot).

Documents that are not of imaging are not touched by anything here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

import orjson
from msgspec.structs import replace

from gateway.fhir.datatypes import Json, write_date_time
from gateway.fhir.document_reference import (
    ImagingView,
    WriteContext,
    document_reference_json,
    resource_id,
    write_document_reference,
)
from gateway.fhir.imaging_elements import ACCESSION_TYPE, PLACER_TYPE, STUDY_UID_TYPE, coding, made_id, put
from gateway.fhir.manifest_metadata import ManifestFormat
from gateway.fhir.people import write_organization
from gateway.fhir.reference_ids import write_reference_id
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import (
    Association,
    AvailabilityStatus,
    Code,
    DocumentEntry,
    Original,
)
from gateway.model.object_ids import unmarked

MODALITY: Final = "modality"
REGION: Final = "region"
"""What a search may ask of eventCodeList, see `needs_manifest`."""

_TWIN: Final = 0x4B8DC03E_51A7_0E62_1D94_7FA13B06E8D5
"""What tells a twin's entryUUID from its entry's; version and variant of the UUID stay."""
_CUSTODIAN: Final = "custodian"
_MEDICAL_IMAGING: Final = Code(imaging.MEDICAL_IMAGING, imaging.EU_PRIORITY_CATEGORIES)
_PROFILES: Final = {
    ManifestFormat.KOS: imaging.PROFILE_MADO_KOS_DOCUMENT,
    ManifestFormat.FHIR: imaging.PROFILE_MADO_FHIR_DOCUMENT,
}
_TYPES: Final = {
    codes.REFERENCE_STUDY: STUDY_UID_TYPE,
    codes.REFERENCE_ACCESSION: ACCESSION_TYPE,
    codes.REFERENCE_ORDER: PLACER_TYPE,
}
_REPORT_TYPES: Final = frozenset({imaging.LOINC_IMAGING_REPORT})


# --- what a document is -----------------------------------------------------------------------------------
def manifest_format(entry: DocumentEntry) -> ManifestFormat | None:
    """The format of a manifest; None for any other document.

    formatCode tells, or the type of older guides together with DICOM; a title never does.
    """
    code = entry.format_code.code if entry.format_code is not None else None
    for form in ManifestFormat:
        if code == form.code.code:
            return form
    kind = entry.type_code
    is_study = kind is not None and kind.code in (imaging.LOINC_IMAGING_STUDY, imaging.LEGACY_LOINC_MANIFEST)
    is_dicom = entry.mime_type.partition(";")[0].strip().lower() == imaging.MIME_DICOM
    return ManifestFormat.KOS if is_study and is_dicom and code is None else None


def is_imaging(entry: DocumentEntry) -> bool:
    """True for manifests and imaging reports."""
    kind = entry.type_code
    return manifest_format(entry) is not None or (
        kind is not None and kind.code in _REPORT_TYPES and _scheme(kind) == imaging.LOINC
    )


def modality_codes(entry: DocumentEntry) -> tuple[Code, ...]:
    """Modalities among the event codes: those that DICOM defines."""
    return tuple(code for code in entry.event_codes if _scheme(code) == imaging.DCM)


def region_codes(entry: DocumentEntry) -> tuple[Code, ...]:
    """Anatomical regions among the event codes: those of the guides' value sets."""
    return tuple(
        code
        for code in entry.event_codes
        if _scheme(code) == imaging.SNOMED and code.code in imaging.ALL_REGIONS
    )


def shown_categories(entry: DocumentEntry) -> tuple[Code, ...]:
    """What DocumentReference.category shows: for imaging the EU's category and the type besides classCode."""
    if not is_imaging(entry):
        return () if entry.class_code is None else (entry.class_code,)
    shown = (_MEDICAL_IMAGING, entry.type_code, entry.class_code)
    return tuple(dict.fromkeys(code for code in shown if code is not None))


def needs_manifest(entry: DocumentEntry, asked: Collection[str]) -> bool:
    """True where the entry of a manifest lacks what a search asks for, so that the manifest has to be read.

    `asked` are MODALITY, REGION and types of referenceIdList. Entries of older sources have none of them.
    """
    if not asked or manifest_format(entry) is None:
        return False
    held = {reference.type for reference in entry.reference_ids}
    if modality_codes(entry):
        held.add(MODALITY)
    if region_codes(entry):
        held.add(REGION)
    return not held.issuperset(asked)


def _scheme(code: Code) -> str:
    return imaging.DESIGNATORS.get(code.scheme, code.scheme)


# --- twins ------------------------------------------------------------------------------------------------
def twin_of(entry: DocumentEntry, form: ManifestFormat) -> DocumentEntry:
    """The same manifest in the other format, which the gateway makes when it is retrieved.

    It shares uniqueId and everything clinical with its entry, has an entryUUID of its own (`twin_uuid`), and
    neither hash nor size, which are known when it is made. What it has of a lasting id is that of the entry,
    see `gateway.fhir.document_ids`.
    """
    return replace(
        entry,
        entry_uuid=twin_uuid(entry.entry_uuid),
        logical_id=entry.logical_id or entry.entry_uuid,
        version=None,
        has_translation=False,
        made_of=Original(entry.entry_uuid, entry.mime_type, entry.hash, entry.size),
        mime_type=form.value,
        format_code=form.code,
        hash=None,
        size=None,
        uri=None,
    )


def twin_uuid(entry_uuid: str) -> str:
    """entryUUID of the twin of an entry, and of the entry of a twin: either gives the other.

    So a twin is found by its entryUUID without a table, and versions of one document have different twins.
    An entryUUID that is no UUID gives one that leads nowhere back.
    """
    bare, mark = unmarked(entry_uuid)
    prefix, found, digits = bare.lower().rpartition("urn:uuid:")
    try:
        number = UUID(digits) if found and not prefix else None
    except ValueError:
        number = None
    made = made_id(entry_uuid) if number is None else UUID(int=number.int ^ _TWIN)
    return f"urn:uuid:{made}.{mark}" if mark else f"urn:uuid:{made}"


def with_twins(
    entries: Iterable[DocumentEntry],
    relations: Iterable[Association] = (),
    beside: Iterable[DocumentEntry] = (),
) -> tuple[DocumentEntry, ...]:
    """Entries with a twin behind each manifest that is not registered in both formats already.

    Two entries are one manifest in two formats where an association transforms one into the other, or else
    where they name the same study in the same community; none is doubled then. `beside` are registered
    manifests that count for this and are not shown.
    """
    held = tuple(entries)
    counted = (*held, *beside)
    forms = {e.entry_uuid: form for e in counted if (form := manifest_format(e)) is not None}
    if not forms:
        return held
    joined = _joined(relations, forms)
    known = {(forms[e.entry_uuid], key) for e in counted if e.entry_uuid in forms for key in _study_keys(e)}
    shown: list[DocumentEntry] = []
    for entry in held:
        form = forms.get(entry.entry_uuid)
        other = ManifestFormat.FHIR if form is ManifestFormat.KOS else ManifestFormat.KOS
        if (
            form is None
            or entry.entry_uuid in joined
            or any((other, key) in known for key in _study_keys(entry))
        ):
            shown.append(entry)
        else:
            shown += (replace(entry, has_translation=True), twin_of(entry, other))
    return tuple(shown)


def other_twin(entry: DocumentEntry) -> DocumentEntry | None:
    """The translation of an entry that `with_twins` has marked."""
    form = manifest_format(entry)
    if form is None or not entry.has_translation:
        return None
    return twin_of(entry, ManifestFormat.FHIR if form is ManifestFormat.KOS else ManifestFormat.KOS)


def _joined(relations: Iterable[Association], forms: Mapping[str, ManifestFormat]) -> set[str]:
    """entryUUIDs of manifests of which one transforms the other into its own format."""
    return {
        uuid
        for relation in relations
        if relation.type in (codes.XFRM, codes.XFRM_RPLC)
        and relation.status is AvailabilityStatus.APPROVED
        and {forms.get(relation.source), forms.get(relation.target)} == set(ManifestFormat)
        for uuid in (relation.source, relation.target)
    }


def is_paired_by_study(entry: DocumentEntry) -> bool:
    """True where the entry names its study, by which its other format is known."""
    return bool(_studies(entry))


def _study_keys(entry: DocumentEntry) -> Iterator[tuple[str, str, AvailabilityStatus]]:
    return ((entry.home_community_id or "", uid, entry.status) for uid in _studies(entry))


def _studies(entry: DocumentEntry) -> set[str]:
    return {r.id for r in entry.reference_ids if r.type == codes.REFERENCE_STUDY}


# --- writing ----------------------------------------------------------------------------------------------
def write_imaging_document_reference(
    entry: DocumentEntry,
    context: WriteContext,
    relations: Iterable[Association] = (),
) -> Json:
    """DocumentReference of an imaging document; that of any other document as IHE MHD has it."""
    resource = write_document_reference(entry, context, tuple(relations))
    if not is_imaging(entry):
        return resource
    _write_twin(resource, entry)
    shown = context.imaging
    form, terminology = manifest_format(entry), context.terminology
    extensions = [*resource.pop("extension", ()), *_extensions(entry, form, shown, terminology)]
    put(resource, "extension", extensions)
    resource["category"] = [_category(entry, terminology)]
    date = write_date_time(entry.creation_time)
    if date and "T" in date:
        resource["date"] = date
    _write_custodian(resource, entry, shown, terminology)
    _write_related(resource, entry, terminology)
    if form is not None:
        _write_manifest(resource, entry, form)
    elif entry.format_code is not None and entry.format_code.code in imaging.EU_REPORT_BUNDLES:
        _write_report(resource, entry.format_code.code)
    return resource


def imaging_document_json(
    entry: DocumentEntry, context: WriteContext, relations: Sequence[Association] = ()
) -> bytes:
    """The same as JSON text, for any document: what is not of imaging goes the fast way."""
    if not is_imaging(entry):
        return document_reference_json(entry, context, relations)
    return orjson.dumps(write_imaging_document_reference(entry, context, relations))


def _write_twin(resource: Json, entry: DocumentEntry) -> None:
    """Transforms in both directions, as MADO shows a manifest in two formats."""
    if entry.made_of is not None:
        other: str = resource_id(replace(entry, made_of=None))
    elif (twin := other_twin(entry)) is not None:
        other = resource_id(twin)
    else:
        return
    relation = {"code": "transforms", "target": {"reference": f"DocumentReference/{other}"}}
    resource["relatesTo"] = [*resource.get("relatesTo", ()), relation]


def _extensions(
    entry: DocumentEntry,
    form: ManifestFormat | None,
    shown: ImagingView,
    terminology: Terminology,
) -> Iterator[Json]:
    modalities = [coding(_under_oid(code), terminology) for code in modality_codes(entry)]
    groups = [modalities] if shown.one_modality else [[modality] for modality in modalities]
    for group in groups if modalities else ():
        yield {"url": imaging.EXT_DOCUMENT_MODALITY, "valueCodeableConcept": {"coding": group}}
    spine = imaging.SPINE_EU if form is None else imaging.SPINE_MADO
    for code in region_codes(entry):
        known = spine if code.code in imaging.SPINE else code.code
        region = {"coding": [coding(Code(known, imaging.SNOMED, code.display), terminology)]}
        concept = {"url": "concept", "valueCodeableConcept": region}
        yield {"url": imaging.EXT_DOCUMENT_BODY_SITE, "extension": [concept]}


def _under_oid(code: Code) -> Code:
    return replace(code, scheme=_scheme(code))


def _category(entry: DocumentEntry, terminology: Terminology) -> Json:
    """Medical-Imaging first, as the EU asks, then the type, as its narrative queries do, then classCode."""
    codings: list[Json] = []
    for code in shown_categories(entry):
        written = coding(code, terminology)
        if all(_named(written) != _named(known) for known in codings):
            codings.append(written)
    return {"coding": codings}


def _named(written: Json) -> tuple[object, object]:
    return written.get("system"), written.get("code")


def _write_custodian(
    resource: Json, entry: DocumentEntry, shown: ImagingView, terminology: Terminology
) -> None:
    institutions = (i for author in entry.authors for i in author.institutions)
    organization = next(institutions, shown.custodians.get(entry.home_community_id))
    if organization is None:
        return
    contained = write_organization(organization, (), _CUSTODIAN, terminology)
    resource["contained"] = [*resource.get("contained", ()), contained]
    resource["custodian"] = {"reference": f"#{_CUSTODIAN}"}


def _write_related(resource: Json, entry: DocumentEntry, terminology: Terminology) -> None:
    """context.related with the types of identifiers that imaging profiles demand."""
    references = [r for r in entry.reference_ids if r.type != codes.REFERENCE_ENCOUNTER]
    related = []
    for reference in references:
        identifier = write_reference_id(reference, terminology)
        kind = _TYPES.get(reference.type)
        if kind is not None:
            urn = {"system": codes.URI_SYSTEM, "code": reference.type}
            identifier = {**identifier, "type": {"coding": [urn, *kind["coding"]]}}
        related.append({"identifier": identifier})
    if related:
        resource.setdefault("context", {})["related"] = related


def _write_manifest(resource: Json, entry: DocumentEntry, form: ManifestFormat) -> None:
    if _keeps_profile(resource, entry):
        meta = resource.setdefault("meta", {})
        meta["profile"] = [*meta.get("profile", ()), _PROFILES[form]]
    if form is ManifestFormat.FHIR:
        inner = {"url": "value[x]", "valueCanonical": imaging.PROFILE_MADO_BUNDLE}
        _write_content_extension(
            resource, {"url": imaging.EXT_DOCUMENT_CONTENT_PROFILE, "extension": [inner]}
        )


def _write_report(resource: Json, bundle: str) -> None:
    """The profile of the Bundle, and that of DocumentReference where the entry has all that it demands.

    A report of several modalities or regions has more than the profile allows, and is shown without it.
    """
    _write_content_extension(resource, {"url": imaging.EXT_EU_CONTENT_PROFILE, "valueCanonical": bundle})
    urls = [extension.get("url") for extension in resource.get("extension", ())]
    one_each = (
        urls.count(imaging.EXT_DOCUMENT_MODALITY) == 1 and urls.count(imaging.EXT_DOCUMENT_BODY_SITE) < 2
    )
    if one_each and {"type", "subject", "date", "custodian"} <= resource.keys():
        meta = resource.setdefault("meta", {})
        meta["profile"] = [*meta.get("profile", ()), imaging.PROFILE_EU_REPORT_DOCUMENT]


def _write_content_extension(resource: Json, extension: Json) -> None:
    (content,) = resource["content"]
    resource["content"] = [{"extension": [extension], **content}]


def _keeps_profile(resource: Json, entry: DocumentEntry) -> bool:
    """True where the entry has all that the profiles of MADO demand; one of an older source may not."""
    clinical, (content,) = resource.get("context", {}), resource["content"]
    return (
        bool(modality_codes(entry))
        and len(_studies(entry)) == 1
        and {"type", "subject"} <= resource.keys()
        and {"facilityType", "practiceSetting"} <= clinical.keys()
        and "start" in clinical.get("period", {})
        and {"language", "creation"} <= content["attachment"].keys()
        and "format" in content
    )
