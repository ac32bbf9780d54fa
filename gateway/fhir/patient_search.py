"""Searches of Patient by identifier and `_id` (HL7 Europe Imaging Report; a part of ITI-78).

XDS knows patients by their identifier in the affinity domain and has no demographics to search by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.search_table import CONTROLS, Kind, ParameterTable, SearchParameter
from gateway.fhir.search_tokens import read_patient_identifier
from gateway.fhir.search_values import SearchProblem, alternatives, read_token, shown
from gateway.fhir.terminology import Terminology
from gateway.model.codes import FHIR_SEARCH_PARAMETER
from gateway.model.metadata import Cx

PATIENT_PARAMETERS: Final = ParameterTable(
    "Patient",
    (
        SearchParameter(
            "identifier",
            Kind.TOKEN,
            "Patient.identifier",
            FHIR_SEARCH_PARAMETER + "Patient-identifier",
            "system|value of the patient in the affinity domain, or the value alone in the authorities of "
            "search.patient_authorities.",
        ),
        SearchParameter(
            "_id",
            Kind.TOKEN,
            "Patient.id",
            FHIR_SEARCH_PARAMETER + "Resource-id",
            "The id of a Patient of this server.",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """A search that was understood: `patients` are those that may match, each once."""

    patients: tuple[Cx, ...]
    self_parameters: tuple[tuple[str, str], ...]
    warnings: tuple[Issue, ...] = ()


def parse_patient_search(
    parameters: Sequence[tuple[str, str]],
    terminology: Terminology,
    patient_of: Callable[[str], Cx | None],
    authorities: Sequence[str],
    *,
    strict: bool = False,
) -> PatientSearch:
    """Understand a search. `authorities` are OIDs that a value without system may belong to.

    Raises OutcomeError 400 with every problem.
    """
    groups: list[list[Cx]] = []
    used: list[tuple[str, str]] = []
    errors: list[Issue] = []
    for name, value in parameters:
        if name in CONTROLS:
            continue
        try:
            row = PATIENT_PARAMETERS.find(name)
            if row is None:
                raise SearchProblem(
                    "not-supported", f"{shown(name)}: Patients are searched by identifier or _id."
                )
            if row[0].name == "_id":
                found = [patient_of(f"Patient/{read_token(v).code}") for v in alternatives(value)]
                groups.append([patient for patient in found if patient is not None])
            else:
                groups.append(
                    [p for v in alternatives(value) for p in _patients(v, name, terminology, authorities)]
                )
            used.append((name, value))
        except SearchProblem as problem:
            # what is not known is left out of a lenient search, as FHIR asks
            if strict or problem.issue.code != "not-supported":
                errors.append(problem.issue)
    if not groups and not errors:
        errors.append(
            Issue("error", "required", "identifier or _id is required to search Patient resources.")
        )
    if errors:
        raise OutcomeError(400, errors)
    first, *others = groups
    return PatientSearch(
        tuple(dict.fromkeys(p for p in first if all(p in other for other in others))), tuple(used)
    )


def _patients(value: str, name: str, terminology: Terminology, authorities: Sequence[str]) -> list[Cx]:
    token = read_token(value)
    if token.system:
        return [read_patient_identifier(value, name, terminology)]
    if not authorities:
        raise SearchProblem(
            "value", f"{name}: give system|value; no setting says which authorities a value may belong to."
        )
    return [Cx(token.code or "", authority) for authority in authorities]
