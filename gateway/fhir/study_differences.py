"""Where two sources disagree about a study (HL7 Europe Imaging Report 1.0.0-ballot; IHE RAD MADO 0.1.0).

What one of them does not say is no disagreement. Nothing is reconciled: a caller shows both.
"""

from collections.abc import Iterable, Iterator

from gateway.model.imaging import IssuedId, Series, Study


def differences(manifest: Study, report: Study) -> tuple[str, ...]:
    """Elements of ImagingStudy that a report has other values of than a manifest."""
    return tuple(_differing(manifest, report))


def _differing(manifest: Study, report: Study) -> Iterator[str]:
    days = {study.started.date for study in (manifest, report) if study.started is not None}
    if len(days) > 1:
        yield "started"
    known, stated = (_numbers(s) for s in (manifest, report))
    if known and stated and not known & stated:
        yield "basedOn"
    if _codes(report) - _codes(manifest) and manifest.series:
        yield "modality"
    series = {one.series_instance_uid: one for one in manifest.series}
    if manifest.series and any(one.series_instance_uid not in series for one in report.series):
        yield "series"
    elif any(_others(series[one.series_instance_uid], one) for one in report.series if manifest.series):
        yield "series.instance"


def _others(known: Series, stated: Series) -> bool:
    held = {i.sop_instance_uid for i in known.instances}
    return bool(held) and any(i.sop_instance_uid not in held for i in stated.instances)


def _numbers(study: Study) -> frozenset[str]:
    return frozenset(_values(request.accession for request in study.requests))


def _values(numbers: Iterable[IssuedId | None]) -> Iterator[str]:
    return (number.value for number in numbers if number is not None and number.value)


def _codes(study: Study) -> frozenset[str]:
    return frozenset(code.code for code in study.all_modalities)
