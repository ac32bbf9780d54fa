"""What a manifest loses on its way through FHIR: parts of a key object document that FHIR, or the profiles
of IHE RAD MADO 0.1.0, have no place for. Everything else comes back as it went.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.datatypes import fhir_code, fhir_uri
from gateway.fhir.imaging_elements import region_for, whole_number
from gateway.fhir.imaging_times import Zones, common_offset, offset_of, write_time
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import (
    Creator,
    ImagingPatient,
    Instance,
    LocalTime,
    Manifest,
    RetrieveLocation,
    Series,
    Study,
)
from gateway.model.metadata import Code, Person


@dataclass(frozen=True, slots=True)
class Loss:
    """`element` of the model, what becomes of it and why; `apply` gives the manifest as FHIR returns it."""

    element: str
    text: str
    apply: Callable[[Manifest], Manifest]


def as_fhir_returns(manifest: Manifest) -> Manifest:
    """The manifest after every loss: what reading the written FHIR document gives."""
    return reduce(lambda left, loss: loss.apply(left), MANIFEST_FHIR_LOSSES, manifest)


def _of_study(change: Callable[[Study], Study]) -> Callable[[Manifest], Manifest]:
    return lambda manifest: replace(manifest, study=change(manifest.study))


def _of_series(change: Callable[[Series], Series]) -> Callable[[Manifest], Manifest]:
    return _of_study(lambda study: replace(study, series=tuple(map(change, study.series))))


def _of_instances(change: Callable[[Instance], Instance]) -> Callable[[Manifest], Manifest]:
    return _of_series(lambda series: replace(series, instances=tuple(map(change, series.instances))))


def _of_persons(change: Callable[[Person | None], Person | None]) -> Callable[[Manifest], Manifest]:
    def apply(study: Study) -> Study:
        patient = study.patient
        return replace(
            study,
            referring_physician=change(study.referring_physician),
            patient=replace(
                patient,
                name=change(patient.name),
                ideographic_name=change(patient.ideographic_name),
                phonetic_name=change(patient.phonetic_name),
            ),
        )

    return _of_study(apply)


def _of_times(
    change: Callable[[LocalTime | None, Zones], LocalTime | None],
) -> Callable[[Manifest], Manifest]:
    def apply(manifest: Manifest) -> Manifest:
        zones = Zones.of(manifest)
        study = manifest.study
        series = tuple(replace(s, started=change(s.started, zones)) for s in study.series)
        return replace(
            manifest,
            created=change(manifest.created, zones),
            study=replace(study, started=change(study.started, zones), series=series),
        )

    return apply


def _bare_name(person: Person | None) -> Person | None:
    if person is None:
        return None
    bare = replace(person, id=None, authority=None, degree=None)
    if not bare.given and bare.further_given:
        bare = replace(bare, given=bare.further_given, further_given=None)
    return bare if bare.family or bare.given else None


def _number(text: str | None) -> str | None:
    number = whole_number(text)
    return None if number is None else str(number)


def _whole_seconds(time: LocalTime | None, zones: Zones) -> LocalTime | None:
    if time is None or write_time(time, zones) is None:
        return None
    if time.time is None:
        return time
    clock, _, fraction = time.time.partition(".")
    kept = fraction.rstrip("0")
    return replace(time, time=clock.ljust(6, "0") + (f".{kept}" if kept else ""))


def _own_offset(time: LocalTime | None, zones: Zones) -> LocalTime | None:
    if time is None or time.time is None:
        return time and replace(time, offset=None)
    offset = offset_of(time, zones)
    return replace(time, offset=offset.replace(":", "") if offset else None)


def _offset_of_times(manifest: Manifest) -> Manifest:
    return replace(manifest, utc_offset=common_offset(manifest.study, manifest.created))


def _known_locations(series: Series) -> Series:
    known = dict.fromkeys(location for location in series.locations if location != RetrieveLocation())
    return replace(series, locations=tuple(known))


def _counted(study: Study) -> Study:
    series = tuple(
        replace(s, stated_instances=len(s.instances)) if s.stated_instances is None else s
        for s in study.series
    )
    stated = len(series) if study.stated_series is None else study.stated_series
    return replace(study, stated_series=stated, series=series)


def _one_body_site(series: Series) -> Series:
    text = None if series.body_sites else series.body_site_text
    return replace(series, body_sites=series.body_sites[:1], body_site_text=text)


def _mado_regions(study: Study) -> Study:
    regions = dict.fromkeys(region_for(region, imaging.SPINE_MADO) for region in study.regions)
    spine_seen = False
    kept = []
    for region in regions:
        is_spine = region.code in imaging.SPINE
        if not (is_spine and spine_seen):
            kept.append(region)
        spine_seen = spine_seen or is_spine
    return replace(study, regions=tuple(kept))


def _known_patient(patient: ImagingPatient) -> ImagingPatient:
    return replace(
        patient,
        sex=patient.sex if patient.sex in ("M", "F", "O") else None,
        birth_date=patient.birth_date if patient.birth_date and len(patient.birth_date) == 8 else None,
    )


def _codes_without_blanks(value: Any) -> Any:
    """The value with the codes in it as FHIR takes them."""
    if isinstance(value, Code):
        return replace(value, code=fhir_code(value.code) or "", scheme=fhir_uri(value.scheme))
    if isinstance(value, tuple):
        return tuple(map(_codes_without_blanks, value))
    if isinstance(value, Struct):
        fields = {name: _codes_without_blanks(getattr(value, name)) for name in value.__struct_fields__}
        return replace(value, **fields)
    return value


def _named_organization(creator: Creator) -> Creator:
    organization = creator.organization
    if organization is None or organization.id:
        return creator
    named = replace(organization, authority=None) if organization.name else None
    return replace(creator, organization=named)


MANIFEST_FHIR_LOSSES: Final[tuple[Loss, ...]] = (
    Loss(
        "Manifest.series_instance_uid",
        "The series of the key object document itself: FHIR has no such thing.",
        lambda manifest: replace(manifest, series_instance_uid=None),
    ),
    Loss(
        "Manifest.title",
        "The document title of the key object document: FHIR has the type of the document instead.",
        lambda manifest: replace(manifest, title=None),
    ),
    Loss(
        "Code",
        "Which white space its value has, of which FHIR takes single blanks, and a scheme none.",
        _codes_without_blanks,
    ),
    Loss(
        "Creator.organization",
        "An authority without the identifier that it would have assigned.",
        lambda manifest: replace(manifest, creator=_named_organization(manifest.creator)),
    ),
    Loss(
        "Study.modalities",
        "That none are stated for the study: those of its series are written, since FHIR lists all.",
        _of_study(lambda study: replace(study, modalities=study.modalities or study.all_modalities)),
    ),
    Loss(
        "Study.regions",
        "Which of its three codes the spine had: the one of MADO is written.",
        _of_study(_mado_regions),
    ),
    Loss(
        "Study.patient",
        "A sex other than M, F and O, and a birth date without day.",
        _of_study(lambda study: replace(study, patient=_known_patient(study.patient))),
    ),
    Loss(
        "Person",
        "Identifier and degree; which of the given names is the middle one where there is only that.",
        _of_persons(_bare_name),
    ),
    Loss(
        "Study.stated_series, Series.stated_instances",
        "That a count is not stated: what is listed is counted, since FHIR demands it.",
        _of_study(_counted),
    ),
    Loss(
        "Series.number, Instance.number",
        "A number that is negative or none at all, and leading zeros: FHIR has whole numbers from 0.",
        lambda manifest: _of_instances(lambda i: replace(i, number=_number(i.number)))(
            _of_series(lambda s: replace(s, number=_number(s.number)))(manifest)
        ),
    ),
    Loss(
        "Series.body_sites",
        "Body sites after the first, and a text beside a code: FHIR R4 has one Coding.",
        _of_series(_one_body_site),
    ),
    Loss(
        "Series.locations",
        "A location that says nothing, and one given twice.",
        _of_series(_known_locations),
    ),
    Loss(
        "LocalTime.time",
        "The precision of hours and minutes, and zeros at the end of a fraction: FHIR has whole seconds.",
        _of_times(_whole_seconds),
    ),
    Loss(
        "LocalTime.offset",
        "Whether the offset was that of the time or of the document: each time has its own in FHIR.",
        _of_times(_own_offset),
    ),
    Loss(
        "Manifest.utc_offset",
        "An offset that no time of the document has, or not each: FHIR has none but those of the times.",
        _offset_of_times,
    ),
)
"""Changes that a manifest undergoes on the way to FHIR and back, in the order in which they apply."""


def manifest_losses_markdown() -> str:
    """`MANIFEST_FHIR_LOSSES` as a Markdown table, with a line break at its end."""
    lines = ["| of a manifest | lost in FHIR |", "|---|---|"]
    lines += [f"| `{loss.element.replace(', ', '`, `')}` | {loss.text} |" for loss in MANIFEST_FHIR_LOSSES]
    return "\n".join(lines) + "\n"
