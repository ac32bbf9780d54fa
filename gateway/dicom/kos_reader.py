"""A key object document as manifest of a study: MADO in all dialects, XDS-I.b without an image library.

DICOM PS3.3 A.35.4 and C.17.6, PS3.16 TID 2010 and 1600; IHE RAD TF-3 4.68; IHE RAD MADO. Each deviation is
tolerated by name (`gateway.dicom.findings`). Whether a document is a manifest is not decided by its title:
113000 stands on manifests and on ordinary key object notes.
"""

from collections import Counter
from typing import Final

from gateway.dicom import tags
from gateway.dicom.concepts import Concept, concept_of
from gateway.dicom.elements import Dataset, ReadLimits
from gateway.dicom.errors import NotAManifest
from gateway.dicom.file_format import read_file
from gateway.dicom.findings import Findings
from gateway.dicom.kos_content import Content, ContentReader, Entry, Group
from gateway.dicom.kos_context import read_creator, read_patient, read_requests
from gateway.dicom.kos_evidence import Evidence, ListedSeries, read_evidence
from gateway.dicom.sop_classes import KEY_OBJECT_SELECTION, common_modality
from gateway.dicom.values import Values
from gateway.model.imaging import Instance, Manifest, ReadManifest, Series, Study
from gateway.model.imaging_codes import DCM
from gateway.model.metadata import Code

DEFAULT_LIMITS: Final = ReadLimits()
_DOCUMENT: Final = "document"
_NO_ENTRY: Final = Entry()


def read_kos(data: bytes, limits: ReadLimits = DEFAULT_LIMITS) -> ReadManifest:
    """The manifest in a DICOM file, and what had to be tolerated.

    Raises DicomError for bytes that cannot be read as DICOM or pass a limit, and NotAManifest for another
    kind of object and for one that does not identify itself and its study.
    """
    findings = Findings()
    document, stated_instance = read_file(data, limits, findings)
    values = Values(document, findings)
    sop_class = values.uid(document, tags.SOP_CLASS_UID, _DOCUMENT)
    if sop_class is None:
        findings.add("uid-missing", tags.name(tags.SOP_CLASS_UID))
    elif sop_class != KEY_OBJECT_SELECTION:
        raise NotAManifest("the SOP class is not Key Object Selection Document Storage")
    instance = values.uid(document, tags.SOP_INSTANCE_UID, _DOCUMENT)
    if instance is None:
        findings.add("uid-missing", tags.name(tags.SOP_INSTANCE_UID))
    elif stated_instance and stated_instance != instance:
        findings.add("file-meta-differs", "MediaStorageSOPInstanceUID")
    instance = instance or stated_instance
    if not instance:
        raise NotAManifest("there is no SOP Instance UID (0008,0018)")
    return ReadManifest(_manifest(document, instance, values), findings.all())


def _manifest(document: Dataset, instance: str, values: Values) -> Manifest:
    stated_study = values.uid(document, tags.STUDY_INSTANCE_UID, _DOCUMENT)
    if stated_study is None:
        values.report("uid-missing", tags.name(tags.STUDY_INSTANCE_UID))
    evidence = read_evidence(document, stated_study, values)
    if evidence.study_uid is None:
        raise NotAManifest("there is no Study Instance UID (0020,000D)")
    content = ContentReader(values).read(document)
    offset = values.offset(document, _DOCUMENT)
    if offset is None:
        values.report("time-zone-missing", tags.name(tags.TIMEZONE_OFFSET))
    series_uid = values.uid(document, tags.SERIES_INSTANCE_UID, _DOCUMENT)
    _leave_out_itself(evidence, instance, values)
    _report_reused_uids(evidence, instance, series_uid, values)
    return Manifest(
        sop_instance_uid=instance,
        series_instance_uid=series_uid,
        study=_study(document, evidence.study_uid, evidence, content, offset=offset, values=values),
        title=_title(content.title),
        created=values.moment(document, tags.CONTENT_DATE, tags.CONTENT_TIME, offset, _DOCUMENT),
        utc_offset=offset,
        creator=read_creator(document, values),
    )


def _title(code: Code | None) -> Code | None:
    """The title; that of a MADO manifest with its final code, whatever the dialect."""
    if code is None:
        return None
    scheme = "DCM" if code.scheme == DCM else code.scheme
    if concept_of(code.code.encode(), scheme.encode()) is not Concept.MANIFEST:
        return code
    named = Concept.MANIFEST.value
    return Code(named.code, DCM, named.meaning)


def _leave_out_itself(evidence: Evidence, instance: str, values: Values) -> None:
    for uid, series in list(evidence.series.items()):
        if instance in series.instances:
            values.report("self-reference", series.place)
            del series.instances[instance]
            if not series.instances:
                del evidence.series[uid]


def _report_reused_uids(evidence: Evidence, instance: str, series_uid: str | None, values: Values) -> None:
    of_instances = Counter(uid for series in evidence.series.values() for uid in series.instances)
    if any(count > 1 for count in of_instances.values()):
        values.report("instance-in-two-series", tags.name(tags.CURRENT_EVIDENCE))
    for place, uid in (
        ("SOPInstanceUID", instance),
        ("SeriesInstanceUID", series_uid),
        ("StudyInstanceUID", evidence.study_uid),
    ):
        if uid is not None and (uid in evidence.series or uid in of_instances):
            values.report("uid-reused", place)
    if len({instance, series_uid, evidence.study_uid}) < 3:
        values.report("uid-reused", _DOCUMENT)
    for uid, series in evidence.series.items():
        if uid in of_instances:
            values.report("uid-reused", series.place)


def _study(
    document: Dataset, uid: str, evidence: Evidence, content: Content, *, offset: str | None, values: Values
) -> Study:
    started = values.moment(document, tags.STUDY_DATE, tags.STUDY_TIME, offset, _DOCUMENT)
    series = _series(evidence, content, offset, values)
    _compare(content, evidence, series, values)
    if content.study_date is not None and started is not None:
        stated = (content.study_date, content.study_time or started.time)
        if stated != (started.date, started.time):
            values.report("study-start-differs", "ImageLibrary")
    return Study(
        study_instance_uid=uid,
        patient=read_patient(document, values),
        started=started,
        study_id=values.single(document, tags.STUDY_ID, _DOCUMENT),
        description=values.single(document, tags.STUDY_DESCRIPTION, _DOCUMENT),
        referring_physician=values.person_groups(document, tags.REFERRING_PHYSICIAN, _DOCUMENT)[0],
        modalities=tuple(content.modalities),
        regions=tuple(content.regions),
        procedure_codes=tuple(content.procedure_codes)
        or values.codes(document, tags.PROCEDURE_CODES, _DOCUMENT),
        requests=read_requests(document, uid, values),
        viewer_url=evidence.viewer_url,
        series=series,
        stated_series=content.stated_series,
    )


def _compare(content: Content, evidence: Evidence, series: tuple[Series, ...], values: Values) -> None:
    """Findings where the content tree and the evidence disagree on the whole."""
    if not content.described:
        values.report("no-image-library", tags.name(tags.CONTENT))
    elif not content.regions:
        values.report("region-missing", "ImageLibrary")
    if content.stated_series is not None and content.stated_series != len(series):
        values.report("series-count-differs", "ImageLibrary")
    listed = {uid for one in evidence.series.values() for uid in one.instances}
    if content.references - listed:
        values.report("reference-unlisted", tags.name(tags.CONTENT))
    if listed - content.references and (content.references or not content.described):
        values.report("reference-missing", tags.name(tags.CONTENT))


def _series(evidence: Evidence, content: Content, offset: str | None, values: Values) -> tuple[Series, ...]:
    groups = _groups_by_series(evidence, content, values)
    listed = list(evidence.series.values())
    if not listed and content.groups:
        listed = [
            ListedSeries(uid, group.place, instances={one: e.sop_class for one, e in group.entries.items()})
            for uid, group in groups.items()
        ]
    made = []
    for one in listed:
        group = groups.get(one.uid)
        if group is None and content.described:
            values.report("series-without-group", one.place)
        made.append(_described(one, group or Group(one.place), group is not None, offset, values))
    return tuple(made)


def _groups_by_series(evidence: Evidence, content: Content, values: Values) -> dict[str, Group]:
    series_of = {uid: one.uid for one in evidence.series.values() for uid in one.instances}
    found: dict[str, Group] = {}
    for group in content.groups:
        uid = group.uid
        if uid is None or (uid not in evidence.series and evidence.series):
            by_instance = {series_of[one] for one in group.entries if one in series_of}
            if uid is None and len(by_instance) == 1:
                values.report("group-series-by-instance", group.place)
                uid = by_instance.pop()
            else:
                values.report("group-without-series", group.place)
                continue
        if uid in found:
            values.report("group-repeated", group.place)
            _complete(found[uid], group)
        else:
            found[uid] = group
    return found


def _complete(first: Group, second: Group) -> None:
    """What the first group of a series lacks, from a second one."""
    for name in ("modality", "number", "description", "date", "time", "region_text", "laterality", "stated"):
        if getattr(first, name) is None:
            setattr(first, name, getattr(second, name))
    first.regions.extend(code for code in second.regions if code not in first.regions)
    for uid, entry in second.entries.items():
        first.entries.setdefault(uid, entry)


def _described(
    listed: ListedSeries, group: Group, grouped: bool, offset: str | None, values: Values
) -> Series:
    instances = (
        _instances(listed, group, values)
        if grouped
        else tuple(Instance(uid, sop_class) for uid, sop_class in listed.instances.items())
    )
    if group.stated is not None and group.stated != len(instances):
        values.report("instance-count-differs", group.place)
    if any(not instance.sop_class_uid for instance in instances):
        values.report("uid-missing", f"{listed.place}.{tags.name(tags.REFERENCED_SOP_CLASS_UID)}")
    return Series(
        series_instance_uid=listed.uid,
        modality=group.modality or _derived_modality(instances, listed.place, values),
        number=group.number,
        description=group.description,
        started=values.joined(group.date, group.time, offset, group.place),
        body_sites=tuple(group.regions),
        body_site_text=group.region_text,
        laterality=group.laterality,
        locations=tuple(listed.locations),
        instances=instances,
        stated_instances=group.stated,
    )


def _derived_modality(instances: tuple[Instance, ...], place: str, values: Values) -> Code | None:
    """The modality where all instances are of classes that only one modality makes."""
    modality = common_modality(instance.sop_class_uid for instance in instances)
    values.report("modality-unknown" if modality is None else "modality-derived", place)
    return None if modality is None else Code(modality, DCM)


def _instances(listed: ListedSeries, group: Group, values: Values) -> tuple[Instance, ...]:
    entries = group.entries
    found = []
    for uid, sop_class in listed.instances.items():
        entry = entries.get(uid)
        if entry is None:
            values.report("entry-missing", group.place)
            entry = _NO_ENTRY
        elif entry.sop_class != sop_class and entry.sop_class and sop_class:
            values.report("entry-class-differs", group.place)
        found.append(
            Instance(
                uid,
                sop_class or entry.sop_class,
                entry.number,
                entry.frames,
                entry.title,
                entry.description,
            )
        )
    if entries.keys() - listed.instances.keys():
        values.report("entry-unknown", group.place)
    return tuple(found)
