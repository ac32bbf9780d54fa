"""FHIR manifest -> Manifest, tolerantly: a document Bundle as IHE RAD MADO 0.1.0 has it, a collection, or an
ImagingStudy alone, with the canonicals and systems of MADO's samples and of older guides.

Every deviation is a finding (`gateway.fhir.manifest_rules`). Only what is no
manifest at all ends the reading.
"""

from typing import Final
from uuid import UUID

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.formats import FhirFormat
from gateway.fhir.imaging_elements import made_id
from gateway.fhir.imaging_times import common_offset
from gateway.fhir.issues import OutcomeError
from gateway.fhir.manifest_read_study import StudyReader
from gateway.fhir.manifest_read_values import has_type, read_organization, read_time
from gateway.fhir.manifest_resources import Resources, resource_type
from gateway.fhir.manifest_rules import RULES
from gateway.fhir.terminology import Terminology
from gateway.fhir.tolerant import Collector, Element
from gateway.fhir.xml_reader import read_xml
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import Creator, LocalTime, Manifest, ReadManifest
from gateway.model.oids import bare_oid, is_oid

_IDENTIFYING_SYSTEMS: Final = (codes.DICOM_UID_SYSTEM, codes.URI_SYSTEM, None)


class NotAManifestError(ValueError):
    """What was read is no manifest of an imaging study. The text says why, without content."""


def read_manifest(
    raw: bytes, terminology: Terminology, wire_format: FhirFormat = FhirFormat.JSON
) -> ReadManifest:
    """Read a manifest in FHIR JSON or XML. Raises NotAManifestError."""
    if wire_format is FhirFormat.XML:
        try:
            return read_manifest_bundle(read_xml(raw), terminology)
        except OutcomeError as error:
            raise NotAManifestError(f"This is no FHIR in XML: {error}") from None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise NotAManifestError(
            f"This is no JSON in UTF-8 (line {error.lineno}, column {error.colno})."
        ) from None
    return read_manifest_bundle(value, terminology)


def read_manifest_bundle(resource: object, terminology: Terminology) -> ReadManifest:
    """Read the JSON values of a manifest. Raises NotAManifestError."""
    if not isinstance(resource, dict):
        raise NotAManifestError("A FHIR resource has to be a JSON object.")
    return _Reader(resource, terminology).read()


class _Reader:
    def __init__(self, resource: Json, terminology: Terminology) -> None:
        self._found = Collector(RULES)
        kind = resource_type(resource)
        self._root = Element(resource, kind, self._found)
        self._terminology = terminology
        if kind == "Bundle":
            self._resources = Resources.of_bundle(self._root)
            if resource.get("type") != "document":
                self._root.report("bundle-type", "type")
        elif kind == "ImagingStudy":
            self._root.report("no-bundle")
            self._resources = Resources(self._found)
            self._resources.add(self._root)
        else:
            raise NotAManifestError(f"A manifest is a Bundle with an ImagingStudy; this is {kind}.")
        composition = self._resources.of_type("Composition")
        self._composition = composition[0] if composition else None

    def read(self) -> ReadManifest:
        self._check_document()
        element = self._study()
        uid = self._study_uid(element)
        study = StudyReader(element, self._resources, self._terminology).read(uid)
        created = self._created()
        manifest = Manifest(
            sop_instance_uid=self._document_uid(uid),
            study=study,
            created=created,
            utc_offset=common_offset(study, created),
            creator=self._creator(),
        )
        return ReadManifest(manifest, self._found.findings())

    def _check_document(self) -> None:
        if self._resources.of_type("DiagnosticReport"):
            raise NotAManifestError("This Bundle is an imaging report: it has a DiagnosticReport.")
        for resource in (self._root, *self._resources.of_type("ImagingStudy")):
            meta = resource.one("meta")
            profiles = meta.texts("profile") if meta is not None else ()
            if any(profile.startswith(imaging.LEGACY_EU_STRUCTURES) for profile in profiles):
                resource.report("profile-legacy", "meta.profile")
        if self._composition is None:
            if self._root.path == "Bundle":
                self._root.report("no-composition", "entry")
            return
        self._check_type(self._composition)
        for category in self._composition.many("category"):
            for coding in category.many("coding"):
                if coding.value.get("system") == imaging.LEGACY_EU_PRIORITY_CATEGORIES:
                    coding.report("category-legacy", "system")

    def _check_type(self, composition: Element) -> None:
        kind = composition.one("type")
        codings = list(kind.many("coding")) if kind is not None else []
        found = {c.text("code") for c in codings if c.value.get("system") == imaging.LOINC_SYSTEM}
        if imaging.LOINC_IMAGING_REPORT in found:
            raise NotAManifestError("This Bundle is an imaging report: its Composition is of type 85430-7.")
        if imaging.LEGACY_LOINC_MANIFEST in found:
            composition.report("document-type-legacy", "type")
        elif imaging.LOINC_IMAGING_STUDY not in found:
            composition.report("document-type", "type")

    def _study(self) -> Element:
        """The ImagingStudy that the Composition refers to, else the only one."""
        studies = self._resources.of_type("ImagingStudy")
        if not studies:
            raise NotAManifestError("A manifest is a Bundle with an ImagingStudy; this Bundle has none.")
        composition = self._composition
        if composition is not None:
            for event in composition.many("event"):
                for detail in event.many("detail"):
                    target = self._resources.resolve(detail, composition)
                    if target is not None and target.value.get("resourceType") == "ImagingStudy":
                        return target
            composition.report("study-unreferenced", "event")
        if len(studies) > 1:
            raise NotAManifestError(
                f"A manifest is about one study; this Bundle has {len(studies)} ImagingStudy resources and "
                "no Composition that refers to one of them."
            )
        return studies[0]

    def _study_uid(self, study: Element) -> str:
        identifiers = list(study.many("identifier"))
        typed = [i for i in identifiers if has_type(i, codes.DICOM_CODE_SYSTEM, imaging.STUDY_INSTANCE_UID)]
        for identifier in (*typed, *(i for i in identifiers if i not in typed)):
            value, system = identifier.text("value"), identifier.text("system")
            bare = bare_oid(value) if value is not None else ""
            is_typed = identifier in typed
            if not bare or not (is_typed or (is_oid(bare) and system in _IDENTIFYING_SYSTEMS)):
                continue
            if not is_typed:
                identifier.report("uid-type", "type")
            if system != codes.DICOM_UID_SYSTEM:
                identifier.report("uid-system", "system")
            if bare == value:
                identifier.report("uid-prefix", "value")
            if not is_oid(bare) or len(bare) > 64:
                identifier.report("uid-invalid", "value")
            return bare
        raise NotAManifestError(
            "ImagingStudy.identifier has no Study Instance UID (system urn:dicom:uid, type DCM 110180)."
        )

    def _document_uid(self, study_uid: str) -> str:
        """UID of the document. What is no OID becomes one below 2.25, the same each time."""
        own = _identifier_of(self._root) if self._root.path == "Bundle" else None
        second = _identifier_of(self._composition) if self._composition is not None else None
        if own is not None and second is not None and own != second:
            self._root.report("document-id-differs", "identifier")
        chosen = own or second
        if chosen is None:
            self._root.report("document-id-missing", "identifier")
            return _derived("study", study_uid)
        system, value = chosen
        if system in _IDENTIFYING_SYSTEMS and is_oid(bare_oid(value)):
            if bare_oid(value) == value:
                self._root.report("uid-prefix", "identifier.value")
            return bare_oid(value)
        uuid = _uuid_of(value) if system in _IDENTIFYING_SYSTEMS else None
        if uuid is not None:
            self._root.report("document-id-uuid", "identifier")
            return f"2.25.{uuid.int}"
        self._root.report("document-id-derived", "identifier")
        return _derived(system or "", value)

    def _created(self) -> LocalTime | None:
        composition = self._composition
        created = read_time(composition, "date") if composition is not None else None
        if created is None and self._root.path == "Bundle":
            created = read_time(self._root, "timestamp")
        if created is None:
            self._root.report("time-missing", "timestamp")
        return created

    def _creator(self) -> Creator:
        authors: dict[str, Element] = {}
        for reference in self._composition.many("author") if self._composition is not None else ():
            assert self._composition is not None
            target = self._resources.resolve(reference, self._composition)
            if target is not None:
                authors.setdefault(resource_type(target.value), target)
        device = authors.get("Device") or next(iter(self._resources.of_type("Device")), None)
        organization = authors.get("Organization")
        owner = device.one("owner") if device is not None else None
        if organization is None and device is not None and owner is not None:
            organization = self._resources.resolve(owner, device, "Organization")
        return Creator(
            device.text("manufacturer") if device is not None else None,
            read_organization(organization, self._terminology) if organization is not None else None,
        )


def _identifier_of(element: Element) -> tuple[str | None, str] | None:
    identifier = element.one("identifier")
    value = identifier.text("value") if identifier is not None else None
    return (identifier.text("system"), value) if identifier is not None and value is not None else None


def _uuid_of(value: str) -> UUID | None:
    try:
        return UUID(value.lower().removeprefix("urn:uuid:"))
    except ValueError:
        return None


def _derived(*names: str) -> str:
    return f"2.25.{UUID(made_id('document', *names)).int}"
