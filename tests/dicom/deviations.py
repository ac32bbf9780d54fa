"""Files that deviate, and what is read of them all the same: means to make them."""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace
from pydicom.dataset import Dataset

from gateway.dicom.kos_writer import write_kos
from gateway.model.imaging import Instance, Manifest
from tests.dicom.samples import ROOT, edited, group_case, group_case_files

MANIFEST = group_case()
FILE = write_kos(MANIFEST)
LEGACY = group_case_files()["legacy"]
KEY = f"{ROOT}.3.4.1"


@dataclass(frozen=True)
class Deviation:
    """A file that has it, and what has to be true of what is read."""

    rule: str
    data: bytes
    holds: Callable[[Manifest], bool] = lambda read: read == MANIFEST


def by(edit: Callable[[Dataset], None], data: bytes = FILE) -> bytes:
    return edited(data, edit)


def swapped(old: bytes, new: bytes, count: int = 1, data: bytes = FILE) -> bytes:
    """The file with bytes of the same length exchanged."""
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new, count)


def evidence(document: Dataset) -> Dataset:
    return document.CurrentRequestedProcedureEvidenceSequence[0]


def listed(document: Dataset, number: int) -> Dataset:
    """A series of the evidence: the first two items are those of the first series at its two locations."""
    return evidence(document).ReferencedSeriesSequence[number]


def library(document: Dataset) -> Dataset:
    return next(item for item in document.ContentSequence if item.ValueType == "CONTAINER")


def group(document: Dataset, number: int) -> Dataset:
    groups = [item for item in library(document).ContentSequence if item.ValueType == "CONTAINER"]
    return groups[number]


def entries(document: Dataset, number: int) -> list[Dataset]:
    return [item for item in group(document, number).ContentSequence if "ReferencedSOPSequence" in item]


def called(container: Dataset, code: str) -> Dataset:
    """The content item with a concept name."""
    return next(
        item
        for item in container.ContentSequence
        if "ConceptNameCodeSequence" in item and item.ConceptNameCodeSequence[0].CodeValue == code
    )


def without(container: Dataset, *codes: str) -> None:
    container.ContentSequence = [
        item
        for item in container.ContentSequence
        if "ConceptNameCodeSequence" not in item or item.ConceptNameCodeSequence[0].CodeValue not in codes
    ]


def named(code: str, value_type: str, **values: object) -> Dataset:
    """A content item."""
    item, name = Dataset(), Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = code, "DCM", code
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = (
        "HAS ACQ CONTEXT",
        value_type,
        [name],
    )
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def study(**changes: object) -> Callable[[Manifest], bool]:
    """What is read is the manifest with these changes in its study."""
    return lambda read: read == replace(MANIFEST, study=replace(MANIFEST.study, **changes))


def series(number: int, **changes: object) -> Callable[[Manifest], bool]:
    """What is read is the manifest with these changes in one series."""
    made = [replace(s, **changes) if at == number else s for at, s in enumerate(MANIFEST.study.series)]
    return study(series=tuple(made))


def first_instances(*instances: Instance) -> Callable[[Manifest], bool]:
    return series(0, instances=instances)


def setting(**values: object) -> bytes:
    """The file with elements of its root set."""

    def edit(document: Dataset) -> None:
        for keyword, value in values.items():
            setattr(document, keyword, value)

    return by(edit)


def deleting(*keywords: str, data: bytes = FILE) -> bytes:
    def edit(document: Dataset) -> None:
        for keyword in keywords:
            del document[keyword]

    return by(edit, data)
