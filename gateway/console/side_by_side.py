"""DocumentEntry beside DocumentReference, and a manifest beside ImagingStudy: attribute by attribute.

What may tell who the patient is stays hidden from viewers whose token does not grant the resource: of each
attribute that is not known to be technical the value is left out here, not in the page.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.ebxml import hl7
from gateway.model import Author, Code, DocumentEntry, Person, codes
from gateway.model.imaging import IssuedId, LocalTime, Manifest, Study


class Row(Struct, frozen=True):
    """One attribute: where it stands in the source, its values there, the FHIR element, its values there.

    `hidden` says that there may be values, which the viewer may not see.
    """

    name: str
    place: str
    values: tuple[str, ...]
    path: str
    fhir: tuple[str, ...]
    hidden: bool = False


class _Pair(Struct, frozen=True):
    name: str
    place: str
    read: Callable[[Any], Iterable[str | None]]
    paths: tuple[str, ...] = ()
    technical: bool = False
    takes: Callable[[Any], bool] = lambda element: True
    """Which of the elements at the paths are meant."""


# --- DocumentEntry and DocumentReference ------------------------------------------------------------------
def document_rows(entry: DocumentEntry, resource: Mapping[str, Any], *, show_all: bool) -> tuple[Row, ...]:
    """`resource` is the DocumentReference of the entry."""
    return (*_rows(_ENTRY, entry, resource, show_all), *_extra(entry, show_all))


def _code(code: Code | None) -> tuple[str, ...]:
    return () if code is None else (_coded(code.code, code.scheme, code.display),)


def _coded(code: str, system: str, display: str | None) -> str:
    return f"{code} · {display} · {system}" if display else f"{code} · {system}"


def _codes(codes: Sequence[Code]) -> tuple[str, ...]:
    return tuple(text for code in codes for text in _code(code))


def _one(value: object) -> tuple[str, ...]:
    return () if value is None or value == "" else (str(value),)


def _person(person: Person | None) -> tuple[str, ...]:
    return () if person is None else (hl7.write_xcn(person),)


def _author(author: Author) -> str:
    parts = [*_person(author.person), *map(hl7.write_xon, author.institutions)]
    parts += [each if isinstance(each, str) else each.code for each in (*author.roles, *author.specialties)]
    return "; ".join(parts)


def _patient_info(entry: DocumentEntry) -> Iterator[str]:
    info = entry.source_patient_info
    if info is not None:
        yield from (f"PID-3|{hl7.write_cx(each)}" for each in info.ids)
        yield from (f"PID-5|{hl7.write_xpn(each)}" for each in info.names)
        yield from (f"PID-7|{each}" for each in _one(info.birth_date))
        yield from (f"PID-8|{each}" for each in _one(info.gender))
        yield from (f"PID-11|{hl7.write_xad(each)}" for each in info.addresses)
        yield from info.other


def _extra(entry: DocumentEntry, show_all: bool) -> Iterator[Row]:
    for name, values in entry.extra:
        yield Row(name, "Slot", values if show_all else (), "", (), hidden=not show_all)


_ENTRY: Final = (
    _Pair("entryUUID", "@id", lambda e: _one(e.entry_uuid), ("identifier",), True),
    _Pair("logicalID", "@lid", lambda e: _one(e.logical_id), ("id",), True),
    _Pair("version", "VersionInfo", lambda e: _one(e.version), (), True),
    _Pair("uniqueId", "ExternalIdentifier", lambda e: _one(e.unique_id), ("masterIdentifier",), True),
    _Pair("homeCommunityId", "@home", lambda e: _one(e.home_community_id), ("extension.valueOid",), True),
    _Pair("repositoryUniqueId", "Slot", lambda e: _one(e.repository_unique_id), (), True),
    _Pair("availabilityStatus", "@status", lambda e: _one(e.status.value), ("status",), True),
    _Pair("objectType", "@objectType", lambda e: _one(e.object_type), (), True),
    _Pair("mimeType", "@mimeType", lambda e: _one(e.mime_type), ("content.attachment.contentType",), True),
    _Pair("formatCode", "Classification", lambda e: _code(e.format_code), ("content.format",), True),
    _Pair("size", "Slot", lambda e: _one(e.size), ("content.attachment.size",), True),
    _Pair("hash", "Slot", lambda e: _one(e.hash), ("content.attachment.hash",), True),
    _Pair("creationTime", "Slot", lambda e: _one(e.creation_time), ("content.attachment.creation",), True),
    _Pair("languageCode", "Slot", lambda e: _one(e.language), ("content.attachment.language",), True),
    _Pair("documentAvailability", "Slot", lambda e: _one(e.document_availability), (), True),
    _Pair("classCode", "Classification", lambda e: _code(e.class_code), ("category",), True),
    _Pair("typeCode", "Classification", lambda e: _code(e.type_code), ("type",), True),
    _Pair(
        "confidentialityCode", "Classification", lambda e: _codes(e.confidentiality), ("securityLabel",), True
    ),
    _Pair(
        "healthcareFacilityTypeCode",
        "Classification",
        lambda e: _code(e.facility_type),
        ("context.facilityType",),
        True,
    ),
    _Pair(
        "practiceSettingCode",
        "Classification",
        lambda e: _code(e.practice_setting),
        ("context.practiceSetting",),
        True,
    ),
    _Pair("eventCodeList", "Classification", lambda e: _codes(e.event_codes), ("context.event",), True),
    _Pair(
        "patientId",
        "ExternalIdentifier",
        lambda e: _one(e.patient_id and hl7.write_cx(e.patient_id)),
        ("subject",),
    ),
    _Pair(
        "sourcePatientId",
        "Slot",
        lambda e: _one(e.source_patient_id and hl7.write_cx(e.source_patient_id)),
        ("context.sourcePatientInfo",),
    ),
    _Pair("sourcePatientInfo", "Slot", _patient_info, ("context.sourcePatientInfo",)),
    _Pair("title", "Name", lambda e: _one(e.title), ("content.attachment.title",)),
    _Pair("comments", "Description", lambda e: _one(e.comments), ("description",)),
    _Pair("author", "Classification", lambda e: map(_author, e.authors), ("author",)),
    _Pair("legalAuthenticator", "Slot", lambda e: _person(e.legal_authenticator), ("authenticator",)),
    _Pair("serviceStartTime", "Slot", lambda e: _one(e.service_start_time), ("context.period.start",)),
    _Pair("serviceStopTime", "Slot", lambda e: _one(e.service_stop_time), ("context.period.end",)),
    _Pair(
        "referenceIdList",
        "Slot",
        lambda e: map(hl7.write_reference_id, e.reference_ids),
        ("context.related", "context.encounter"),
    ),
    _Pair("URI", "Slot", lambda e: _one(e.uri)),
    _Pair("(address at the gateway)", "", lambda e: (), ("content.attachment.url",)),
    _Pair("(profile)", "", lambda e: (), ("meta.profile",), True),
)


# --- manifest and ImagingStudy ----------------------------------------------------------------------------
def study_rows(manifest: Manifest, resource: Mapping[str, Any], *, show_all: bool) -> tuple[Row, ...]:
    """`resource` is the ImagingStudy of the manifest."""
    return (*_rows(_STUDY, manifest, resource, show_all), *_series(manifest.study, resource, show_all))


def _issued(issued: IssuedId | None) -> tuple[str, ...]:
    if issued is None:
        return ()
    issuer = issued.issuer
    named = (issuer.universal_id or issuer.namespace) if issuer is not None else None
    return (f"{issued.value} · {named}" if named else issued.value,)


def _time(time: LocalTime | None) -> tuple[str, ...]:
    return () if time is None else _one(f"{time.date} {time.time or ''} {time.offset or ''}".strip())


def _of_requests(study: Study, read: Callable[[Any], IssuedId | None]) -> Iterator[str]:
    for request in study.requests:
        yield from _issued(read(request))


def _is_uid(identifier: Any) -> bool:
    return isinstance(identifier, dict) and identifier.get("system") == codes.DICOM_UID_SYSTEM


_STUDY: Final = (
    _Pair(
        "Study Instance UID",
        "(0020,000D)",
        lambda m: _one(m.study.study_instance_uid),
        ("identifier",),
        True,
        _is_uid,
    ),
    _Pair("SOP Instance UID of the manifest", "(0008,0018)", lambda m: _one(m.sop_instance_uid), (), True),
    _Pair(
        "Modalities in Study", "(0008,0061)", lambda m: _codes(m.study.all_modalities), ("modality",), True
    ),
    _Pair(
        "Number of Study Related Series",
        "(0020,1206)",
        lambda m: _one(m.study.stated_series if m.study.stated_series is not None else len(m.study.series)),
        ("numberOfSeries",),
        True,
    ),
    _Pair(
        "Number of Study Related Instances",
        "(0020,1208)",
        lambda m: _one(m.study.instance_count),
        ("numberOfInstances",),
        True,
    ),
    _Pair("Anatomic Region", "(0008,2218)", lambda m: _codes(m.study.regions), ("extension",), True),
    _Pair(
        "Procedure Code", "(0008,1032)", lambda m: _codes(m.study.procedure_codes), ("procedureCode",), True
    ),
    _Pair("Study Date and Time", "(0008,0020)", lambda m: _time(m.study.started), ("started",)),
    _Pair("Study Description", "(0008,1030)", lambda m: _one(m.study.description), ("description",)),
    _Pair(
        "Study ID",
        "(0020,0010)",
        lambda m: _one(m.study.study_id),
        ("identifier",),
        takes=lambda element: not _is_uid(element),
    ),
    _Pair(
        "Accession Number",
        "(0008,0050)",
        lambda m: _of_requests(m.study, lambda r: r.accession),
        ("basedOn",),
    ),
    _Pair("Placer Order Number", "(0040,2016)", lambda m: _of_requests(m.study, lambda r: r.placer)),
    _Pair(
        "Patient ID",
        "(0010,0020)",
        lambda m: (t for i in m.study.patient.ids for t in _issued(i)),
        ("subject",),
    ),
    _Pair("Patient's Name", "(0010,0010)", lambda m: _person(m.study.patient.name)),
    _Pair("Patient's Birth Date", "(0010,0030)", lambda m: _one(m.study.patient.birth_date)),
    _Pair("Patient's Sex", "(0010,0040)", lambda m: _one(m.study.patient.sex)),
    _Pair(
        "Referring Physician", "(0008,0090)", lambda m: _person(m.study.referring_physician), ("referrer",)
    ),
)


def _series(study: Study, resource: Mapping[str, Any], show_all: bool) -> Iterator[Row]:
    written = {each.get("uid"): each for each in resource.get("series", ()) if isinstance(each, dict)}
    for number, series in enumerate(study.series, 1):
        fhir = written.get(series.series_instance_uid, {})
        name = f"Series {number}"
        yield Row(
            name,
            "(0020,000E)",
            (series.series_instance_uid,),
            f"series[{number - 1}].uid",
            values_at(fhir, "uid"),
        )
        yield Row(
            f"{name}: modality",
            "(0008,0060)",
            _code(series.modality),
            f"series[{number - 1}].modality",
            values_at(fhir, "modality"),
        )
        yield Row(
            f"{name}: instances",
            "",
            (str(len(series.instances)),),
            f"series[{number - 1}].numberOfInstances",
            values_at(fhir, "numberOfInstances"),
        )
        yield Row(
            f"{name}: locations",
            "(0040,E011), (0008,1190)",
            tuple(place.uid or place.url or "" for place in series.locations),
            f"series[{number - 1}].endpoint",
            values_at(fhir, "endpoint"),
        )
        if series.description or "description" in fhir:
            yield Row(
                f"{name}: description",
                "(0008,103E)",
                _one(series.description) if show_all else (),
                f"series[{number - 1}].description",
                values_at(fhir, "description") if show_all else (),
                hidden=not show_all,
            )


# --- both -------------------------------------------------------------------------------------------------
def _rows(pairs: Iterable[_Pair], source: Any, resource: Mapping[str, Any], show_all: bool) -> Iterator[Row]:
    for pair in pairs:
        hidden = not (show_all or pair.technical)
        values = tuple(value for value in pair.read(source) if value)
        fhir = tuple(text for path in pair.paths for text in values_at(resource, path, pair.takes))
        if values or fhir:
            path = ", ".join(pair.paths)
            if hidden:
                values = fhir = ()
            yield Row(pair.name, pair.place, values, path, fhir, hidden)


def values_at(
    resource: Mapping[str, Any], path: str, takes: Callable[[Any], bool] = lambda element: True
) -> tuple[str, ...]:
    """What an element has, as text; the elements of lists one by one, of which `takes` may leave some out,
    contained resources in their place."""
    found: list[Any] = [resource]
    for name in path.split("."):
        found = [value for each in found if isinstance(each, dict) for value in _listed(each.get(name))]
    contained = {f"#{each.get('id')}": each for each in _listed(resource.get("contained"))}
    return tuple(text for value in found if takes(value) and (text := _text(value, contained)))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any, contained: Mapping[str, Any]) -> str:
    if not isinstance(value, dict):
        return str(value)
    if "coding" in value:
        texts = [_text(each, contained) for each in _listed(value["coding"])]
        return "; ".join(texts) or str(value.get("text", ""))
    if "code" in value:
        return _coded(str(value["code"]), str(value.get("system", "")), value.get("display"))
    if "identifier" in value and not isinstance(value["identifier"], list):
        named = _text(value["identifier"], contained)
        return f"{value['reference']} · {named}" if "reference" in value else named
    if "reference" in value:
        inside = contained.get(value["reference"])
        return _resource(inside, contained) if inside is not None else str(value["reference"])
    if "value" in value:
        system = value.get("system")
        return f"{value['value']} · {system}" if system else str(value["value"])
    for name in ("valueCodeableConcept", "text", "url"):
        if name in value:
            return _text(value[name], contained)
    return ""


def _resource(resource: Mapping[str, Any], contained: Mapping[str, Any]) -> str:
    """A contained resource by its names and identifiers, and those of who plays the role that it is."""
    parts = [str(resource.get("resourceType", ""))]
    for role in ("practitioner", "organization"):
        inside = contained.get(resource.get(role, {}).get("reference"))
        if inside is not None:
            parts.append(_resource(inside, {}))
    for name in _listed(resource.get("name")):
        if isinstance(name, dict):
            given = " ".join(map(str, _listed(name.get("given"))))
            parts.append(f"{name.get('family', '')} {given}".strip())
        else:
            parts.append(str(name))
    parts += [_text(each, {}) for each in _listed(resource.get("identifier"))]
    parts += [str(resource[name]) for name in ("birthDate", "gender") if name in resource]
    return " · ".join(part for part in parts if part)


__all__ = ["Row", "document_rows", "study_rows", "values_at"]
