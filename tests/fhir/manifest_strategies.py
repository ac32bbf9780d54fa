"""Manifests as key object documents may have them, for round trips and for hostile edits.

UIDs are unique within a manifest where they have to be. Texts come in several scripts, with the characters
that JSON, XML and HL7 v2 escape.
"""

from datetime import datetime

from hypothesis import strategies as st

from gateway.model import Code, Organization, Person
from gateway.model import imaging_codes as imaging
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
    Series,
    Study,
)
from tests.ebxml import strategies as common
from tests.ebxml.strategies import maybe, several


def texts(max_size=5):
    """Text without the mark U+FEFF, which some take for a blank."""
    return common.texts(max_size).filter(lambda text: "\ufeff" not in text)


# of arcs that every validator takes for an OID
oids = st.from_regex(r"2\.[1-9][0-9]{1,3}(\.[1-9][0-9]{0,3}){1,2}", fullmatch=True)
codes_ = st.from_regex(r"[A-Z0-9]{1,10}(-[0-9])?", fullmatch=True)
schemes = st.one_of(st.just(imaging.SNOMED), oids)
coded = st.builds(Code, codes_, schemes, maybe(texts(12)))
modalities = st.builds(Code, st.sampled_from(("CT", "MR", "KO", "US")), st.just(imaging.DCM), maybe(texts(8)))
regions = st.builds(
    Code,
    st.sampled_from(sorted({*imaging.REGIONS, *imaging.SPINE})),
    st.just(imaging.SNOMED),
    maybe(texts(8)),
)
hosts = st.from_regex(r"[a-z]{3,8}\.example", fullmatch=True)
urls = st.builds("https://{}/{}".format, hosts, st.from_regex(r"[a-z0-9/]{0,8}", fullmatch=True))
offsets = st.sampled_from(("+0000", "+0100", "-0330", "+1400", "-1200", "+0545"))

issuers = st.one_of(
    st.builds(Issuer, maybe(texts(8)), oids, st.just("ISO")),
    st.builds(Issuer, maybe(texts(8)), urls, st.just("URI")),
    st.builds(Issuer, maybe(texts(8)), st.uuids().map(str), st.just("UUID")),
    st.builds(Issuer, maybe(texts(8)), hosts, st.just("DNS")),
    st.builds(Issuer, texts(8)),
)
issued = st.builds(IssuedId, texts(12), maybe(issuers))


@st.composite
def local_times(draw, with_offset=True):
    """Dates and times of every precision that DICOM has."""
    moment = draw(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)))
    width = draw(st.sampled_from((0, 2, 4, 6, 9, 13)))
    time = f"{moment:%H%M%S}.{moment:%f}"[:width] or None
    offset = draw(maybe(offsets)) if with_offset and time else None
    return LocalTime(f"{moment:%Y%m%d}", time, offset)


@st.composite
def names(draw):
    """Names as DICOM PN has them."""
    return Person(
        family=draw(texts()),
        given=draw(maybe(texts())),
        further_given=draw(maybe(texts())),
        prefix=draw(maybe(texts())),
        suffix=draw(maybe(texts())),
    )


patients = st.builds(
    ImagingPatient,
    ids=several(issued),
    name=maybe(names()),
    ideographic_name=maybe(names()),
    phonetic_name=maybe(names()),
    birth_date=maybe(st.dates(min_value=datetime(1850, 1, 1).date()).map(lambda d: f"{d:%Y%m%d}".zfill(8))),
    sex=maybe(st.sampled_from("MFO")),
)
requests = st.builds(
    ImagingRequest,
    accession=maybe(issued),
    placer=maybe(issued),
    filler=maybe(issued),
    procedure_id=maybe(texts(8)),
    procedure_description=maybe(texts(20)),
    procedure_codes=several(coded, 2),
)
locations = st.builds(RetrieveLocation, maybe(oids), maybe(urls))
numbers = st.one_of(st.integers(0, 5000).map(str), st.sampled_from(("-1", "007", "x")))
uids = st.from_regex(r"1\.[1-9][0-9]{2,8}\.[1-9][0-9]{0,8}", fullmatch=True)


def instances(uid):
    return st.builds(
        Instance,
        st.just(uid),
        st.sampled_from(("1.2.840.10008.5.1.4.1.1.2", imaging.KOS_SOP_CLASS)),
        number=maybe(numbers),
        frames=maybe(st.integers(1, 999)),
        title=maybe(coded),
        description=maybe(texts(20)),
    )


@st.composite
def series(draw, uid):
    listed = tuple(draw(instances(one)) for one in draw(st.lists(uids, min_size=1, max_size=3, unique=True)))
    return Series(
        uid,
        modality=draw(maybe(modalities)),
        number=draw(maybe(numbers)),
        description=draw(maybe(texts(20))),
        started=draw(maybe(local_times())),
        body_sites=draw(several(coded, 2)),
        body_site_text=draw(maybe(texts(8))),
        laterality=draw(maybe(coded)),
        locations=draw(several(locations)),
        instances=listed,
        stated_instances=draw(maybe(st.integers(0, 9))),
    )


@st.composite
def studies(draw):
    # a described study, since the procedure of another one may be shown in place of its description
    listed = tuple(draw(series(uid)) for uid in draw(st.lists(uids, min_size=1, max_size=3, unique=True)))
    return Study(
        draw(uids),
        patient=draw(patients),
        started=draw(maybe(local_times())),
        study_id=draw(maybe(texts(8))),
        description=draw(maybe(texts(20))),
        referring_physician=draw(maybe(names())),
        modalities=tuple(dict.fromkeys(draw(several(modalities)))),
        regions=tuple({code.code: code for code in draw(several(regions))}.values()),
        procedure_codes=draw(several(coded)),
        requests=draw(several(requests)),
        viewer_url=draw(maybe(urls)),
        series=listed,
        stated_series=draw(maybe(st.integers(0, 9))),
    )


@st.composite
def manifests(draw):
    """A manifest; when it was made is said with an offset, as else the clock of the writer is shown."""
    return Manifest(
        sop_instance_uid=draw(uids),
        study=draw(studies()),
        series_instance_uid=draw(maybe(uids)),
        title=draw(maybe(coded)),
        created=draw(local_times()),
        utc_offset=draw(maybe(offsets)),
        creator=Creator(
            draw(maybe(texts(12))),
            draw(
                maybe(
                    st.one_of(
                        st.builds(Organization, name=texts(12), id=maybe(oids)),
                        st.builds(Organization, name=texts(12), id=codes_, authority=oids),
                    )
                )
            ),
        ),
    )
