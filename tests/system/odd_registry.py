"""A registry of documents and Lists as odd as registries have them: absent, coarse and extreme times, codes of
any kind and number, names with delimiters, uniqueIds of each form and twice, On-Demand, deprecated.

The content is the same in every run. It is written to the tables, since a submission would be refused.
"""

import random
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from msgspec.structs import replace

from gateway.affinity import objects
from gateway.affinity.schema import open_writer
from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    Person,
    ReferenceId,
    SubmissionSet,
    codes,
)
from tests.fhir.naive_search import PATIENT, SYSTEMS

DOCUMENTS, SETS, FOLDERS = 70, 40, 20
MOMENTS = [
    datetime(2023, 12, 31, 23, 59, 59),
    datetime(2024, 1, 1),
    datetime(2024, 1, 1, 0, 59, 59),
    datetime(2024, 6, 15, 12, 30),
    datetime(2024, 6, 15, 12, 30, 1),
    datetime(2024, 6, 30, 23, 59, 59),
    datetime(2025, 1, 1),
]
EXTREMES = ["0001", "00010101000000", "9999", "99991231235959", "20240229", "197001010000"]
FAMILIES = [None, "Welby", "WELBY", "Müller", "Mueller", "O'Hara & Söhne", "w", "A^B|C~D\\E", "100%_sure"]
GIVEN = [None, "Anna Maria", "Marcus", "Maria", "w"]
DISPLAYS = [None, "Émile report", "Emil", "Other", "émilie"]


@dataclass(frozen=True)
class OddRegistry:
    """What the registry holds. `submitted` is the DTM of the submission of each document that has one."""

    documents: tuple[DocumentEntry, ...]
    lists: tuple[SubmissionSet | Folder, ...]
    associations: tuple[Association, ...]
    submitted: dict[str, str]


def odd_registry() -> OddRegistry:
    """Always the same content."""
    chance = random.Random("odd registry")
    documents = tuple(_document(chance, number) for number in range(DOCUMENTS))
    sets = tuple(_submission_set(chance, number) for number in range(SETS))
    folders = tuple(_folder(chance, number) for number in range(FOLDERS))
    associations: list[Association] = []
    submitted = {}
    for document in documents[5:]:
        # a submission and a Folder are of one patient, a reference may be to another's document
        origin = chance.choice([s for s in sets if s.patient_id == document.patient_id])
        submitted[document.entry_uuid] = origin.submission_time
        associations.append(_member(len(associations), origin, document, "Original"))
        if chance.random() < 0.3:
            other = chance.choice([s for s in sets if s is not origin])
            associations.append(_member(len(associations), other, document, "Reference"))
        if chance.random() < 0.3:
            holder = chance.choice([f for f in folders if f.patient_id == document.patient_id])
            associations.append(_member(len(associations), holder, document, None))
    for folder in folders:
        origin = chance.choice([s for s in sets if s.patient_id == folder.patient_id])
        associations.append(_member(len(associations), origin, folder, None))
    return OddRegistry(documents, (*sets, *folders), tuple(associations), submitted)


def fill(path: Path, content: OddRegistry) -> None:
    """Put the content into the database of an affinity domain."""
    connection = open_writer(path)
    connection.execute("BEGIN IMMEDIATE")
    _insert(connection, content)
    connection.execute("COMMIT")
    connection.close()


def _insert(connection: sqlite3.Connection, content: OddRegistry) -> None:
    for document in content.documents:
        objects.insert_entry(connection, document)
    for item in content.lists:
        if isinstance(item, SubmissionSet):
            objects.insert_submission_set(connection, item)
        else:
            objects.insert_folder(connection, item)
    for association in content.associations:
        objects.insert_association(connection, association)


def _uuid(kind: int, number: int) -> str:
    return UUID(int=(kind << 96) + 0x4000_8000_0000_0000_0000 + number).urn


def _dtm(chance: random.Random) -> str:
    if chance.random() < 0.08:
        return chance.choice(EXTREMES)
    return chance.choice(MOMENTS).strftime("%Y%m%d%H%M%S")[: chance.choice([4, 6, 8, 10, 12, 14, 14])]


def _maybe(chance: random.Random, value: str) -> str | None:
    return value if chance.random() < 0.8 else None


def _code(chance: random.Random) -> Code:
    return Code(chance.choice("ABa"), chance.choice(list(SYSTEMS.values())), chance.choice(DISPLAYS))


def _codes(chance: random.Random, most: int) -> tuple[Code, ...]:
    found = {(c.code, c.scheme): c for c in (_code(chance) for _ in range(chance.randint(0, most)))}
    return tuple(found.values())


def _authors(chance: random.Random) -> tuple[Author, ...]:
    authors = []
    for _ in range(chance.randint(0, 2)):
        family, given = chance.choice(FAMILIES), chance.choice(GIVEN)
        if family or given:
            authors.append(Author(Person(family=family, given=given, further_given=chance.choice(GIVEN))))
    return tuple(authors)


def _references(chance: random.Random) -> tuple[ReferenceId, ...]:
    kinds = [codes.REFERENCE_ACCESSION, codes.REFERENCE_ORDER]
    found = [
        ReferenceId(chance.choice(["ACC_1", "ACC1"]), chance.choice(["2.999.7", "2.999.8"]), kind)
        for kind in kinds
        if chance.random() < 0.4
    ]
    if chance.random() < 0.4:
        found.append(ReferenceId(chance.choice(["1.2.3", "1.2.34"]), None, codes.REFERENCE_STUDY))
    return tuple(found)


def _patient(number: int) -> Cx:
    return Cx("P2", "2.999.1") if number % 5 == 0 else PATIENT


def _document(chance: random.Random, number: int) -> DocumentEntry:
    on_demand = chance.random() < 0.1
    single = {
        name: chance.choice([None, _code(chance), _code(chance)])
        for name in ("class_code", "type_code", "format_code", "facility_type", "practice_setting")
    }
    unique_ids = [f"1.2.3.{number}", f"1.2.{number}^ext", _uuid(9, number), "1.2.3", "1.2.3^ext"]
    entry = DocumentEntry(
        entry_uuid=_uuid(1, number),
        unique_id=chance.choice(unique_ids),
        patient_id=_patient(number),
        status=AvailabilityStatus.DEPRECATED if chance.random() < 0.3 else AvailabilityStatus.APPROVED,
        mime_type="text/plain",
        repository_unique_id="2.999.10.1",
        object_type=codes.ON_DEMAND_DOCUMENT if on_demand else codes.STABLE_DOCUMENT,
        authors=_authors(chance),
        confidentiality=_codes(chance, 3),
        event_codes=_codes(chance, 3),
        reference_ids=_references(chance),
        creation_time=None if on_demand else _maybe(chance, _dtm(chance)),
        service_start_time=_maybe(chance, _dtm(chance)),
        service_stop_time=_maybe(chance, _dtm(chance)),
        language="en",
        title=f"Document {number}",
        **single,
    )
    # a stable document has hash and size
    return entry if on_demand else replace(entry, hash=f"{number:040x}", size=number)


def _submission_set(chance: random.Random, number: int) -> SubmissionSet:
    return SubmissionSet(
        entry_uuid=_uuid(2, number),
        unique_id=f"1.2.4.{number}",
        source_id=chance.choice(["2.999.3", "2.999.33"]),
        submission_time=_dtm(chance),
        patient_id=_patient(number),
        content_type=chance.choice([None, _code(chance)]),
        authors=_authors(chance),
    )


def _folder(chance: random.Random, number: int) -> Folder:
    return Folder(
        entry_uuid=_uuid(3, number),
        unique_id=f"1.2.5.{number}",
        patient_id=_patient(number),
        code_list=_codes(chance, 3),
        last_update_time=_dtm(chance),
        title=f"Folder {number}",
    )


def _member(
    number: int, owner: SubmissionSet | Folder, member: DocumentEntry | Folder, status: str | None
) -> Association:
    return Association(
        entry_uuid=_uuid(4, number),
        type=codes.HAS_MEMBER,
        source=owner.entry_uuid,
        target=member.entry_uuid,
        submission_set_status=status,
    )
