"""Deviations of the evidence and of the content tree."""

from collections.abc import Callable
from copy import deepcopy

from msgspec.structs import replace
from pydicom.dataset import Dataset

from gateway.model.metadata import Code
from tests.dicom.deviations import (
    FILE,
    LEGACY,
    MANIFEST,
    Deviation,
    by,
    called,
    deleting,
    entries,
    evidence,
    group,
    library,
    listed,
    named,
    series,
    setting,
    study,
    without,
)
from tests.dicom.samples import DCM, ROOT

# --- evidence -----------------------------------------------------------------------------------------------


def other_study(document: Dataset) -> None:
    second = deepcopy(evidence(document))
    second.StudyInstanceUID = "2.999.404"
    document.CurrentRequestedProcedureEvidenceSequence.append(second)


def moved_evidence(document: Dataset) -> None:
    document.PertinentOtherEvidenceSequence = document.CurrentRequestedProcedureEvidenceSequence
    del document.CurrentRequestedProcedureEvidenceSequence


def split_series(document: Dataset) -> None:
    first, second = listed(document, 0), listed(document, 1)
    images = list(first.ReferencedSOPSequence)
    first.ReferencedSOPSequence, second.ReferencedSOPSequence = images[:2], images[2:]


def itself(document: Dataset) -> None:
    reference = Dataset()
    reference.ReferencedSOPClassUID = document.SOPClassUID
    reference.ReferencedSOPInstanceUID = document.SOPInstanceUID
    listed(document, 4).ReferencedSOPSequence.append(reference)


def two_viewers(document: Dataset) -> None:
    block = evidence(document).private_block(0x000D, "IHE_MADO_PRIVATE", create=True)
    block.add_new(0x01, "UR", "https://other.example/")


def script_for_viewer(document: Dataset) -> None:
    evidence(document)[0x0040E012].value = "javascript:alert(1)"


def unreserved_viewer(document: Dataset) -> None:
    del evidence(document)[0x0040E012]
    evidence(document).add_new(0x000D4201, "UR", "https://viewer.example/?study=7")


def with_instance(number: int, uid: str) -> Callable[[Dataset], None]:
    def edit(document: Dataset) -> None:
        reference = deepcopy(listed(document, number).ReferencedSOPSequence[0])
        reference.ReferencedSOPInstanceUID = uid
        listed(document, number).ReferencedSOPSequence.append(reference)

    return edit


EVIDENCE = (
    Deviation("study-uid-differs", setting(StudyInstanceUID="2.999.404")),
    Deviation("other-study", by(other_study)),
    Deviation(
        "evidence-missing",
        deleting("CurrentRequestedProcedureEvidenceSequence"),
        study(viewer_url=None, series=tuple(replace(one, locations=()) for one in MANIFEST.study.series)),
    ),
    Deviation("evidence-elsewhere", by(moved_evidence)),
    Deviation(
        "no-series",
        by(lambda d: setattr(evidence(d), "ReferencedSeriesSequence", []), LEGACY),
        lambda read: read.study.series == (),
    ),
    Deviation("series-repeated", FILE),
    Deviation("series-split", by(split_series)),
    Deviation(
        "series-empty",
        by(lambda d: setattr(listed(d, 2), "ReferencedSOPSequence", [])),
        series(1, instances=()),
    ),
    Deviation("instance-repeated", by(with_instance(2, f"{ROOT}.3.2.3"))),
    Deviation(
        "instance-in-two-series",
        by(with_instance(2, f"{ROOT}.3.3.1")),
        lambda read: [len(one.instances) for one in read.study.series] == [4, 4, 1, 1],
    ),
    Deviation("self-reference", by(itself)),
    Deviation(
        "uid-reused",
        setting(SeriesInstanceUID=f"{ROOT}.2.2"),
        lambda read: read == replace(MANIFEST, series_instance_uid=f"{ROOT}.2.2"),
    ),
    Deviation(
        "location-missing",
        by(lambda d: delattr(listed(d, 2), "RetrieveLocationUID")),
        series(1, locations=()),
    ),
    Deviation("viewer-differs", by(two_viewers)),
    Deviation(
        "viewer-scheme",
        by(script_for_viewer),
        lambda read: read == replace(MANIFEST, study=replace(MANIFEST.study, viewer_url=None)),
    ),
    Deviation("viewer-block-unreserved", by(unreserved_viewer)),
)

# --- content ------------------------------------------------------------------------------------------------


def wrapped(document: Dataset) -> None:
    root = named("131560", "CONTAINER")
    root.RelationshipType, root.ContinuityOfContent = "CONTAINS", "SEPARATE"
    root.ContentSequence = list(document.ContentSequence)
    document.ContentSequence = [root]


def second_library(document: Dataset) -> None:
    other = deepcopy(library(document))
    groups = [item for item in other.ContentSequence if item.ValueType == "CONTAINER"]
    other.ContentSequence = groups[2:]
    own = library(document)
    own.ContentSequence = [
        i for i in own.ContentSequence if i.ValueType != "CONTAINER" or i not in groups[2:]
    ]
    document.ContentSequence.append(other)


def group_outside(document: Dataset) -> None:
    last = group(document, 3)
    library(document).ContentSequence = [
        item for item in library(document).ContentSequence if item is not last
    ]
    document.ContentSequence.append(last)


def unknown_group(document: Dataset) -> None:
    other = deepcopy(group(document, 3))
    called(other, "112002").UID = "2.999.404"
    library(document).ContentSequence.append(other)


def doubled_group(document: Dataset) -> None:
    other = deepcopy(group(document, 1))
    without(group(document, 1), "131563")
    library(document).ContentSequence.append(other)


def lost_group(document: Dataset) -> None:
    last = group(document, 3)
    library(document).ContentSequence = [
        item for item in library(document).ContentSequence if item is not last
    ]


def siblings(*, after: bool) -> Callable[[Dataset], None]:
    """Instance numbers beside the entries instead of inside."""

    def edit(document: Dataset) -> None:
        flat = []
        for item in group(document, 1).ContentSequence:
            inside = list(item.ContentSequence) if "ReferencedSOPSequence" in item else []
            if inside:
                del item.ContentSequence
            flat += [item, *inside] if after else [*inside, item]
        group(document, 1).ContentSequence = flat

    return edit


def key_object_at_group(document: Dataset) -> None:
    (entry,) = entries(document, 3)
    inside = [i for i in entry.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue != "113609"]
    entry.ContentSequence = [i for i in entry.ContentSequence if i not in inside]
    group(document, 3).ContentSequence.extend(inside)


def new_entry(document: Dataset) -> None:
    other = deepcopy(entries(document, 1)[0])
    other.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.999.404"
    group(document, 1).ContentSequence.append(other)


def lost_entry(document: Dataset) -> None:
    last = entries(document, 1)[-1]
    group(document, 1).ContentSequence = [i for i in group(document, 1).ContentSequence if i is not last]


def other_class(document: Dataset) -> None:
    entries(document, 1)[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"


def doubled_entry(document: Dataset) -> None:
    other = deepcopy(entries(document, 1)[0])
    other.ContentSequence[0].TextValue = "99"
    group(document, 1).ContentSequence.append(other)


def unlisted_reference(document: Dataset) -> None:
    document.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.999.404"


def study_start(document: Dataset) -> None:
    library(document).ContentSequence.insert(0, named("111060", "DATE", Date="20260311"))


def without_modality(document: Dataset) -> None:
    without(group(document, 1), "121139")


def unknown_modality(document: Dataset) -> None:
    without_modality(document)
    listed(document, 2).ReferencedSOPSequence[0].ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"


def second_description(document: Dataset) -> None:
    group(document, 1).ContentSequence.append(named("131563", "TEXT", TextValue="another"))


SECOND_SERIES = MANIFEST.study.series[1]
LAST_OF_SECOND = SECOND_SERIES.instances[-1]

CONTENT = (
    Deviation("no-image-library", LEGACY, lambda read: len(read.study.series) == 4),
    Deviation("content-wrapped", by(wrapped)),
    Deviation("library-repeated", by(second_library)),
    Deviation("group-outside-library", by(group_outside)),
    Deviation("group-without-series", by(unknown_group)),
    Deviation("group-repeated", by(doubled_group)),
    Deviation(
        "series-without-group",
        by(lost_group),
        lambda read: [len(one.instances) for one in read.study.series] == [4, 3, 1, 1],
    ),
    Deviation("group-series-by-instance", by(lambda d: without(group(d, 1), "112002"))),
    Deviation("entry-unknown", by(new_entry)),
    Deviation(
        "entry-missing",
        by(lost_entry),
        series(1, instances=(*SECOND_SERIES.instances[:-1], replace(LAST_OF_SECOND, number=None))),
    ),
    Deviation("entry-class-differs", by(other_class)),
    Deviation("entry-repeated", by(doubled_entry)),
    Deviation("instance-attribute-sibling", by(siblings(after=False))),
    Deviation("instance-attribute-sibling", by(siblings(after=True))),
    Deviation("key-object-at-group", by(key_object_at_group)),
    Deviation("reference-unlisted", by(unlisted_reference)),
    Deviation("reference-missing", by(lambda d: d.ContentSequence.pop())),
    Deviation("study-start-differs", by(study_start)),
    Deviation(
        "series-count-differs",
        by(lambda d: setattr(called(library(d), "131565").MeasuredValueSequence[0], "NumericValue", "9")),
        study(stated_series=9),
    ),
    Deviation(
        "instance-count-differs",
        by(lambda d: setattr(called(group(d, 1), "131564").MeasuredValueSequence[0], "NumericValue", "9")),
        series(1, stated_instances=9),
    ),
    Deviation("modality-derived", by(without_modality), series(1, modality=Code("CT", DCM))),
    Deviation("modality-unknown", by(unknown_modality), lambda read: read.study.series[1].modality is None),
    Deviation(
        "region-scheme",
        by(
            lambda d: setattr(
                called(library(d), "123014").ConceptCodeSequence[0], "CodingSchemeDesignator", "DCM"
            )
        ),
    ),
    Deviation("region-missing", by(lambda d: without(library(d), "123014")), study(regions=())),
    Deviation("value-repeated", by(second_description)),
)
