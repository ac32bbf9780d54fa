"""Whom a manifest is about: patient, requests, creator (DICOM PS3.3 C.7.1.1 and C.17.6.2, IHE RAD MADO)."""

from typing import Final

from msgspec.structs import replace

from gateway.dicom import tags
from gateway.dicom.elements import Dataset
from gateway.dicom.values import Values, items, organization
from gateway.model.imaging import Creator, ImagingPatient, ImagingRequest, IssuedId

_DOCUMENT: Final = "document"
_REQUESTS: Final = tags.name(tags.REFERENCED_REQUESTS)
_SEXES: Final = frozenset("MFO")


def read_patient(document: Dataset, values: Values) -> ImagingPatient:
    """The patient; the primary identifier first, each once."""
    primary = _patient_id(document, _DOCUMENT, values)
    if primary is None:
        values.report("patient-id-missing", tags.name(tags.PATIENT_ID))
    others = tags.name(tags.OTHER_PATIENT_IDS)
    found = [
        primary,
        *(
            _patient_id(item, f"{others}[{number}]", values)
            for number, item in enumerate(items(document, tags.OTHER_PATIENT_IDS), start=1)
        ),
    ]
    name, ideographic, phonetic = values.person_groups(document, tags.PATIENT_NAME, _DOCUMENT)
    sex = values.text(document, tags.PATIENT_SEX, _DOCUMENT)
    if sex is not None and sex.upper() not in _SEXES:
        values.report("sex-invalid", tags.name(tags.PATIENT_SEX))
    return ImagingPatient(
        ids=tuple(dict.fromkeys(one for one in found if one is not None)),
        name=name,
        ideographic_name=ideographic,
        phonetic_name=phonetic,
        birth_date=values.date(document, tags.PATIENT_BIRTH_DATE, _DOCUMENT),
        sex=sex.upper() if sex is not None and sex.upper() in _SEXES else None,
    )


def _patient_id(item: Dataset, place: str, values: Values) -> IssuedId | None:
    value = values.single(item, tags.PATIENT_ID, place)
    if value is None:
        return None
    qualifiers = values.item(item, tags.ISSUER_OF_PATIENT_ID_QUALIFIERS, place)
    namespace = values.single(item, tags.ISSUER_OF_PATIENT_ID, place)
    issuer = values.issuer(
        qualifiers, namespace, f"{place}.{tags.name(tags.ISSUER_OF_PATIENT_ID_QUALIFIERS)}"
    )
    return IssuedId(value, issuer)


def read_requests(document: Dataset, study_uid: str, values: Values) -> tuple[ImagingRequest, ...]:
    """Imaging orders that the study fulfils, each once; that of the study module if there is no other."""
    found: list[ImagingRequest] = []
    for number, item in enumerate(items(document, tags.REFERENCED_REQUESTS), start=1):
        place = f"{_REQUESTS}[{number}]"
        if values.uid(item, tags.STUDY_INSTANCE_UID, place) not in (study_uid, None):
            values.report("request-study-differs", place)
        request = _request(item, place, values)
        if request == ImagingRequest():
            values.report("request-empty", place)
        elif request in found:
            values.report("request-repeated", place)
        else:
            found.append(request)
    of_study = _issued(document, tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER, _DOCUMENT, values)
    if tags.REFERENCED_REQUESTS not in document:
        values.report("no-request", _REQUESTS)
    if of_study is not None:
        _join_accession(found, of_study, values)
    if not any(request.accession for request in found):
        values.report("accession-missing", tags.name(tags.ACCESSION_NUMBER))
    return tuple(found)


def _request(item: Dataset, place: str, values: Values) -> ImagingRequest:
    return ImagingRequest(
        accession=_issued(item, tags.ACCESSION_NUMBER, tags.ISSUER_OF_ACCESSION_NUMBER, place, values),
        placer=_issued(item, tags.PLACER_ORDER_NUMBER, tags.ORDER_PLACER, place, values),
        filler=_issued(item, tags.FILLER_ORDER_NUMBER, tags.ORDER_FILLER, place, values),
        procedure_id=values.single(item, tags.REQUESTED_PROCEDURE_ID, place),
        procedure_description=values.single(item, tags.REQUESTED_PROCEDURE_DESCRIPTION, place),
        procedure_codes=values.codes(item, tags.REQUESTED_PROCEDURE_CODES, place),
    )


def _issued(item: Dataset, number: int, issuer: int, place: str, values: Values) -> IssuedId | None:
    value = values.single(item, number, place)
    if value is None:
        return None
    authority = values.item(item, issuer, place)
    return IssuedId(value, values.issuer(authority, None, f"{place}.{tags.name(issuer)}"))


def _join_accession(found: list[ImagingRequest], of_study: IssuedId, values: Values) -> None:
    """The accession number of the study module, which one of the requests should have too."""
    same = [r for r in found if r.accession is not None and r.accession.value == of_study.value]
    if same:
        issuers = {r.accession.issuer for r in same if r.accession is not None}
        if of_study.issuer is not None and of_study.issuer not in issuers:
            if issuers == {None}:
                at = found.index(same[0])
                found[at] = replace(found[at], accession=of_study)
            values.report("accession-issuer-differs", tags.name(tags.ISSUER_OF_ACCESSION_NUMBER))
        return
    bare = [r for r in found if r.accession is None]
    if len(bare) == len(found) == 1:
        found[0] = replace(bare[0], accession=of_study)
    else:
        found.append(ImagingRequest(accession=of_study))
    if len(found) > 1 or bare:
        values.report("accession-differs", tags.name(tags.ACCESSION_NUMBER))


def read_creator(document: Dataset, values: Values) -> Creator:
    """Who made the manifest: manufacturer of the equipment and its institution."""
    institution = values.single(document, tags.INSTITUTION_NAME, _DOCUMENT)
    return Creator(
        manufacturer=values.single(document, tags.MANUFACTURER, _DOCUMENT),
        organization=organization(institution) if institution is not None else None,
    )
