"""Whose documents they are: the subject of every resource of a Provide Document Bundle (ITI-65)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.fhir.datatypes import Json, read_cx
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry
from gateway.fhir.terminology import Terminology
from gateway.model.metadata import Cx


@dataclass(frozen=True, slots=True)
class Subjects:
    """Resolves subject references to the patient identifier of the affinity domain.

    A reference is tried as Patient entry of the Bundle, then as literal reference, then by its identifier.
    """

    terminology: Terminology
    patient_of: Callable[[str], Cx | None]
    index: BundleIndex
    findings: Findings
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
        if identifier:
            named = read_cx(identifier, self.terminology, self.findings, f"{path}.identifier")
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
                "XDSUnknownPatientId",
            )
        return patient

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
            found = self.patient_of(entry.url)
            if found is not None:
                return found
        else:
            self.findings.inform(
                entry.resource_path, "The Patient itself is not stored; its identifier names the patient."
            )
        attempt = Findings()
        for number, identifier in enumerate(entry.resource.get("identifier") or ()):
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
                "XDSUnknownPatientId",
            )
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
