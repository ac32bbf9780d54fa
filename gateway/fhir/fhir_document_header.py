"""FHIR document (Bundle of type document) -> what it says about itself (ITI-106 of IHE MHD 4.2.4; FHIR R4,
Composition and its mapping to DocumentReference).

The uniqueId is Bundle.identifier, which is that of one version of the document (FHIR R4 3.3.1);
Composition.identifier, which all versions share, becomes a referenceIdList value; so do accession and order
numbers and Study Instance UIDs that the document's reports name. References are followed inside the Bundle
only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.fhir.datatypes import (
    Json,
    canonical,
    read_code,
    read_date_time,
    read_unique_id,
)
from gateway.fhir.document_reference_read import contained_by_id
from gateway.fhir.findings import Findings
from gateway.fhir.people_read import PeopleReader
from gateway.fhir.reference_ids import read_reference_id
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import is_resource_type, validate_resource
from gateway.model import codes
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.metadata import Code, Cx, DocumentEntry, Person, ReferenceId, SourcePatientInfo
from gateway.model.publishing import SelfDescription

_LINKS: Final = ("practitioner", "organization", "serviceProvider")
_KEYS: Final = frozenset({codes.REFERENCE_ACCESSION, codes.REFERENCE_ORDER, codes.REFERENCE_STUDY})
_NOT_MAPPED: Final = ("meta", "text", "contained")


@dataclass(frozen=True, slots=True)
class DocumentPeople(PeopleReader):
    """`PeopleReader` whose resources are entries of the document, each with its own FHIRPath."""

    paths: Mapping[str, str] = field(default_factory=dict)

    def path_of(self, resource: Json) -> str:
        """FHIRPath of a resource of the document."""
        return self.paths.get(resource["id"]) or PeopleReader.path_of(self, resource)


class _References:
    """Resources that the Composition refers to, under local ids as if they were contained."""

    def __init__(self, bundle: Json, findings: Findings, path: str) -> None:
        self._entries: Sequence[Json] = bundle["entry"]
        self._findings = findings
        self._path = path
        self.resources: dict[str, Json] = dict(contained_by_id(self._entries[0]["resource"]))
        self.paths: dict[str, str] = {}
        self._by_name: dict[str, int] = {}
        for number, entry in enumerate(self._entries):
            resource = entry["resource"]
            if entry.get("fullUrl"):
                self._by_name.setdefault(str(entry["fullUrl"]), number)
            if resource.get("id"):
                self._by_name.setdefault(f"{resource['resourceType']}/{resource['id']}", number)

    def entry_of(self, literal: str) -> int | None:
        """Position of the entry that a literal reference leads to."""
        return self._by_name.get(literal.partition("/_history/")[0])

    def local(self, reference: Json) -> Json:
        """The Reference, to a local id where its target is in the document."""
        number = self.entry_of(reference.get("reference") or "")
        if number is None:
            return reference
        name = f"document-entry-{number}"
        if name not in self.paths:
            self._take(number, name)
        return {**reference, "reference": f"#{name}"} if name in self.resources else reference

    def _take(self, number: int, name: str) -> None:
        place = f"{self._path}.entry[{number}].resource"
        self.paths[name] = place
        source = self._entries[number]["resource"]
        copy = {key: item for key, item in source.items() if key not in _NOT_MAPPED}
        before = len(self._findings.errors)
        if is_resource_type(copy.get("resourceType")):
            validate_resource(copy, place, self._findings)
        if len(self._findings.errors) > before:
            return
        self.resources[name] = copy
        copy["id"] = name
        for link in _LINKS:
            if isinstance(copy.get(link), dict):
                copy[link] = self.local(copy[link])

    def target(self, reference: Json | None) -> Json | None:
        """What a Reference leads to."""
        literal = (self.local(reference) if reference else {}).get("reference") or ""
        return self.resources.get(literal[1:]) if literal.startswith("#") else None


def _items(resource: Json, element: str) -> list[Json]:
    """Objects of a repeating element of a resource that was not validated."""
    value = resource.get(element)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _plain_identifier(identifier: object) -> Json | None:
    """System, value and type of an Identifier that was not validated; None where it has no such."""
    if not isinstance(identifier, dict):
        return None
    kind = identifier.get("type")
    codings = _items(kind, "coding") if isinstance(kind, dict) else []
    plain = {name: identifier.get(name) for name in ("system", "value")}
    if not all(isinstance(value, str) for value in plain.values()):
        return None
    texts = [{name: str(coding.get(name)) for name in ("system", "code")} for coding in codings]
    return {**plain, "type": {"coding": texts}}


def read_document_header(
    bundle: Json, terminology: Terminology, findings: Findings, path: str
) -> SelfDescription:
    """What a valid document Bundle says; what cannot be mapped is reported with `path` in front."""
    return _Header(bundle, terminology, findings, path).read()


class _Header:
    """One pass over the Composition and what it refers to."""

    def __init__(self, bundle: Json, terminology: Terminology, findings: Findings, path: str) -> None:
        self._bundle = bundle
        self._composition: Json = bundle["entry"][0]["resource"]
        self._terminology = terminology
        self._findings = findings
        self._document_path = path
        self._path = f"{path}.entry[0].resource"
        self._references = _References(bundle, findings, path)
        self._people = DocumentPeople(
            terminology, findings, self._references.resources, self._path, self._references.paths
        )

    def read(self) -> SelfDescription:
        composition, path = self._composition, self._path
        source_id, source_info = self._patient()
        start, stop = self._service_times()
        encounter = self._references.target(composition.get("encounter")) or {}
        language = composition.get("language") or self._bundle.get("language")
        entry = DocumentEntry(
            entry_uuid="",
            unique_id=self._unique_id(),
            source_patient_id=source_id,
            source_patient_info=source_info,
            authors=self._people.authors(
                [self._references.local(a) for a in composition.get("author") or ()], f"{path}.author"
            ),
            legal_authenticator=self._authenticator(),
            class_code=self._first(composition.get("category"), f"{path}.category"),
            type_code=self._code(composition.get("type"), f"{path}.type"),
            facility_type=self._facility(encounter),
            practice_setting=self._code(encounter.get("serviceType"), self._place(encounter, "serviceType")),
            confidentiality=self._confidentiality(),
            event_codes=self._event_codes(),
            reference_ids=tuple(dict.fromkeys(self._reference_ids(encounter))),
            creation_time=read_date_time(composition.get("date"), self._findings, f"{path}.date"),
            service_start_time=start,
            service_stop_time=stop,
            language=language,
            title=composition.get("title"),
        )
        custodian = composition.get("custodian")
        organization = self._references.target(custodian)
        return SelfDescription(
            entry=entry,
            templates=self._profiles(),
            custodian=self._people.organization(self._references.local(custodian), f"{path}.custodian")
            if custodian and organization and organization.get("name")
            else None,
        )

    # --- parts ------------------------------------------------------------------------------------------
    def _code(self, concept: Json | None, path: str) -> Code | None:
        return read_code(concept, self._terminology, self._findings, path)

    def _first(self, concepts: Sequence[Json] | None, path: str) -> Code | None:
        return self._code(concepts[0], f"{path}[0]") if concepts else None

    def _place(self, resource: Json, element: str) -> str:
        return f"{self._references.paths.get(resource.get('id') or '', self._path)}.{element}"

    def _unique_id(self) -> str:
        place = f"{self._document_path}.identifier"
        return (
            read_unique_id(self._bundle["identifier"], self._terminology, self._findings, place) or ""
            if self._bundle.get("identifier")
            else ""
        )

    def _patient(self) -> tuple[Cx | None, SourcePatientInfo | None]:
        subject = self._composition.get("subject")
        patient = self._references.target(subject)
        if patient is None or patient["resourceType"] != "Patient":
            self._findings.error(
                f"{self._path}.subject",
                "required",
                "The subject of the document is a Patient that is an entry of it.",
            )
            return None, None
        return self._people.source_patient(patient)

    def _authenticator(self) -> Person | None:
        for number, attester in enumerate(self._composition.get("attester") or ()):
            if attester.get("mode") == "legal" and attester.get("party"):
                place = f"{self._path}.attester[{number}].party"
                return self._people.person(self._references.local(attester["party"]), place)
        return None

    def _confidentiality(self) -> tuple[Code, ...]:
        value = self._composition.get("confidentiality")
        return (Code(value, codes.CONFIDENTIALITY_OID, value),) if value else ()

    def _facility(self, encounter: Json) -> Code | None:
        """Type of the first location of the encounter that has one."""
        for at in encounter.get("location") or ():
            location = self._references.target(at.get("location"))
            if location and location.get("type"):
                return self._first(location["type"], self._place(location, "type"))
        return None

    # --- what was documented ----------------------------------------------------------------------------
    def _events(self) -> Iterator[tuple[Json, str]]:
        for number, event in enumerate(self._composition.get("event") or ()):
            yield event, f"{self._path}.event[{number}]"

    def _event_codes(self) -> tuple[Code, ...]:
        found = [
            self._code(concept, f"{place}.code[{number}]")
            for event, place in self._events()
            for number, concept in enumerate(event.get("code") or ())
        ]
        return tuple(dict.fromkeys(code for code in found if code is not None))

    def _service_times(self) -> tuple[str | None, str | None]:
        """From the first start to the last end of the events."""
        times: dict[str, list[str]] = {"start": [], "end": []}
        for event, place in self._events():
            for name, found in times.items():
                value = (event.get("period") or {}).get(name)
                read = read_date_time(value, self._findings, f"{place}.period.{name}")
                if read:
                    found.append(read)
        start = min(times["start"], key=dtm_start, default=None)
        stop = max(times["end"], key=dtm_end, default=None)
        if start and stop and dtm_start(start) >= dtm_end(stop):
            self._findings.error(
                f"{self._path}.event", "invariant", "The event ends before it starts (per-1)."
            )
        return start, stop

    def _reference_ids(self, encounter: Json) -> Iterator[ReferenceId]:
        identifier = self._composition.get("identifier")
        if identifier and identifier != self._bundle.get("identifier"):
            typed = {"coding": [{"system": codes.URI_SYSTEM, "code": codes.REFERENCE_UNIQUE_ID}]}
            yield from self._reference({**identifier, "type": typed}, f"{self._path}.identifier")
        found = encounter.get("identifier") or ()
        named = self._composition.get("encounter") or {}
        if not found and named.get("identifier"):
            found = [named["identifier"]]
        for number, item in enumerate(found):
            place = self._place(encounter, f"identifier[{number}]")
            yield from self._reference(item, place, encounter=True)
        for entry in self._bundle["entry"]:
            if entry["resource"]["resourceType"] == "DiagnosticReport":
                yield from self._keys_of(entry["resource"])

    def _keys_of(self, report: Json) -> Iterator[ReferenceId]:
        """Orders and studies of a report; what cannot be mapped there is no matter of its metadata."""
        for reference in (*_items(report, "basedOn"), *_items(report, "imagingStudy")):
            identifiers = [reference.get("identifier")]
            literal = reference.get("reference")
            number = self._references.entry_of(literal) if isinstance(literal, str) else None
            if number is not None:
                identifiers += _items(self._bundle["entry"][number]["resource"], "identifier")
            for identifier in map(_plain_identifier, identifiers):
                read = identifier and read_reference_id(identifier, self._terminology, Findings(), "")
                if read and read.type in _KEYS:
                    yield read

    def _reference(self, identifier: Json, path: str, *, encounter: bool = False) -> Iterator[ReferenceId]:
        if not identifier.get("value") or not identifier.get("system"):
            return
        read = read_reference_id(identifier, self._terminology, self._findings, path, encounter=encounter)
        if read is not None:
            yield read

    def _profiles(self) -> tuple[str, ...]:
        """Profiles of the Composition and of the Bundle."""
        claimed = [
            str(canonical(url))
            for resource in (self._composition, self._bundle)
            for url in (resource.get("meta") or {}).get("profile") or ()
        ]
        return tuple(dict.fromkeys(claimed))
