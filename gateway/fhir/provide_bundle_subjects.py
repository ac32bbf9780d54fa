"""Whose documents they are: the subject of every resource of a Provide Document Bundle (ITI-65).

Where the affinity domain has a patient manager, subjects may be named as other domains do: by their
identifiers, or by references to Patients of other servers. The manager says who they are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.fhir.datatypes import Json, PatientOf, read_cx
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry
from gateway.fhir.terminology import Terminology
from gateway.model.identity import SourceIdentifier
from gateway.model.metadata import Cx
from gateway.model.oids import is_oid

Strangers = Mapping[SourceIdentifier, tuple[Cx, ...]]
"""Identifiers in the affinity domain of patients that are named otherwise: none, one, or those of several. A
reference stands as value without system."""

NO_STRANGERS: Final[Strangers] = {}
_UNKNOWN: Final = "XDSUnknownPatientId"


def strangers(
    index: BundleIndex, patient_of: PatientOf, terminology: Terminology, domain: frozenset[str]
) -> tuple[SourceIdentifier, ...]:
    """What the manager has to be asked about: whatever names a patient as another domain does."""
    found: dict[SourceIdentifier, None] = {}
    for entry in index.entries if domain else ():
        if entry.kind is EntryKind.PATIENT:
            found |= dict.fromkeys(_of_entry(entry, patient_of, terminology, domain))
            continue
        subject = (entry.resource or {}).get("subject") or {}
        literal, identifier = subject.get("reference"), subject.get("identifier")
        if literal and index.entry_of(literal) is None:
            found |= dict.fromkeys(_of_literal(literal, patient_of))
        if identifier:
            found |= dict.fromkeys(_of_identifier(identifier, terminology, domain))
    return tuple(found)


def _of_entry(
    entry: RequestEntry, patient_of: PatientOf, terminology: Terminology, domain: frozenset[str]
) -> Iterator[SourceIdentifier]:
    if entry.method == "GET":
        yield from _of_literal(entry.url, patient_of)
        return
    identifiers = entry.resource.get("identifier") or ()
    if not any(_authority(each, terminology) in domain for each in identifiers):
        for identifier in identifiers:
            yield from _of_identifier(identifier, terminology, domain)


def _of_literal(literal: str, patient_of: PatientOf) -> Iterator[SourceIdentifier]:
    if "://" in literal and patient_of(literal) is None:
        yield SourceIdentifier("", literal)


def _of_identifier(
    identifier: Json, terminology: Terminology, domain: frozenset[str]
) -> Iterator[SourceIdentifier]:
    system, value = identifier.get("system"), identifier.get("value")
    if system and value and _authority(identifier, terminology) not in domain:
        yield SourceIdentifier(system, value)


def _authority(identifier: Json, terminology: Terminology) -> str | None:
    system = identifier.get("system") or ""
    return system if is_oid(system) else terminology.authorities.oid_or_none(system)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Resolves subject references to the patient identifier of the affinity domain.

    A reference is tried as Patient entry of the Bundle, then as literal reference, then by its identifier.
    `domain` are the assigning authorities of the affinity domain where a manager knows the others, whose
    patients `strangers` are.
    """

    terminology: Terminology
    patient_of: Callable[[str], Cx | None]
    index: BundleIndex
    findings: Findings
    domain: frozenset[str] = frozenset()
    strangers: Strangers = field(default_factory=dict)
    _by_entry: dict[int, Cx | None] = field(default_factory=dict)

    def read(self, reference: Json, path: str) -> Cx | None:
        """The patient of a subject; None after reporting why there is none."""
        literal, identifier = reference.get("reference"), reference.get("identifier")
        patient: Cx | None = None
        if literal:
            entry = self.index.entry_of(literal)
            if entry is not None:
                return self.of_entry(entry)
            patient = None if literal.startswith("#") else self.patient_of(literal)
            stranger = SourceIdentifier("", literal)
            if stranger in self.strangers:
                patient = self._stranger(stranger, f"{path}.reference")
                if patient is None:
                    return None
        if identifier:
            named = self._identified(identifier, f"{path}.identifier")
            if patient is None or named is None:
                return named
            if named != patient:
                self._differ(f"{path}.identifier")
            return patient
        if patient is None:
            self.findings.error(
                path,
                "not-found",
                "This patient is not known. Refer to a Patient of this server or of the Bundle, or give "
                "subject.identifier in a system of terminology.assigning_authorities.",
                _UNKNOWN,
            )
        return patient

    def named(self, reference: Json) -> Cx | None:
        """What another domain calls the patient, where the subject says it."""
        identifier = reference.get("identifier") or {}
        if _key(identifier) not in self.strangers:
            return None
        return read_cx(identifier, self.terminology, Findings(), "")

    def _identified(self, identifier: Json, path: str) -> Cx | None:
        """The patient with an identifier of any domain; None after reporting why there is none."""
        key = _key(identifier)
        if key in self.strangers:
            return self._stranger(key, path)
        return read_cx(identifier, self.terminology, self.findings, path)

    def _stranger(self, source: SourceIdentifier, path: str) -> Cx | None:
        known = self.strangers[source]
        if len(known) == 1:
            return known[0]
        if known:
            text = "The patient manager knows several patients by this, who are not taken for one. Name the "
            text += "patient by the identifier of the affinity domain."
            self.findings.error(path, "multiple-matches", text, _UNKNOWN)
        else:
            text = "The patient manager knows nobody of this affinity domain by this."
            self.findings.error(path, "not-found", text, _UNKNOWN)
        return None

    def of_entry(self, entry: RequestEntry) -> Cx | None:
        """The patient of a Patient entry: its first identifier in an authority that the settings know."""
        if entry.index not in self._by_entry:
            self._by_entry[entry.index] = self._read_entry(entry)
        return self._by_entry[entry.index]

    def _read_entry(self, entry: RequestEntry) -> Cx | None:
        if entry.kind is not EntryKind.PATIENT:
            self.findings.error(entry.resource_path, "value", "The subject has to be a Patient.")
            return None
        if entry.method == "GET":
            stranger = SourceIdentifier("", entry.url)
            if stranger in self.strangers:
                return self._stranger(stranger, f"{entry.path}.request.url")
            found = self.patient_of(entry.url)
            if found is not None:
                return found
        else:
            self.findings.inform(
                entry.resource_path, "The Patient itself is not stored; its identifier names the patient."
            )
        identifiers = list(enumerate(entry.resource.get("identifier") or ()))
        native = [each for each in identifiers if _authority(each[1], self.terminology) in self.domain]
        if self.domain and identifiers and not native:
            return self._stranger_of_entry(entry)
        attempt = Findings()
        for number, identifier in native or identifiers:
            path = f"{entry.resource_path}.identifier[{number}]"
            found = read_cx(identifier, self.terminology, attempt, path)
            if found is not None:
                return found
        for issue in attempt.errors[:1]:
            self.findings.error(issue.expression or entry.path, issue.code, issue.diagnostics)
        if not attempt.errors:
            self.findings.error(
                f"{entry.resource_path}.identifier",
                "required",
                "The Patient needs an identifier in a system of terminology.assigning_authorities.",
                _UNKNOWN,
            )
        return None

    def _stranger_of_entry(self, entry: RequestEntry) -> Cx | None:
        """The patient that the identifiers of other domains in a Patient mean, each of them or none."""
        path = f"{entry.resource_path}.identifier"
        keys = [_key(each) for each in entry.resource["identifier"]]
        known = dict.fromkeys(cx for key in keys for cx in self.strangers.get(key, ()))
        if len(known) == 1:
            return next(iter(known))
        if known:
            text = "The patient manager knows several patients by these identifiers, not one."
            self.findings.error(path, "multiple-matches", text, _UNKNOWN)
        else:
            text = "The patient manager knows nobody of this affinity domain by one of these identifiers."
            self.findings.error(path, "not-found", text, _UNKNOWN)
        return None

    def require_same(self, patients: list[tuple[str, Cx | None]]) -> None:
        """Report every subject that is another patient than the first one."""
        known = [(path, patient) for path, patient in patients if patient is not None]
        for path, patient in known[1:]:
            if patient != known[0][1]:
                self._differ(path)

    def _differ(self, path: str) -> None:
        self.findings.error(
            path,
            "business-rule",
            "All subjects of a Bundle are the same patient.",
            "XDSPatientIdDoesNotMatch",
        )


def _key(identifier: Json) -> SourceIdentifier:
    return SourceIdentifier(identifier.get("system") or "", identifier.get("value") or "")
