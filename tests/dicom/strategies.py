"""Hypothesis strategies for whole manifests, as either wire format may have to carry them.

`manifests()` are such as a key object document carries without loss: every time in the zone of the document,
counts that are those of what is listed, UIDs that identify one thing each. `legacy_manifests()` have what
XDS-I.b has: no descriptions.
"""

from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.dicom.sop_classes import KEY_OBJECT_SELECTION
from gateway.model.imaging import (
    Creator,
    ImagingPatient,
    ImagingRequest,
    Instance,
    IssuedId,
    Issuer,
    LocalTime,
    Manifest,
    RetrieveLocation,
    RetrieveLocationUid,
    Series,
    Study,
)
from gateway.model.imaging_codes import DCM, SNOMED
from gateway.model.metadata import Code, Organization, Person
from tests.ebxml.strategies import maybe, oids, present, several

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_SOP_CLASSES = (
    CT_IMAGE,
    "1.2.840.10008.5.1.4.1.1.4.1",
    "1.2.840.10008.5.1.4.1.1.88.67",
    "1.2.840.10008.5.1.4.1.1.9.1.1",
    KEY_OBJECT_SELECTION,
    SECONDARY_CAPTURE,
    "1.2.3.4",
)

_LETTERS = st.one_of(
    st.sampled_from("|~'\"(),<>;%_ -/"),
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufffe\uffff\\^=&"),
)


def texts(max_size: int = 8) -> st.SearchStrategy[str]:
    """Text of 1 to `max_size` characters that any element can hold, no blanks at its ends."""
    return st.text(_LETTERS, min_size=1, max_size=max_size).map(str.strip).filter(bool)


def _without_repeated_meaning(code: Code) -> Code:
    return code if code.display != code.code else replace(code, display=None)


_schemes = st.one_of(
    st.sampled_from((SNOMED, "2.16.840.1.113883.6.1", "99ACME", "http://example.org/codes")), oids
)
codes = st.builds(Code, texts(20), _schemes, maybe(texts(20))).map(_without_repeated_meaning)
modalities = st.builds(Code, st.sampled_from(("CT", "MR", "KO", "SR", "ECG")), st.just(DCM), maybe(texts(12)))
regions = st.builds(
    Code,
    st.sampled_from(("38266002", "67734004", "774007", "T-D3000", "76752008")),
    st.just(SNOMED),
    maybe(texts(20)),
)
issuers = st.one_of(
    st.builds(Issuer, texts()),
    st.builds(Issuer, maybe(texts()), oids, st.just("ISO")),
    st.builds(Issuer, maybe(texts()), st.sampled_from(("example.org", "id.example")), st.just("DNS")),
)
issued_ids = st.builds(IssuedId, texts(12), maybe(issuers))
names = present(
    st.builds(
        Person,
        family=maybe(texts()),
        given=maybe(texts()),
        further_given=maybe(texts()),
        prefix=maybe(texts()),
        suffix=maybe(texts()),
    ),
    Person(),
)
dates = st.dates().map(lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}")
offsets = st.one_of(st.none(), st.sampled_from(("+0100", "+0000", "-0330", "+0200", "+1400")))


@st.composite
def times(draw):
    """DICOM TM of every precision."""
    moment = draw(st.times())
    digits = moment.strftime("%H%M%S.%f")
    return digits[: draw(st.sampled_from((2, 4, 6, 8, 10, 13)))]


def local_times(offset: str | None) -> st.SearchStrategy[LocalTime]:
    """Times in one zone."""
    return st.builds(LocalTime, dates, maybe(times()), st.just(offset))


patients = st.builds(
    ImagingPatient,
    ids=st.lists(issued_ids, max_size=3, unique=True).map(tuple),
    name=maybe(names),
    ideographic_name=maybe(names),
    phonetic_name=maybe(names),
    birth_date=maybe(dates),
    sex=st.sampled_from((None, "M", "F", "O")),
)
requests = present(
    st.builds(
        ImagingRequest,
        accession=maybe(issued_ids),
        placer=maybe(issued_ids),
        filler=maybe(issued_ids),
        procedure_id=maybe(texts()),
        procedure_description=maybe(texts(20)),
        procedure_codes=several(codes, 2),
    ),
    ImagingRequest(),
)
locations = present(
    st.builds(
        RetrieveLocation,
        uid=maybe(oids.map(RetrieveLocationUid)),
        url=maybe(st.sampled_from(("https://a.example/rs", "https://b.example/dicom-web/rs/"))),
    ),
    RetrieveLocation(),
)
organizations = present(
    st.builds(Organization, name=maybe(texts(12)), id=maybe(texts(6)), authority=maybe(oids)), Organization()
)


class _Uids:
    """UIDs that are all different."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._next = 0

    def __call__(self) -> str:
        self._next += 1
        return f"{self._root}.{self._next}"


@st.composite
def _instances(draw, uid: _Uids, classes):
    made = []
    for _ in range(draw(st.integers(1, 4))):
        sop_class = draw(st.sampled_from(classes))
        key_object = sop_class == KEY_OBJECT_SELECTION
        made.append(
            Instance(
                uid(),
                sop_class,
                number=draw(maybe(st.integers(0, 9999).map(str))),
                frames=draw(maybe(st.integers(1, 5000))),
                title=draw(maybe(codes)) if key_object else None,
                description=draw(maybe(texts(20))) if key_object else None,
            )
        )
    return tuple(made)


@st.composite
def _series(draw, uid: _Uids, offset: str | None):
    modality = draw(maybe(modalities))
    instances = draw(_instances(uid, _SOP_CLASSES if modality is not None else (SECONDARY_CAPTURE,)))
    return Series(
        series_instance_uid=uid(),
        modality=modality,
        number=draw(maybe(st.integers(0, 9999).map(str))),
        description=draw(maybe(texts(20))),
        started=draw(maybe(local_times(offset))),
        body_sites=draw(st.lists(st.one_of(regions, codes), max_size=2, unique=True).map(tuple)),
        body_site_text=draw(maybe(texts(12))),
        laterality=draw(maybe(codes)),
        locations=draw(st.lists(locations, max_size=2, unique=True).map(tuple)),
        instances=instances,
        stated_instances=len(instances),
    )


@st.composite
def manifests(draw) -> Manifest:
    """A manifest that a key object document carries without loss."""
    uid, offset = _Uids(draw(oids)), draw(offsets)
    series = tuple(draw(_series(uid, offset)) for _ in range(draw(st.integers(1, 3))))
    stated = draw(st.lists(modalities, max_size=2, unique_by=lambda code: code.code).map(tuple))
    study = Study(
        study_instance_uid=uid(),
        patient=draw(patients),
        started=draw(maybe(local_times(offset))),
        study_id=draw(maybe(texts(12))),
        description=draw(maybe(texts(20))),
        referring_physician=draw(maybe(names)),
        modalities=stated,
        regions=draw(st.lists(regions, max_size=2, unique=True).map(tuple)),
        procedure_codes=draw(st.lists(codes, max_size=2, unique=True).map(tuple)),
        requests=draw(st.lists(requests, max_size=3, unique=True).map(tuple)),
        viewer_url=draw(maybe(st.just("https://viewer.example/?study=1"))),
        series=series,
        stated_series=len(series),
    )
    return Manifest(
        sop_instance_uid=uid(),
        series_instance_uid=uid(),
        study=replace(study, modalities=study.modalities or study.all_modalities),
        title=Code("131560", DCM, "Manifest with Description"),
        created=draw(maybe(local_times(offset))),
        utc_offset=offset,
        creator=draw(st.builds(Creator, maybe(texts(12)), maybe(organizations))),
    )


@st.composite
def legacy_manifests(draw) -> Manifest:
    """A manifest as an XDS-I.b source has it: series and instances with nothing that describes them."""
    manifest = draw(manifests())
    study = manifest.study
    series = tuple(
        Series(
            one.series_instance_uid,
            locations=one.locations,
            instances=tuple(Instance(i.sop_instance_uid, i.sop_class_uid) for i in one.instances),
        )
        for one in study.series
    )
    bare = replace(study, series=series, stated_series=None, modalities=(), regions=(), viewer_url=None)
    return replace(manifest, study=bare, title=Code("113030", DCM, "Manifest"))
