"""Resources of a report document as clients of the gateway get them (HL7 Europe Imaging Report 1.0.0-ballot,
resource access; FHIR R4 Bundle: resolving references).

A resource is what the document says, but for its id and for what names another resource: references inside
the document lead to resources of this server, those to the report's patient to the patient of the affinity
domain, and an attachment that lies in a Binary of the document has its data in place. `meta.source` names the
DocumentReference. Nothing is added that the document does not say but identifiers of what is referred to.
What is of a type that is not served, such as a DocumentReference of a key image, is contained in what refers
to it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from gateway.fhir.datatypes import Json, write_date_time
from gateway.fhir.held import HeldResource, study_uid
from gateway.fhir.imaging_selections import BASIC, SELECTION, is_selection
from gateway.fhir.report_parameters import SERVED
from gateway.fhir.report_results import unlisted_results
from gateway.model.metadata import DocumentEntry
from gateway.model.report_entries import ReportEntries, ReportEntry

_PATIENT, _STUDY, _BINARY = "Patient", "ImagingStudy", "Binary"
_NAMED: Final = frozenset({_STUDY, "ServiceRequest"})
"""Types whose identifier a reference is given where it has none."""


class ReportNames(Protocol):
    """What resources outside of the document are called here."""

    def entry_id(self, kind: str, name: str) -> str:
        """Id of an entry of the document."""

    def patient(self) -> Json:
        """Reference of the patient in the affinity domain."""

    def study(self, study_instance_uid: str) -> str:
        """Id of the ImagingStudy of a study."""

    def linked(self, reference: Json) -> tuple[str, tuple[Json, ...]] | None:
        """`Type/id` and identifiers of what a Reference names by identifier alone; None if unknown."""

    def document(self) -> str:
        """URL of the DocumentReference."""


@dataclass(slots=True)
class ReportView:
    """The resources of one document. `is_current` is false where a later version replaces it.

    With `lists_results` a DiagnosticReport lists the Observations of its sections, as R5 wants it to.
    """

    entry: DocumentEntry
    entries: ReportEntries
    names: ReportNames
    is_current: bool = True
    lists_results: bool = False
    _targets: dict[str, ReportEntry] = field(default_factory=dict)
    _content: dict[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries.entries:
            self._targets.setdefault(entry.name, entry)
        for entry in self.entries.entries:
            self._targets.setdefault(f"{entry.kind}/{entry.local_id}", entry)

    def of_kind(self, kind: str) -> Iterator[HeldResource]:
        """The resources of a type."""
        return (self._held(entry) for entry in self.entries.entries if entry.kind == kind)

    def content(self, kind: str) -> Iterator[Json]:
        """The resources of a type as the document has them; not to be changed."""
        return (self._read(entry) for entry in self.entries.entries if entry.kind == kind)

    def named(self, kind: str) -> Iterator[tuple[str, Json]]:
        """The same, each with the id that it has here."""
        return (
            (self.names.entry_id(e.kind, e.name), self._read(e))
            for e in self.entries.entries
            if e.kind == kind
        )

    def references(self) -> tuple[Json, ...]:
        """References to every resource that is served."""
        served = (entry for entry in self.entries.entries if entry.kind in SERVED)
        named = {self._reference(entry): entry for entry in served}
        return tuple(typed_reference(literal, self._read(entry)) for literal, entry in named.items())

    def _read(self, entry: ReportEntry) -> Json:
        if entry.name not in self._content:
            self._content[entry.name] = orjson.loads(entry.content)
        return self._content[entry.name]

    def _held(self, entry: ReportEntry) -> HeldResource:
        linked: dict[str, tuple[Json, ...]] = {}
        rewriting = _Rewriting(self._target, self._shown, self.names, entry, linked)
        resource = rewriting.whole(self._read(entry))
        if self.lists_results and entry.kind == "DiagnosticReport":
            results = unlisted_results(entry, self._target, self._read)
            if results:
                more = [{"reference": self._reference(result)} for result in results]
                resource["result"] = [*resource.get("result", ()), *more]
        resource["id"] = self.names.entry_id(entry.kind, entry.name)
        meta = resource.get("meta")
        if rewriting.led and isinstance(meta, dict):
            meta = _without_claim(meta, "DiagnosticReportEuImagingMinimalMetadata")
        updated = self.entry.creation_time
        resource["meta"] = {
            **({k: v for k, v in meta.items() if k != "versionId"} if isinstance(meta, dict) else {}),
            **({"lastUpdated": write_date_time(updated)} if updated and len(updated) == 14 else {}),
            "source": self.names.document(),
        }
        return HeldResource(
            id=resource["id"],
            resource=resource,
            document_uuid=self.entry.entry_uuid,
            unique_id=self.entry.unique_id,
            patient_id=self.entry.patient_id,
            status=self.entry.status,
            updated=updated,
            is_current=self.is_current,
            linked=linked,
        )

    def _target(self, literal: str, source: ReportEntry) -> ReportEntry | None:
        """The entry that a reference or URL names: by fullUrl, relative to the source, or by type and id."""
        bare = literal.partition("/_history/")[0]
        base = source.name.rsplit("/", 2)[0] if source.name.count("/") > 2 else ""
        local = "/".join(bare.rsplit("/", 2)[-2:])
        if local.startswith(f"{SELECTION}/"):
            # the resource is a Basic here
            local = f"{BASIC}/{local.partition('/')[2]}"
        for name in (literal, bare, f"{base}/{bare}", local):
            if name in self._targets:
                return self._targets[name]
        return None

    def _reference(self, entry: ReportEntry) -> str:
        if entry.kind == _STUDY:
            uid = study_uid(self._read(entry))
            if uid is not None:
                return f"{_STUDY}/{self.names.study(uid)}"
        return f"{entry.kind}/{self.names.entry_id(entry.kind, entry.name)}"

    def _shown(self, entry: ReportEntry) -> tuple[str, tuple[Json, ...], Json]:
        """`Type/id`, identifiers and content of an entry."""
        content = self._read(entry)
        listed = content.get("identifier")
        identifiers = listed if isinstance(listed, list) else [listed]
        return self._reference(entry), tuple(i for i in identifiers if isinstance(i, dict)), content


def typed_reference(literal: str, content: Json) -> Json:
    """A Reference that tells a Basic of its own from one that is an ImagingSelection in R5."""
    is_basic = content.get("resourceType") == BASIC and not is_selection(content)
    return {"reference": literal, **({"type": BASIC} if is_basic else {})}


def _untyped(reference: Json) -> Json:
    return {name: value for name, value in reference.items() if name != "type"}


def _without_claim(meta: Json, profile: str) -> Json:
    """The meta of a resource that does not keep a profile here: it has references beside identifiers."""
    listed = meta.get("profile")
    kept = [url for url in listed if not str(url).endswith(f"/{profile}")] if isinstance(listed, list) else []
    rest = {name: value for name, value in meta.items() if name != "profile"}
    return {**rest, "profile": kept} if kept else rest


@dataclass(slots=True)
class _Rewriting:
    """Makes a copy of a resource whose references are good outside of its document."""

    target: Callable[[str, ReportEntry], ReportEntry | None]
    shown: Callable[[ReportEntry], tuple[str, tuple[Json, ...], Json]]
    names: ReportNames
    source: ReportEntry
    linked: dict[str, tuple[Json, ...]]
    held: dict[str, Json] = field(default_factory=dict)
    """What is to be contained, by its name in the document."""
    led: bool = False
    """True where a reference by identifier alone was led to a resource."""

    def whole(self, content: Json) -> Json:
        """The copy, with what it has to contain."""
        copy = self._resource(content)
        done: dict[str, Json] = {}
        while len(done) < len(self.held):
            for name, held in list(self.held.items()):
                if name not in done:
                    done[name] = {**self._resource(held), "id": _local_id(name)}
        if done:
            copy["contained"] = [*copy.get("contained", ()), *done.values()]
        return copy

    def _resource(self, content: Json) -> Json:
        return {name: self._value(value) for name, value in content.items()}

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if not isinstance(value, dict):
            return value
        copy = {name: self._value(item) for name, item in value.items()}
        if isinstance(value.get("reference"), str):
            return self._reference(copy, value["reference"])
        if isinstance(value.get("identifier"), dict) and value.keys() <= _IDENTIFYING:
            return self._named(copy)
        url = value.get("url")
        if isinstance(url, str) and "data" not in value:
            return self._attachment(copy, url)
        return copy

    def _reference(self, reference: Json, literal: str) -> Json:
        if literal.startswith("#"):
            return reference
        found = self.target(literal, self.source)
        if found is None:
            return self._outside(reference, literal)
        if found.kind == _PATIENT:
            return {**reference, **self.names.patient()}
        shown, identifiers, content = self.shown(found)
        if found.kind not in SERVED:
            return self._contained(reference, found.name, content)
        self.linked[shown] = identifiers
        if found.kind == BASIC:
            return {**typed_reference(shown, content), **_untyped(reference), "reference": shown}
        added = {"identifier": identifiers[0]} if found.kind in _NAMED and identifiers else {}
        return {**added, **reference, "reference": shown}

    def _contained(self, reference: Json, name: str, content: Json) -> Json:
        """A reference to what has no address of its own here."""
        if "contained" in content:
            # FHIR has no contained resources in contained ones
            return self._words({**reference, "display": reference.get("display", content["resourceType"])})
        self.held.setdefault(name, content)
        return {**reference, "reference": f"#{_local_id(name)}"}

    def _outside(self, reference: Json, literal: str) -> Json:
        """A reference that leads out of the document: one that only made sense there is left to its words."""
        if literal.startswith(("http://", "https://")):
            return reference
        return self._words(reference)

    def _words(self, reference: Json) -> Json:
        del reference["reference"]
        named = self._named(reference) if "identifier" in reference else reference
        return (
            named if named.keys() & {"identifier", "display"} else {**named, "display": "not in the report"}
        )

    def _named(self, reference: Json) -> Json:
        """A reference by identifier alone, led to the resource where there is one."""
        found = self.names.linked(reference)
        if found is None:
            return reference
        literal, identifiers = found
        self.led = True
        self.linked[literal] = identifiers
        return {"reference": literal, **reference}

    def _attachment(self, attachment: Json, url: str) -> Json:
        found = self.target(url, self.source)
        if found is None or found.kind != _BINARY:
            return attachment
        _, _, binary = self.shown(found)
        data: Mapping[str, Any] = {k: binary[k] for k in ("contentType", "data") if k in binary}
        return {**{k: v for k, v in attachment.items() if k != "url"}, **data}


def _local_id(name: str) -> str:
    """Id of a contained resource, which follows from its name in the document."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


_IDENTIFYING: Final = frozenset({"identifier", "type", "display", "extension", "id"})
