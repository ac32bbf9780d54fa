"""A manifest as a tree of lines for a person: the study, its requests, series and key objects."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.model.imaging import (
    ImagingRequest,
    Instance,
    IssuedId,
    LocalTime,
    Manifest,
    RetrieveLocation,
    Series,
    Study,
)
from gateway.model.metadata import Code, Person


@dataclass(slots=True)
class Branch:
    """A line and what stands below it."""

    text: str
    below: list["Branch"] = field(default_factory=list)

    def add(self, text: str) -> "Branch":
        """One more line below this one."""
        branch = Branch(printable(text))
        self.below.append(branch)
        return branch

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Plain lines, indented by two blanks a level."""
        yield "  " * depth + self.text
        for branch in self.below:
            yield from branch.lines(depth + 1)


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def manifest_tree(manifest: Manifest, *, instances: bool = False) -> Branch:
    """The whole manifest; `instances` lists each one."""
    study = manifest.study
    root = Branch(printable(f"Study {study.study_instance_uid}"))
    _describe_study(root, study)
    _describe_patient(root, study)
    for request in study.requests:
        _describe_request(root, request)
    for series in study.series:
        _describe_series(root, series, instances=instances)
    _describe_document(root, manifest)
    return root


def _fact(branch: Branch, name: str, value: str | None) -> None:
    if value:
        branch.add(f"{name}: {value}")


def _describe_study(root: Branch, study: Study) -> None:
    _fact(root, "description", study.description)
    _fact(root, "started", _time(study.started))
    _fact(root, "study id", study.study_id)
    _fact(root, "modalities", _codes(study.all_modalities))
    _fact(root, "regions", _codes(study.regions))
    _fact(root, "procedures", _codes(study.procedure_codes))
    _fact(root, "referring physician", _person(study.referring_physician))
    _fact(root, "viewer", study.viewer_url)


def _describe_patient(root: Branch, study: Study) -> None:
    patient = study.patient
    names = (patient.name, patient.ideographic_name, patient.phonetic_name)
    facts = [_person(name) for name in names] + [patient.sex, _date(patient.birth_date)]
    branch = root.add("patient: " + (", ".join(fact for fact in facts if fact) or "not named"))
    for identifier in patient.ids:
        branch.add(_issued(identifier))


def _describe_request(root: Branch, request: ImagingRequest) -> None:
    branch = root.add(
        "request: " + (request.procedure_description or request.procedure_id or "not described")
    )
    for name, identifier in (
        ("accession", request.accession),
        ("placer order", request.placer),
        ("filler order", request.filler),
    ):
        if identifier is not None:
            branch.add(f"{name}: {_issued(identifier)}")
    _fact(branch, "procedure", _codes(request.procedure_codes))


def _describe_series(root: Branch, series: Series, *, instances: bool) -> None:
    count = len(series.instances)
    facts = [
        f"series {series.number}" if series.number else "series",
        series.modality.code if series.modality else "modality unknown",
        series.description,
        f"{count} instance{'' if count == 1 else 's'}",
    ]
    branch = root.add(", ".join(fact for fact in facts if fact))
    _fact(branch, "uid", series.series_instance_uid)
    _fact(branch, "started", _time(series.started))
    sites = _codes(series.body_sites) or series.body_site_text
    _fact(branch, "body site", ", ".join(p for p in (sites, _codes((series.laterality,))) if p))
    for location in series.locations:
        _fact(branch, "location", _location(location))
    if series.stated_instances not in (None, count):
        _fact(branch, "stated", f"{series.stated_instances} instances")
    for instance in series.instances:
        if instances or instance.title or instance.description:
            branch.add(_instance(instance))


def _describe_document(root: Branch, manifest: Manifest) -> None:
    branch = root.add(f"manifest {manifest.sop_instance_uid}")
    _fact(branch, "title", _codes((manifest.title,)))
    _fact(branch, "created", _time(manifest.created))
    _fact(branch, "time zone", manifest.utc_offset or "not known")
    creator = manifest.creator
    organization = creator.organization
    _fact(
        branch,
        "made by",
        ", ".join(p for p in (creator.manufacturer, organization and organization.name) if p),
    )


def _instance(instance: Instance) -> str:
    facts = [
        f"instance {instance.number}" if instance.number else "instance",
        instance.sop_instance_uid,
        f"{instance.frames} frames" if instance.frames else None,
        _codes((instance.title,)),
        instance.description,
    ]
    return ", ".join(fact for fact in facts if fact)


def _location(location: RetrieveLocation) -> str:
    return ", ".join(part for part in (location.uid, location.url) if part)


def _issued(identifier: IssuedId) -> str:
    issuer = identifier.issuer
    parts = (issuer.namespace, issuer.universal_id) if issuer else ()
    by = ", ".join(part for part in parts if part)
    return f"{identifier.value} ({by})" if by else identifier.value


def _codes(codes: Iterable[Code | None]) -> str:
    found = (code for code in codes if code is not None)
    return ", ".join(f"{code.display} ({code.code})" if code.display else code.code for code in found)


def _person(person: Person | None) -> str | None:
    if person is None:
        return None
    parts = (person.prefix, person.given, person.further_given, person.family, person.suffix)
    return " ".join(part for part in parts if part) or None


def _date(date: str | None) -> str | None:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if date else None


def _time(moment: LocalTime | None) -> str | None:
    if moment is None:
        return None
    parts = [_date(moment.date) or ""]
    if moment.time:
        clock, dot, fraction = moment.time.partition(".")
        parts.append(":".join(clock[at : at + 2] for at in range(0, len(clock), 2)) + dot + fraction)
        parts.append(moment.offset or "(zone not known)")
    return " ".join(parts)
