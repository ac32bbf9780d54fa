"""Evidence of a key object document: the study, its series with their locations, its instances.

PS3.3 C.17.6.2 and Table 10-4 (Hierarchical SOP Instance Reference macro), IHE RAD TF-3 4.68 and MADO for
the Retrieve Location UID. The evidence is authoritative: the content tree only describes what it lists.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.dicom import tags
from gateway.dicom.elements import Dataset
from gateway.dicom.values import Values, items, leaf
from gateway.model.imaging import RetrieveLocation, RetrieveLocationUid

_EVIDENCE: Final = tags.name(tags.CURRENT_EVIDENCE)
_SERIES: Final = tags.name(tags.REFERENCED_SERIES)


@dataclass(slots=True)
class ListedSeries:
    """A series as the evidence lists it: SOP class by SOP instance UID (empty where not given)."""

    uid: str
    place: str
    locations: list[RetrieveLocation] = field(default_factory=list)
    instances: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Evidence:
    """The study that the evidence lists; `study_uid` is None where there is no evidence."""

    study_uid: str | None = None
    series: dict[str, ListedSeries] = field(default_factory=dict)
    viewer_url: str | None = None


def read_evidence(document: Dataset, study_uid: str | None, values: Values) -> Evidence:
    """What the document lists of one study, by preference that of `study_uid`."""
    studies = items(document, tags.CURRENT_EVIDENCE)
    if not studies and (studies := items(document, tags.OTHER_EVIDENCE)):
        values.report("evidence-elsewhere", tags.name(tags.OTHER_EVIDENCE))
    if not studies:
        values.report("evidence-missing", _EVIDENCE)
        return Evidence(study_uid)
    named = [
        (study, values.uid(study, tags.STUDY_INSTANCE_UID, f"{_EVIDENCE}[{n}]"))
        for n, study in enumerate(studies, start=1)
    ]
    stated = [uid for _, uid in named if uid is not None]
    if not stated:
        values.report("uid-missing", f"{_EVIDENCE}.{tags.name(tags.STUDY_INSTANCE_UID)}")
    chosen = study_uid if study_uid in stated or not stated else stated[0]
    if study_uid is not None and chosen != study_uid:
        values.report("study-uid-differs", tags.name(tags.STUDY_INSTANCE_UID))
    if any(uid != chosen for uid in stated):
        values.report("other-study", _EVIDENCE)
    own = [study for study, uid in named if uid in (chosen, None)]
    evidence = Evidence(chosen)
    _read_series(
        [series for study in own for series in items(study, tags.REFERENCED_SERIES)], evidence, values
    )
    for study in own:
        evidence.viewer_url = evidence.viewer_url or _viewer_url(study, values)
    if not evidence.series:
        values.report("no-series", f"{_EVIDENCE}.{_SERIES}")
    return evidence


def _read_series(listed: Sequence[Dataset], evidence: Evidence, values: Values) -> None:
    for number, item in enumerate(listed, start=1):
        place = f"{_EVIDENCE}.{_SERIES}[{number}]"
        uid = values.uid(item, tags.SERIES_INSTANCE_UID, place)
        if uid is None:
            values.report("uid-missing", f"{place}.{tags.name(tags.SERIES_INSTANCE_UID)}")
            continue
        instances = _instances(item, place, values)
        series = evidence.series.get(uid)
        if series is None:
            series = evidence.series[uid] = ListedSeries(uid, place, instances=instances)
        else:
            same = instances.keys() == series.instances.keys()
            values.report("series-repeated" if same else "series-split", place)
            series.instances |= {one: kind for one, kind in instances.items() if one not in series.instances}
        for location in _locations(item, place, values):
            if location not in series.locations:
                series.locations.append(location)
    for series in evidence.series.values():
        if not any(location.uid for location in series.locations):
            values.report("location-missing", series.place)
        if not series.instances:
            values.report("series-empty", series.place)


def _locations(series: Dataset, place: str, values: Values) -> list[RetrieveLocation]:
    url = values.text(series, tags.RETRIEVE_URL, place)
    uids = values.uids(series, tags.RETRIEVE_LOCATION_UID, place)
    if len(uids) > 1:
        values.report("several-values", f"{place}.{tags.name(tags.RETRIEVE_LOCATION_UID)}")
    found = [RetrieveLocation(RetrieveLocationUid(uid), url) for uid in uids if uid]
    return found or ([RetrieveLocation(None, url)] if url else [])


def _instances(series: Dataset, place: str, values: Values) -> dict[str, str]:
    found: dict[str, str] = {}
    place = f"{place}.{tags.name(tags.REFERENCED_SOPS)}"
    for item in items(series, tags.REFERENCED_SOPS):
        uid, kind = reference(item, place, values)
        if uid is None:
            values.report("uid-missing", f"{place}.{tags.name(tags.REFERENCED_SOP_INSTANCE_UID)}")
        elif uid in found:
            values.report("instance-repeated", place)
        else:
            found[uid] = kind
    return found


def reference(item: Dataset, place: str, values: Values) -> tuple[str | None, str]:
    """SOP instance UID and SOP class UID of a reference; the class is empty where it is not given."""
    return (
        values.uid(item, tags.REFERENCED_SOP_INSTANCE_UID, place),
        values.uid(item, tags.REFERENCED_SOP_CLASS_UID, place) or "",
    )


def _viewer_url(study: Dataset, values: Values) -> str | None:
    """Display URI (0040,E012), or that of the trial implementation in a private block."""
    standard = values.text(study, tags.DISPLAY_URI, _EVIDENCE)
    private = _private_viewer_url(study, values)
    if standard and private and standard != private:
        values.report("viewer-differs", f"{_EVIDENCE}.{tags.name(tags.DISPLAY_URI)}")
    url = standard or private
    if url and not url.lower().startswith(("https://", "http://")):
        # whoever shows it as a link would run what another scheme names
        values.report("viewer-scheme", f"{_EVIDENCE}.{tags.name(tags.DISPLAY_URI)}")
        return None
    return url


def _private_viewer_url(study: Dataset, values: Values) -> str | None:
    group = tags.PRIVATE_DISPLAY_GROUP << 16
    unreserved = None
    for tag in study:
        block = (tag & 0xFFFF) >> 8
        if (
            tag >> 16 != tags.PRIVATE_DISPLAY_GROUP
            or tag & 0xFF != tags.PRIVATE_DISPLAY_ELEMENT
            or block < 0x10
        ):
            continue
        creator = leaf(study, group | block).strip(b" \0")
        if creator == tags.PRIVATE_DISPLAY_CREATOR.encode():
            return values.text(study, tag, _EVIDENCE)
        if not creator and leaf(study, tag)[:4].lower() == b"http":
            unreserved = unreserved or values.text(study, tag, _EVIDENCE)
    if unreserved is not None:
        values.report("viewer-block-unreserved", _EVIDENCE)
    return unreserved
