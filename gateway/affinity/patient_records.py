"""The patients of the embedded patient manager: FHIR R4 Patients in files of a folder, one each, with the
identifiers of every domain that knows the person.
"""

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

Patient = dict[str, Any]
Identifier = tuple[str, str]
"""System and value."""

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


class PatientRecords:
    """Patients by id. Raises OSError and ValueError where the folder cannot be read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._patients: dict[str, Patient] = {}
        for path in sorted(folder.glob("*.json")):
            try:
                patient = orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError:
                patient = None
            if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
                raise ValueError(f"{path}: is no Patient in JSON")
            patient.setdefault("id", path.stem)
            self._patients[patient["id"]] = patient

    def __iter__(self) -> Iterator[Patient]:
        """In the order of their ids."""
        return iter([self._patients[number] for number in sorted(self._patients)])

    def get(self, logical_id: str) -> Patient | None:
        """One of them."""
        return self._patients.get(logical_id)

    @property
    def systems(self) -> frozenset[str]:
        """The domains of all identifiers."""
        return frozenset(system for patient in self for system, _ in identifiers(patient))

    def with_identifier(self, identifier: Identifier) -> list[Patient]:
        """The patients with an identifier."""
        return [patient for patient in self if identifier in identifiers(patient)]

    def put(self, identifier: Identifier, patient: Patient) -> tuple[Patient, bool]:
        """Add a patient, or take the place of the one with the identifier; True where it is new.

        The identifiers of other domains stay. Raises ValueError where several have the identifier.
        """
        known = self.with_identifier(identifier)
        if len(known) > 1:
            raise ValueError("several patients have this identifier")
        number = known[0]["id"] if known else str(uuid.uuid4())
        further = known[0].get("identifier", []) if known else []
        sent = identifiers(patient)
        kept = [each for each in further if (each.get("system"), each.get("value")) not in sent]
        stored = {**patient, "id": number, "identifier": [*patient.get("identifier", []), *kept]}
        self._write(stored)
        self._patients[number] = stored
        return stored, not known

    def _write(self, patient: Patient) -> None:
        if not _ID.fullmatch(patient["id"]):
            raise ValueError("the id of a Patient has letters, digits, - and . alone")
        path = self._folder / f"{patient['id']}.json"
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(orjson.dumps(patient))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def identifiers(patient: Patient) -> list[Identifier]:
    """Those with system and value."""
    listed = patient.get("identifier") or ()
    return [(each["system"], each["value"]) for each in listed if each.get("system") and each.get("value")]


def is_active(patient: Patient) -> bool:
    """False for one that was merged into another."""
    return patient.get("active") is not False


# --- searches ---------------------------------------------------------------------------------------------
def matches(patient: Patient, name: str, values: Iterable[str]) -> bool:
    """Whether one of the values of a search parameter of ITI-78 fits. Raises KeyError for an unknown one."""
    bare, _, modifier = name.partition(":")
    if modifier not in ("", "exact"):
        raise KeyError(name)
    fits = _TOKENS.get(bare)
    if fits is not None:
        return any(fits(patient, value) for value in values)
    texts = _TEXTS[bare](patient)
    if modifier == "exact":
        return not set(values).isdisjoint(texts)
    return any(text.casefold().startswith(value.casefold()) for text in texts for value in values)


def _parts(element: str, *parts: str) -> Callable[[Patient], list[str]]:
    def read(patient: Patient) -> list[str]:
        found = []
        for each in patient.get(element) or ():
            for part in parts:
                value = each.get(part)
                found += value if isinstance(value, list) else [value] if value else []
        return found

    return read


def _maiden(patient: Patient) -> list[str]:
    return [
        each.get("valueString", "")
        for each in patient.get("extension") or ()
        if each.get("url", "").endswith("/patient-mothersMaidenName")
    ]


_TEXTS: Final[dict[str, Callable[[Patient], list[str]]]] = {
    "family": _parts("name", "family"),
    "given": _parts("name", "given"),
    "name": _parts("name", "family", "given", "prefix", "suffix", "text"),
    "address": _parts("address", "line", "city", "state", "postalCode", "country", "text"),
    "address-city": _parts("address", "city"),
    "address-state": _parts("address", "state"),
    "address-postalcode": _parts("address", "postalCode"),
    "address-country": _parts("address", "country"),
    "mothersMaidenName": _maiden,
}


def _code(value: str) -> str:
    return value.rpartition("|")[2]


_TOKENS: Final[dict[str, Callable[[Patient, str], bool]]] = {
    "_id": lambda patient, value: patient["id"] == value,
    "active": lambda patient, value: is_active(patient) == (_code(value) == "true"),
    "gender": lambda patient, value: patient.get("gender") == _code(value),
    "birthdate": lambda patient, value: str(patient.get("birthDate", "")).startswith(
        value.removeprefix("eq")
    ),
    "telecom": lambda patient, value: _code(value) in _parts("telecom", "value")(patient),
}
