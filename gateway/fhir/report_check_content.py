"""Checks of what a report carries beside Composition and DiagnosticReport: studies, orders, procedures,
observations, devices and key images (HL7 Europe Imaging Report 1.0.0-ballot, the profiles of these types).

A study, and an order that something is based on, has to keep its profile; other resources have to keep the
profile that they claim.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.fhir.manifest_read_values import has_type
from gateway.fhir.report_check_values import (
    any_coded,
    check_accession,
    check_orders,
    check_prefix,
    check_study_uid,
    coded,
    has,
    require,
)
from gateway.fhir.report_graph import Entry, ReportGraph
from gateway.fhir.report_terms import BASES, ReleaseTerms, claims, section_of
from gateway.fhir.tolerant import Element
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease

_MISSING_TERMINOLOGY: Final = tuple(
    base.replace("StructureDefinition/", "CodeSystem/codesystem-missing-dicom-terminology") for base in BASES
)
_THUMBNAIL: Final = "http://hl7.org/fhir/StructureDefinition/documentreference-thumbnail"


@dataclass(frozen=True, slots=True)
class _Checked:
    """A resource with what its check may need."""

    graph: ReportGraph
    resource: Element
    terms: ReleaseTerms


def check_content(graph: ReportGraph, terms: ReleaseTerms) -> None:
    """Report everything in which the entries of a report deviate from their profiles."""
    orders, procedures = _in_sections(graph, "order"), _in_sections(graph, "procedure")
    orders |= _based_on(graph)
    for entry in graph.entries:
        checked = _Checked(graph, entry.resource, terms)
        always = _BY_TYPE.get(entry.kind)
        if always is not None:
            always(checked)
        if entry.kind == "ServiceRequest" and (
            entry.number in orders or claims(entry.resource.value, "ServiceRequestOrderEuImaging")
        ):
            _check_order(checked)
        if entry.kind == "Procedure" and (
            entry.number in procedures or claims(entry.resource.value, "ProcedureEuImaging")
        ):
            _check_procedure(checked)
        for profile, check in _BY_PROFILE.items():
            if claims(entry.resource.value, profile):
                check(checked)


def _in_sections(graph: ReportGraph, name: str) -> set[int]:
    """Entries that a section of the Composition refers to."""
    composition = graph.first("Composition")
    if composition is None:
        return set()
    owner = composition.resource
    referred = [
        graph.target(entry, owner)
        for section in owner.many("section")
        if section_of(section) == name
        for entry in section.many("entry")
    ]
    return {entry.number for entry in graph.entries for t in referred if _is(entry, t)}


def _based_on(graph: ReportGraph) -> set[int]:
    """Entries that the report or one of its studies is based on."""
    return {
        link.target.number
        for link in graph.links
        if link.target is not None and ".basedOn" in link.path and _is_based(graph, link.source)
    }


def _is_based(graph: ReportGraph, number: int) -> bool:
    return any(
        entry.number == number and entry.kind in ("DiagnosticReport", "ImagingStudy")
        for entry in graph.entries
    )


def _is(entry: Entry, target: Element | None) -> bool:
    return target is not None and entry.resource.value is target.value


# --- people -----------------------------------------------------------------------------------------------
def _check_patient(checked: _Checked) -> None:
    require(checked.resource, (("name", "patient-name"), ("birthDate", "patient-birth-date")))


def _check_practitioner(checked: _Checked) -> None:
    require(checked.resource, (("name", "practitioner-name"),))


def _check_organization(checked: _Checked) -> None:
    require(checked.resource, (("name", "organization-name"),))


# --- study, order, procedure ------------------------------------------------------------------------------
def _check_study(checked: _Checked) -> None:
    study = checked.resource
    require(study, (("status", "study-status"), ("subject", "study-subject")))
    identifiers = list(study.many("identifier"))
    named = [i for i in identifiers if i.value.get("system") == codes.DICOM_UID_SYSTEM or _is_study_uid(i)]
    if not named:
        study.report("study-uid-missing", "identifier")
    for identifier in named[:1]:
        check_study_uid(identifier)
    for identifier in named[1:]:
        check_prefix(identifier)
        if _is_study_uid(identifier):
            identifier.report("study-uid-repeated")
    check_orders(study)
    if has(study, "endpoint"):
        study.report("study-endpoint", "endpoint")
    for series in study.many("series"):
        require(series, (("uid", "series-uid"), ("modality", "series-modality")))
        if has(series, "endpoint"):
            series.report("study-endpoint", "endpoint")
        for instance in series.many("instance"):
            require(instance, (("uid", "instance-uid"), ("sopClass", "instance-sop-class")))


def _is_study_uid(identifier: Element) -> bool:
    return has_type(identifier, codes.DICOM_CODE_SYSTEM, imaging.STUDY_INSTANCE_UID)


def _check_order(checked: _Checked) -> None:
    order = checked.resource
    if not any_coded(order, "category", imaging.SNOMED_SYSTEM, imaging.SNOMED_IMAGING):
        order.report("order-category", "category")
    require(order, (("status", "order-status"), ("intent", "order-intent"), ("subject", "order-subject")))
    for identifier in order.many("identifier"):
        if has_type(identifier, codes.V2_IDENTIFIER_TYPE, imaging.V2_ACCESSION):
            check_accession(identifier)


def _check_procedure(checked: _Checked) -> None:
    procedure = checked.resource
    require(
        procedure,
        (("status", "procedure-status"), ("code", "procedure-code"), ("subject", "procedure-subject")),
    )
    for performer in procedure.many("performer"):
        require(performer, (("function", "procedure-function"),))


# --- observations and devices -----------------------------------------------------------------------------
def _check_observation(checked: _Checked) -> None:
    require(checked.resource, (("status", "observation-status"), ("code", "observation-code")))


def _check_finding(checked: _Checked) -> None:
    check_orders(checked.resource)
    for identifier in checked.resource.many("identifier"):
        if identifier.value.get("system") == codes.DICOM_UID_SYSTEM and not _is_sop_instance(identifier):
            identifier.report("observation-uid-type", "type")


def _check_dose(checked: _Checked) -> None:
    dose = checked.resource
    check_orders(dose)
    if not coded(dose.one("code"), imaging.LOINC_SYSTEM, imaging.LOINC_RADIATION_DOSE):
        dose.report("dose-code", "code")
    require(dose, (("subject", "dose-subject"), ("valueString", "dose-value")))
    targets = [checked.graph.target(reference, dose) for reference in dose.many("derivedFrom")]
    if sum(t is not None and t.value.get("resourceType") == "ImagingStudy" for t in targets) != 1:
        dose.report("dose-study", "derivedFrom")


def _check_device(checked: _Checked) -> None:
    device = checked.resource
    require(device, (("status", "device-status"),))
    if checked.terms.release is FhirRelease.R5:
        of_imaging = any_coded(device, "category", imaging.SNOMED_SYSTEM, imaging.SNOMED_IMAGING_DEVICE)
    else:
        extension = device.extension(imaging.EXT_DEVICE_CATEGORY)
        concept = extension.one("valueCodeableConcept") if extension is not None else None
        of_imaging = coded(concept, imaging.SNOMED_SYSTEM, imaging.SNOMED_IMAGING_DEVICE)
    if not of_imaging:
        device.report("device-category", "category")


# --- selected images --------------------------------------------------------------------------------------
def _check_selection(checked: _Checked) -> None:
    selection = checked.resource
    if checked.terms.release is FhirRelease.R5:
        require(selection, (("status", "selection-status"), ("code", "selection-code")))
        targets = [checked.graph.target(r, selection) for r in selection.many("derivedFrom")]
        if sum(t is not None and t.value.get("resourceType") == "ImagingStudy" for t in targets) != 1:
            selection.report("selection-study", "derivedFrom")
        return
    require(selection, (("code", "selection-code"),))
    content = selection.extension(imaging.EXT_IMAGING_SELECTION)
    if content is None:
        selection.report("selection-content", "extension")
    elif content.extension("status") is None:
        content.report("selection-status")


def _check_sr_instance(checked: _Checked) -> None:
    _check_selection(checked)
    selection = checked.resource
    named = [i for i in selection.many("identifier") if _is_sop_instance(i) and i.text("value")]
    if len(named) != 1 or named[0].value.get("system") != codes.DICOM_UID_SYSTEM:
        selection.report("sr-instance-identifier", "identifier")
    native = checked.terms.release is FhirRelease.R5
    content = selection if native else selection.extension(imaging.EXT_IMAGING_SELECTION)
    if content is None:
        return
    for name, rule in (("studyUid", "sr-instance-study"), ("seriesUid", "sr-instance-series")):
        if not (has(content, name) if native else content.extension(name) is not None):
            content.report(rule)
    instances = list(content.many("instance") if native else content.extensions("instance"))
    identified = [i for i in instances if (has(i, "uid") if native else i.extension("uid") is not None)]
    if len(instances) != 1 or not identified:
        content.report("sr-instance-instance")


def _is_sop_instance(identifier: Element) -> bool:
    return any(has_type(identifier, system, imaging.SOP_INSTANCE_UID) for system in _MISSING_TERMINOLOGY)


def _check_key_image(checked: _Checked) -> None:
    image = checked.resource
    if not any_coded(image, "category", imaging.LOINC_SYSTEM, imaging.LOINC_KEY_IMAGE):
        image.report("key-image-category", "category")
    require(image, (("subject", "key-image-subject"),))
    if checked.terms.release is FhirRelease.R5:
        modalities = len(list(image.many("modality")))
    else:
        modalities = len(list(image.extensions(imaging.EXT_DOCUMENT_MODALITY)))
    if modalities != 1:
        image.report("key-image-modality", "modality")
    whole = [content for content in image.many("content") if _is_whole(content)]
    attachments = [a for content in whole if (a := content.one("attachment")) is not None]
    if len(whole) != 1 or not all(has(attachment, "url") for attachment in attachments):
        image.report("key-image-content", "content")


def _is_whole(content: Element) -> bool:
    mark = content.extension(_THUMBNAIL)
    return mark is not None and mark.value.get("valueBoolean") is False


_BY_TYPE: Final[Mapping[str, Callable[[_Checked], None]]] = {
    "Patient": _check_patient,
    "Practitioner": _check_practitioner,
    "Organization": _check_organization,
    "ImagingStudy": _check_study,
    "Observation": _check_observation,
}
_BY_PROFILE: Final[Mapping[str, Callable[[_Checked], None]]] = {
    "ObservationFindingEuImaging": _check_finding,
    "ObservationRadiationDoseEuImaging": _check_dose,
    "DeviceEuImaging": _check_device,
    "ImagingSelectionEuImaging": _check_selection,
    "ImagingSelectionKeyImageEuImaging": _check_selection,
    "SrInstanceImagingSelectionEuImaging": _check_sr_instance,
    "DocumentReferenceKeyImageEuImaging": _check_key_image,
}
