"""Studies, series and instances of a manifest as DICOM JSON (DICOM PS3.18 annex F), each with the attributes
of its own level. What a manifest does not say is left out.
"""

from collections.abc import Iterable
from typing import Any, Final

from gateway.dicom.coding_schemes import designator_of
from gateway.dicom.search_attributes import ATTRIBUTES, Attribute
from gateway.model.imaging import ImagingRequest, Instance, IssuedId, Issuer, LocalTime, Series, Study
from gateway.model.metadata import Code, Person
from gateway.model.oids import is_oid

Item = dict[str, dict[str, Any]]
"""A dataset: `{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}`."""

_LONGEST_CODE: Final = 16
_DELIMITERS: Final = {ord(c): " " for c in "^=\\"}
_UTF8: Final = "ISO_IR 192"


def study_item(study: Study, patient: IssuedId | None, request: ImagingRequest | None) -> Item:
    """A study as one of its requests sees it: `request` gives the accession number.

    `patient` is the identifier by which the patient is searched; those in the manifest are other ones.
    """
    started = study.started
    issued = request.accession if request is not None else None
    item = _dataset(
        SpecificCharacterSet=[_UTF8],
        **_moment("Study", started),
        TimezoneOffsetFromUTC=[started.offset] if started is not None else (),
        AccessionNumber=[issued.value] if issued is not None else (),
        IssuerOfAccessionNumberSequence=_issuer(issued),
        ModalitiesInStudy=[code.code for code in study.all_modalities],
        SOPClassesInStudy=dict.fromkeys(i.sop_class_uid for s in study.series for i in s.instances),
        AnatomicRegionsInStudyCodeSequence=map(code_item, study.regions),
        ReferringPhysicianName=_name(study.referring_physician),
        StudyDescription=[study.description],
        ProcedureCodeSequence=map(code_item, study.procedure_codes),
        PatientName=_name(
            study.patient.name,
            Ideographic=study.patient.ideographic_name,
            Phonetic=study.patient.phonetic_name,
        ),
        PatientBirthDate=[study.patient.birth_date],
        PatientSex=[study.patient.sex],
        OtherPatientIDsSequence=[_patient_id(i) for i in study.patient.ids if i != patient],
        StudyInstanceUID=[study.study_instance_uid],
        StudyID=[study.study_id],
        NumberOfStudyRelatedSeries=[len(study.series)],
        NumberOfStudyRelatedInstances=[study.instance_count],
        ReferencedRequestSequence=[request_item(each, study) for each in study.requests],
    )
    return item | (_patient_id(patient) if patient is not None else {})


def series_item(series: Series, study: Study) -> Item:
    """A series; the requests of its study are its own."""
    return _dataset(
        **_moment("Series", series.started),
        Modality=[series.modality.code if series.modality is not None else None],
        SeriesDescription=[series.description],
        AnatomicRegionSequence=map(code_item, series.body_sites),
        BodyPartExamined=[series.body_site_text],
        SeriesInstanceUID=[series.series_instance_uid],
        SeriesNumber=_integer(series.number),
        Laterality=[series.laterality.code if series.laterality is not None else None],
        NumberOfSeriesRelatedInstances=[len(series.instances)],
        RequestAttributesSequence=[request_item(each, study) for each in study.requests],
        RetrieveLocationUID=[location.uid for location in series.locations],
    )


def instance_item(instance: Instance) -> Item:
    """An instance; the concept name is the title of a Key Object Selection."""
    return _dataset(
        SOPClassUID=[instance.sop_class_uid],
        SOPInstanceUID=[instance.sop_instance_uid],
        InstanceNumber=_integer(instance.number),
        NumberOfFrames=[instance.frames],
        ConceptNameCodeSequence=[code_item(instance.title)] if instance.title is not None else (),
    )


def request_item(request: ImagingRequest, study: Study) -> Item:
    """An imaging order."""
    accession, placer, filler = request.accession, request.placer, request.filler
    return _dataset(
        "ReferencedRequestSequence",
        AccessionNumber=[accession.value if accession else None],
        IssuerOfAccessionNumberSequence=_issuer(accession),
        StudyInstanceUID=[study.study_instance_uid],
        RequestedProcedureDescription=[request.procedure_description],
        RequestedProcedureCodeSequence=map(code_item, request.procedure_codes),
        RequestedProcedureID=[request.procedure_id],
        PlacerOrderNumberImagingServiceRequest=[placer.value if placer else None],
        OrderPlacerIdentifierSequence=_issuer(placer),
        FillerOrderNumberImagingServiceRequest=[filler.value if filler else None],
        OrderFillerIdentifierSequence=_issuer(filler),
    )


def code_item(code: Code) -> Item:
    """A code (PS3.3 8.8); long ones have an attribute of their own there, which no search asks for."""
    scheme = designator_of(code.code, code.scheme)
    return _dataset(
        "ProcedureCodeSequence",
        CodeValue=[code.code if len(code.code) <= _LONGEST_CODE else None],
        CodingSchemeDesignator=[scheme],
        CodingSchemeUID=[code.scheme if is_oid(code.scheme) else None],
        CodeMeaning=[code.display],
    )


def text_values(item: Item, name: str) -> list[str]:
    """The values of an attribute as texts; a person name by each of its groups."""
    found: list[str] = []
    for value in item.get(name, {}).get("Value", ()):
        found += value.values() if isinstance(value, dict) else [str(value)]
    return found


def retrieve_url(url: str | None) -> Item:
    """Retrieve URL (0008,1190); empty for what cannot be retrieved."""
    name = ATTRIBUTES.tag("RetrieveURL")
    return {name: {"vr": "UR"} if url is None else {"vr": "UR", "Value": [url]}}


def _patient_id(issued: IssuedId) -> Item:
    issuer = issued.issuer or Issuer()
    return _dataset(
        PatientID=[issued.value],
        IssuerOfPatientID=[issuer.namespace or issuer.universal_id],
        IssuerOfPatientIDQualifiersSequence=_issuer(issued) if issuer.universal_id else (),
    )


def _issuer(issued: IssuedId | None) -> list[Item]:
    if issued is None or issued.issuer is None:
        return []
    issuer = issued.issuer
    return [
        _dataset(
            "IssuerOfAccessionNumberSequence",
            LocalNamespaceEntityID=[issuer.namespace],
            UniversalEntityID=[issuer.universal_id],
            UniversalEntityIDType=[issuer.universal_id_type if issuer.universal_id else None],
        )
    ]


def _moment(of: str, time: LocalTime | None) -> dict[str, list[str | None]]:
    return {} if time is None else {f"{of}Date": [time.date], f"{of}Time": [time.time]}


def _name(person: Person | None, **others: Person | None) -> list[dict[str, str]]:
    groups = {"Alphabetic": person, **others}
    written = {group: text for group, one in groups.items() if one is not None and (text := _components(one))}
    return [written] if written else []


def _components(person: Person) -> str:
    suffix = " ".join(part for part in (person.suffix, person.degree) if part)
    parts = (person.family, person.given, person.further_given, person.prefix, suffix)
    return "^".join((part or "").translate(_DELIMITERS) for part in parts).rstrip("^")


def _integer(text: str | None) -> list[int]:
    try:
        return [int(text)] if text else []
    except ValueError:
        # what a source wrote there instead of a number cannot stand in JSON
        return []


def _dataset(items_of: str | None = None, /, **values: Iterable[object]) -> Item:
    """Elements by keyword, in the order of tags; those without a value are left out."""
    found: dict[str, dict[str, Any]] = {}
    for keyword, given in values.items():
        attribute = _attribute(keyword, items_of)
        present = [value for value in given if value not in (None, "", {})]
        if present:
            found[attribute.name] = {"vr": attribute.vr, "Value": present}
    return dict(sorted(found.items()))


def _attribute(keyword: str, items_of: str | None) -> Attribute:
    return ATTRIBUTES.path(keyword if items_of is None else f"{items_of}.{keyword}")[-1]
