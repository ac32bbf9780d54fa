"""Narrative of a manifest: what a person reads who has nothing but the document (MadoComposition.text)."""

from collections.abc import Iterable, Iterator
from html import escape

from gateway.fhir.datatypes import Json
from gateway.fhir.imaging_times import Zones, offset_of, write_time
from gateway.model.imaging import IssuedId, LocalTime, Manifest, Series, Study
from gateway.model.metadata import Code, Person

Row = tuple[str, str]


def study_narrative(manifest: Manifest, zones: Zones) -> Json:
    """Narrative of the study with one row for each fact, and one for each series."""
    study = manifest.study
    series = ((f"Series {number}", _summary(one, zones)) for number, one in enumerate(study.series, start=1))
    return _narrative([*_study_rows(manifest, zones), *series])


def series_narrative(series: Series, zones: Zones) -> Json:
    """Narrative of one series."""
    rows: list[Row] = [("Series Instance UID", series.series_instance_uid)]
    rows += [(name, value) for name, value in _series_facts(series, zones) if value]
    return _narrative(rows)


def study_title(study: Study) -> str:
    """Title of the document: the study's description, else its modalities."""
    if study.description:
        return study.description
    modalities = ", ".join(code.code for code in study.all_modalities)
    return f"Imaging study ({modalities})" if modalities else "Imaging study"


def _study_rows(manifest: Manifest, zones: Zones) -> Iterator[Row]:
    study, patient = manifest.study, manifest.study.patient
    facts = (
        ("Study", study.description),
        ("Study Instance UID", study.study_instance_uid),
        ("Patient", _person(patient.name)),
        ("Patient ID", ", ".join(map(_issued, patient.ids))),
        ("Started", _time(study.started, zones)),
        ("Modalities", _shown(study.all_modalities)),
        ("Region", _shown(study.regions)),
        ("Procedure", _shown(study.procedure_codes)),
        ("Accession number", _all(request.accession for request in study.requests)),
        ("Placer order number", _all(request.placer for request in study.requests)),
        ("Referring physician", _person(study.referring_physician)),
        ("Viewer", "available" if study.viewer_url else None),
        ("Number of series", str(len(study.series))),
        ("Number of instances", str(study.instance_count)),
        ("Manifest made by", manifest.creator.organization.name if manifest.creator.organization else None),
    )
    return ((name, value) for name, value in facts if value)


def _series_facts(series: Series, zones: Zones) -> Iterator[tuple[str, str | None]]:
    yield "Number", series.number
    yield "Description", series.description
    yield "Modality", _shown((series.modality,) if series.modality else ())
    yield "Body site", _shown(series.body_sites) or series.body_site_text
    yield "Laterality", _shown((series.laterality,) if series.laterality else ())
    yield "Started", _time(series.started, zones)
    yield "Number of instances", str(len(series.instances))


def _summary(series: Series, zones: Zones) -> str:
    facts = (f"{name.lower()}: {value}" for name, value in _series_facts(series, zones) if value)
    return "; ".join(facts)


def _shown(coded: Iterable[Code]) -> str:
    return ", ".join(code.display or code.code for code in coded)


def _all(issued: Iterable[IssuedId | None]) -> str:
    return ", ".join(dict.fromkeys(_issued(one) for one in issued if one is not None))


def _issued(issued: IssuedId) -> str:
    issuer = issued.issuer
    authority = (issuer.namespace or issuer.universal_id) if issuer is not None else None
    return f"{issued.value} ({authority})" if authority else issued.value


def _person(person: Person | None) -> str | None:
    if person is None:
        return None
    parts = (person.prefix, person.given, person.further_given, person.family, person.suffix)
    return " ".join(part for part in parts if part) or None


def _time(time: LocalTime | None, zones: Zones) -> str | None:
    written = write_time(time, zones)
    if time is None or written is None:
        return None
    if time.time is not None and offset_of(time, zones) is None:
        return f"{written.value} {time.time[:2]}:{time.time[2:4] or '00'} (time zone not known)"
    return written.value.replace("T", " ", 1)


def _narrative(rows: Iterable[Row]) -> Json:
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><table><tbody>{table}</tbody></table></div>'
    return {"status": "generated", "div": div}
