"""ImagingStudy of a FHIR manifest -> Study, with what it refers to (IHE RAD MADO 0.1.0 MadoImagingStudy,
MadoRequestedProcedure, MadoWadoEndpoint, MadoPatient).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

from msgspec.structs import replace

from gateway.fhir.imaging_parts import GENDERS, IDEOGRAPHIC, PHONETIC, PROCEDURE_ID_TYPE
from gateway.fhir.manifest_read_values import (
    has_type,
    is_accession,
    read_coding,
    read_concept,
    read_date,
    read_issued,
    read_name,
    read_time,
    read_uid,
    representation_of,
)
from gateway.fhir.manifest_resources import Resources
from gateway.fhir.terminology import Terminology
from gateway.fhir.tolerant import Element
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import (
    ImagingPatient,
    ImagingRequest,
    Instance,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.model.metadata import Code, Person
from gateway.model.oids import is_oid

_REGIONS: Final = (
    imaging.EXT_MADO_REGION,
    imaging.EXT_EU_REGION,
    *(structures + "AnatomicalRegionExtension" for structures in imaging.LEGACY_EU_STRUCTURES),
)
_FRAMES: Final = (imaging.EXT_MADO_FRAMES, imaging.EXT_EU_FRAMES)
_SEXES: Final = {gender: sex for sex, gender in GENDERS.items()}
_WADO: Final = "dicom-wado-rs"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StudyReader:
    """Reads the ImagingStudy `study` among `resources`."""

    study: Element
    resources: Resources
    terminology: Terminology

    def read(self, study_instance_uid: str) -> Study:
        """The study with all its series."""
        study = self.study
        at_study = list(self._locations(study))
        series = tuple(s for element in study.many("series") if (s := self._series(element, at_study)))
        if not series:
            study.report("no-series", "series")
        _report_repeated(study, [s.series_instance_uid for s in series], "series-repeated", "series")
        description, procedures = self._procedures()
        return Study(
            study_instance_uid,
            patient=self._patient(),
            started=read_time(study, "started"),
            study_id=self._study_id(),
            description=description,
            referring_physician=self._referrer(),
            modalities=_distinct(self._codes(study, "modality")),
            regions=_distinct(self._regions()),
            procedure_codes=procedures,
            requests=tuple(self._requests()),
            viewer_url=self._viewer(),
            series=series,
            stated_series=_stated(study, "numberOfSeries", len(series), "series-count"),
        )

    # --- study --------------------------------------------------------------------------------------------
    def _codes(self, element: Element, name: str) -> Iterator[Code]:
        for coding in element.many(name):
            code = read_coding(coding, self.terminology)
            if code is not None:
                yield code

    def _regions(self) -> Iterator[Code]:
        spine_seen = False
        for extension in self.study.extensions(*_REGIONS):
            code = read_concept(extension.one("valueCodeableConcept"), self.terminology)
            if code is None:
                extension.report("code-incomplete")
                continue
            is_spine = code.code in imaging.SPINE
            # MADO and HL7 Europe give one region two codes, each in its own extension
            if not (is_spine and spine_seen):
                yield code
            spine_seen = spine_seen or is_spine

    def _study_id(self) -> str | None:
        for identifier in self.study.many("identifier"):
            if identifier.value.get("use") == "usual" and not {"system", "type"} & set(identifier.value):
                return identifier.text("value")
        return None

    def _procedures(self) -> tuple[str | None, tuple[Code, ...]]:
        """Description of the study and its procedure codes; a text without code may be the description."""
        description = self.study.text("description")
        coded: list[Code] = []
        for procedure in self.study.many("procedureCode"):
            code = read_concept(procedure, self.terminology)
            text = procedure.text("text")
            if code is not None:
                coded.append(code)
            elif text is not None and description is None:
                procedure.report("procedure-as-description", "text")
                description = text
            elif text is not None and text != description:
                procedure.report("procedure-without-code", "text")
        return description, tuple(coded)

    def _referrer(self) -> Person | None:
        reference = self.study.one("referrer")
        if reference is None:
            return None
        found = self.resources.resolve(reference, self.study)
        if found is not None and found.value.get("resourceType") == "PractitionerRole":
            inner = found.one("practitioner")
            found = self.resources.resolve(inner, found) if inner is not None else None
        named = read_name(next(found.many("name"), None)) if found is not None else None
        display = reference.text("display")
        return named or (Person(family=display) if display else None)

    def _viewer(self) -> str | None:
        urls = [
            endpoint.text("address")
            for endpoint in self._endpoints(self.study)
            if _is_viewer(endpoint) and _address(endpoint)
        ]
        if len(urls) > 1:
            self.study.report("several-viewers", "endpoint")
        return urls[0] if urls else None

    # --- patient ------------------------------------------------------------------------------------------
    def _patient(self) -> ImagingPatient:
        subject = self.study.one("subject")
        if subject is None:
            self.study.report("patient-missing", "subject")
            return ImagingPatient()
        patient = self.resources.resolve(subject, self.study, "Patient")
        if patient is None:
            issued = read_issued(subject.one("identifier"), self.terminology)
            display = subject.text("display")
            if issued is None and display is None:
                subject.report("patient-missing")
            return ImagingPatient((issued,) if issued else (), Person(family=display) if display else None)
        return self._read_patient(patient)

    def _read_patient(self, patient: Element) -> ImagingPatient:
        ids = (read_issued(identifier, self.terminology) for identifier in patient.many("identifier"))
        names: dict[str | None, Person] = {}
        for name in patient.many("name"):
            person = read_name(name)
            if person is not None:
                names.setdefault(representation_of(name), person)
        gender = patient.text("gender")
        if gender is not None and gender not in _SEXES:
            patient.report("sex-invalid", "gender")
        return ImagingPatient(
            ids=tuple(issued for issued in ids if issued is not None),
            name=names.get(None),
            ideographic_name=names.get(IDEOGRAPHIC),
            phonetic_name=names.get(PHONETIC),
            birth_date=read_date(patient, "birthDate"),
            sex=_SEXES.get(gender or ""),
        )

    # --- requests -----------------------------------------------------------------------------------------
    def _requests(self) -> Iterator[ImagingRequest]:
        read: set[int] = set()
        none = True
        for reference in self.study.many("basedOn"):
            identifier = reference.one("identifier")
            accession = read_issued(identifier, self.terminology)
            order = self.resources.resolve(reference, self.study, "ServiceRequest", silent=bool(accession))
            if order is None and accession is None:
                continue
            none = False
            if order is None:
                yield ImagingRequest(accession)
                continue
            read.add(id(order.value))
            request = self._request(order)
            if accession is not None and request.accession not in (None, accession):
                reference.report("accession-differs", "identifier")
            yield request if request.accession else replace(request, accession=accession)
        for order in self.resources.of_type("ServiceRequest"):
            if id(order.value) not in read:
                order.report("order-unreferenced")
                none = False
                yield self._request(order)
        for identifier in self.study.many("identifier") if none else ():
            accession = read_issued(identifier, self.terminology) if is_accession(identifier) else None
            if accession is not None:
                identifier.report("accession-in-study")
                yield ImagingRequest(accession)

    def _request(self, order: Element) -> ImagingRequest:
        identifiers = list(order.many("identifier"))
        typed = {
            role: next((i for i in identifiers if fits(i)), None)
            for role, fits in (
                ("accession", is_accession),
                ("placer", lambda i: has_type(i, codes.V2_IDENTIFIER_TYPE, imaging.V2_PLACER)),
                ("filler", lambda i: has_type(i, codes.V2_IDENTIFIER_TYPE, imaging.V2_FILLER)),
                ("procedure", _is_procedure_id),
            )
        }
        if len(identifiers) == 1 and not any(typed.values()):
            identifiers[0].report("identifier-untyped")
            typed["accession"] = identifiers[0]
        procedure, numbered = order.one("code"), typed["procedure"]
        return ImagingRequest(
            accession=read_issued(typed["accession"], self.terminology),
            placer=read_issued(typed["placer"], self.terminology),
            filler=read_issued(typed["filler"], self.terminology),
            procedure_id=numbered.text("value") if numbered is not None else None,
            procedure_description=procedure.text("text") if procedure is not None else None,
            procedure_codes=tuple(self._codes(procedure, "coding")) if procedure is not None else (),
        )

    # --- series -------------------------------------------------------------------------------------------
    def _series(self, series: Element, at_study: list[RetrieveLocation]) -> Series | None:
        uid = read_uid(series, "uid", prefixed=False)
        if uid is None:
            series.report("uid-missing", "uid")
            return None
        instances = tuple(i for element in series.many("instance") if (i := self._instance(element)))
        if not instances:
            series.report("series-empty", "instance")
        _report_repeated(series, [i.sop_instance_uid for i in instances], "instance-repeated", "instance")
        modality = read_coding(series.one("modality"), self.terminology)
        if modality is None:
            series.report("modality-missing", "modality")
        site = series.one("bodySite")
        body_site = read_coding(site, self.terminology)
        number = series.number("number")
        return Series(
            uid,
            modality=modality,
            number=None if number is None else str(number),
            description=series.text("description"),
            started=read_time(series, "started"),
            body_sites=(body_site,) if body_site is not None else (),
            body_site_text=site.text("display") if site is not None and body_site is None else None,
            laterality=read_coding(series.one("laterality"), self.terminology),
            locations=self._places(series, at_study),
            instances=instances,
            stated_instances=_stated(series, "numberOfInstances", len(instances), "instance-count"),
        )

    def _instance(self, instance: Element) -> Instance | None:
        uid = read_uid(instance, "uid", prefixed=False)
        if uid is None:
            instance.report("uid-missing", "uid")
            return None
        number = instance.number("number")
        frames = instance.extension(*_FRAMES)
        title = instance.extension(imaging.EXT_MADO_KO_TITLE)
        return Instance(
            uid,
            _sop_class(instance),
            number=None if number is None else str(number),
            frames=frames.number("valueInteger") if frames is not None else None,
            title=read_concept(title.one("valueCodeableConcept"), self.terminology) if title else None,
            description=instance.text("title"),
        )

    # --- endpoints ----------------------------------------------------------------------------------------
    def _endpoints(self, element: Element) -> Iterator[Element]:
        for reference in element.many("endpoint"):
            endpoint = self.resources.resolve(reference, self.study, "Endpoint")
            if endpoint is not None:
                yield endpoint

    def _locations(self, element: Element) -> Iterator[RetrieveLocation]:
        for endpoint in self._endpoints(element):
            if _is_viewer(endpoint):
                continue
            connection = endpoint.one("connectionType")
            if connection is None or connection.value.get("code") != _WADO:
                endpoint.report("connection-type", "connectionType")
            location = RetrieveLocation(_location_uid(endpoint), _address(endpoint))
            if location != RetrieveLocation():
                yield location

    def _places(self, series: Element, at_study: list[RetrieveLocation]) -> tuple[RetrieveLocation, ...]:
        locations = tuple(dict.fromkeys(self._locations(series)))
        if not locations and at_study:
            series.report("location-at-study", "endpoint")
            return tuple(dict.fromkeys(at_study))
        if not locations:
            series.report("location-missing", "endpoint")
        return locations


def _sop_class(instance: Element) -> str:
    coded = instance.one("sopClass")
    uid = read_uid(coded, "code", prefixed=True) if coded is not None else None
    if coded is None or uid is None:
        instance.report("sop-class-missing", "sopClass")
        return ""
    if coded.value.get("system") != codes.URI_SYSTEM:
        coded.report("sop-class-system", "system")
    return uid


def _is_procedure_id(identifier: Element) -> bool:
    kind = identifier.one("type")
    return kind is not None and kind.text("text") == PROCEDURE_ID_TYPE["text"]


def _is_viewer(endpoint: Element) -> bool:
    connection = endpoint.one("connectionType")
    is_wado = connection is not None and connection.value.get("code") == _WADO
    return not is_wado and "text/html" in endpoint.texts("payloadMimeType")


def _location_uid(endpoint: Element) -> RetrieveLocationUid | None:
    extension = endpoint.extension(imaging.EXT_MADO_LOCATION)
    value = extension.text("valueString") if extension is not None else None
    if extension is None or value is None:
        endpoint.report("location-uid-missing", "extension")
        return None
    bare = value
    for prefix in ("urn:oid:", "oid:"):
        if value[: len(prefix)].lower() == prefix:
            bare = value[len(prefix) :]
            extension.report("location-uid-prefix", "valueString")
            break
    if not is_oid(bare):
        extension.report("location-uid-invalid", "valueString")
    return RetrieveLocationUid(bare) if bare else None


def _address(endpoint: Element) -> str | None:
    """The address, unless it stands for one that is not known."""
    address = endpoint.text("address")
    if address is None:
        return None
    beside = endpoint.value.get("_address")
    said_absent = isinstance(beside, dict) and any(
        Element(beside, f"{endpoint.path}.address", endpoint.found).extensions(imaging.EXT_DATA_ABSENT)
    )
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    if said_absent or host in imaging.PLACEHOLDER_HOSTS:
        endpoint.report("placeholder-address", "address")
        return None
    return address


def _stated(element: Element, name: str, listed: int, rule: str) -> int | None:
    stated = element.number(name)
    if stated is None:
        element.report(f"{rule}-missing", name)
    elif stated != listed:
        element.report(f"{rule}-differs", name)
    return stated


def _report_repeated(element: Element, uids: list[str], rule: str, name: str) -> None:
    if len(set(uids)) != len(uids):
        element.report(rule, name)


def _distinct(values: Iterator[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(values))
