"""sourcePatientInfo: HL7 v2 PID fields as slot values `PID-3|...` (ITI TF-3 4.2.3.2.23)."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

from gateway.ebxml import hl7
from gateway.ebxml.names import LONG_NAME
from gateway.model import Cx, Person, SourcePatientInfo
from gateway.model.identity import PatientQuery
from gateway.model.metadata import Address, Telecom

_T = TypeVar("_T")


@lru_cache(1024)
def read_patient_info(lines: tuple[str, ...]) -> SourcePatientInfo | None:
    """PID lines, repetitions joined with `~` or one a line. None where there is no line.

    The entries of a patient repeat them, so the last ones are kept.
    """
    ids: list[Cx] = []
    names: list[Person] = []
    addresses: list[Address] = []
    birth_date: str | None = None
    gender: str | None = None
    other: list[str] = []
    for line in lines:
        field, bar, content = line.partition("|")
        repetitions = [part for part in content.split("~") if part.strip("^&")]
        match field.strip().upper() if bar else "":
            case "PID-3":
                ids.extend(hl7.read_cx(part) for part in repetitions)
            case "PID-5":
                names.extend(hl7.read_xpn(part) for part in repetitions)
            case "PID-7" if birth_date is None:
                birth_date = content.partition("^")[0].strip() or None
            case "PID-8" if gender is None:
                gender = content.partition("^")[0].strip().upper() or None
            case "PID-11":
                addresses.extend(hl7.read_xad(part) for part in repetitions)
            case _:
                other.append(line)
    info = SourcePatientInfo(
        ids=tuple(ids),
        names=tuple(names),
        birth_date=birth_date,
        gender=gender,
        addresses=tuple(addresses),
        other=tuple(other),
    )
    return None if info == SourcePatientInfo() else info


def further_details(info: SourcePatientInfo) -> PatientQuery:
    """What `info.other` says besides, as far as anybody is found by it: PID-6 (maiden name of the mother),
    PID-13 and PID-14 (numbers at home and at work)."""
    maiden: Person | None = None
    telecoms: list[Telecom] = []
    for line in info.other:
        field, _, content = line.partition("|")
        repetitions = [part for part in content.split("~") if part.strip("^&")]
        match field.strip().upper():
            case "PID-6" if repetitions and maiden is None:
                maiden = hl7.read_xpn(repetitions[0])
            case "PID-13" | "PID-14":
                telecoms += [telecom for part in repetitions if (telecom := hl7.read_xtn(part))]
    return PatientQuery(mothers_maiden_name=maiden, telecoms=tuple(dict.fromkeys(telecoms)))


def write_patient_info(info: SourcePatientInfo) -> list[str]:
    """PID lines in field order; repetitions share a line as long as 256 characters hold them."""
    lines = _lines("PID-3", info.ids, hl7.write_cx)
    lines += _lines("PID-5", info.names, hl7.write_xpn)
    if info.birth_date:
        lines.append(f"PID-7|{info.birth_date}")
    if info.gender:
        lines.append(f"PID-8|{info.gender}")
    lines += _lines("PID-11", info.addresses, hl7.write_xad)
    lines += info.other
    return lines


def _lines(field: str, values: Sequence[_T], write: Callable[[_T], str]) -> list[str]:
    lines: list[str] = []
    for value in values:
        text = write(value)
        if lines and len(lines[-1]) + 1 + len(text) <= LONG_NAME:
            lines[-1] += "~" + text
        else:
            lines.append(f"{field}|{text}")
    return lines
