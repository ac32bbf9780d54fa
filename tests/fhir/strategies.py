"""Values of the model in the form that FHIR can carry, so that reading what was written gives them back.

Left out is what IHE MHD does not map (see `gateway.fhir.document_reference_read`): ids of versions, slots
without definition, degrees, wire lines of sourcePatientInfo. Codes have a display, as XDS requires.
"""

from datetime import datetime

from hypothesis import strategies as st

from gateway.model import (
    Author,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    IntendedRecipient,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    SubmissionSet,
    codes,
)
from gateway.model.metadata import Address
from tests.ebxml.strategies import (
    hashes,
    homes,
    maybe,
    oids,
    several,
    statuses,
    telecoms,
    texts,
    unique_ids,
    uuids,
)

words = st.from_regex(r"[A-Za-z0-9/^&|.:-]{1,12}", fullmatch=True)


@st.composite
def periods(draw):
    """Two DTMs or None, in order; a period that ends before it starts cannot be written."""
    start, stop = draw(maybe(dtms())), draw(maybe(dtms()))
    if start and stop and stop < start[: len(stop)]:
        start, stop = stop, start
    return start, stop


@st.composite
def dtms(draw):
    """DTM of the precisions that dateTime keeps."""
    moment = draw(st.datetimes(min_value=datetime(1850, 1, 1), max_value=datetime(2200, 1, 1)))
    return moment.strftime("%Y%m%d%H%M%S")[: draw(st.sampled_from((4, 6, 8, 14)))]


coded = st.builds(Code, words, oids, texts(40))
cxs = st.builds(Cx, texts(12), oids)
reference_ids = st.one_of(
    st.builds(
        ReferenceId, texts(12), oids, st.sampled_from((codes.REFERENCE_ACCESSION, codes.REFERENCE_ORDER))
    ),
    st.builds(ReferenceId, oids, st.none(), st.just(codes.REFERENCE_STUDY)),
    st.builds(ReferenceId, st.one_of(oids, uuids), st.none(), st.just(codes.REFERENCE_UNIQUE_ID)),
)
encounters = st.builds(ReferenceId, texts(12), oids, st.just(codes.REFERENCE_ENCOUNTER))


@st.composite
def persons(draw, *, identified=None):
    """Person with family or id; a further given name only after a given name."""
    has_id = draw(st.booleans()) if identified is None else identified
    given = draw(maybe(texts()))
    return Person(
        id=draw(words) if has_id else None,
        authority=draw(maybe(oids)) if has_id else None,
        family=draw(maybe(texts())) if has_id else draw(texts()),
        given=given,
        further_given=draw(maybe(texts())) if given else None,
        suffix=draw(maybe(texts())),
        prefix=draw(maybe(texts())),
    )


organizations = st.one_of(
    st.builds(Organization, name=texts(), id=maybe(oids)),
    st.builds(Organization, name=texts(), id=words, authority=oids),
)
# FHIR has no organization that is reached at home (org-3)
office_telecoms = telecoms.filter(lambda telecom: telecom.use != "home")
# the registry's message has no place for a display name here
roles = st.one_of(texts(12), st.builds(Code, words, oids))


@st.composite
def authors(draw):
    """An author with a person, or an institution alone."""
    if draw(st.booleans()):
        return Author(
            person=draw(persons()),
            institutions=draw(several(organizations, 3).map(lambda found: tuple(dict.fromkeys(found)))),
            roles=draw(several(roles, 2)),
            specialties=draw(several(roles, 2)),
            telecoms=draw(several(telecoms, 2)),
        )
    return Author(institutions=(draw(organizations),), telecoms=draw(several(office_telecoms, 2)))


addresses = st.builds(
    Address, street=texts(), other=maybe(texts()), city=maybe(texts()), country=maybe(texts())
)


@st.composite
def source_patients(draw):
    """sourcePatientId and sourcePatientInfo, whose PID-3 begins with that id."""
    ids = draw(st.lists(cxs, min_size=1, max_size=3, unique=True))
    info = SourcePatientInfo(
        ids=tuple(ids),
        names=draw(several(persons(identified=False), 2)),
        birth_date=draw(maybe(dtms().map(lambda value: value[:8]))),
        gender=draw(maybe(st.sampled_from("MFOU"))),
        addresses=draw(several(addresses, 2)),
    )
    return ids[0], info


@st.composite
def document_entries(draw):
    """A stable or On-Demand DocumentEntry."""
    on_demand = draw(st.booleans())
    source_id, source_info = draw(maybe(source_patients())) or (None, None)
    return DocumentEntry(
        entry_uuid=draw(uuids),
        unique_id=draw(unique_ids),
        patient_id=draw(maybe(cxs)),
        object_type=codes.ON_DEMAND_DOCUMENT if on_demand else codes.STABLE_DOCUMENT,
        status=draw(statuses),
        mime_type=draw(st.sampled_from(("text/xml", "application/pdf"))),
        home_community_id=draw(maybe(homes)),
        source_patient_id=source_id,
        source_patient_info=source_info,
        authors=draw(several(authors(), 3)),
        legal_authenticator=draw(maybe(persons())),
        class_code=draw(maybe(coded)),
        type_code=draw(maybe(coded)),
        format_code=draw(maybe(coded)),
        facility_type=draw(maybe(coded)),
        practice_setting=draw(maybe(coded)),
        confidentiality=draw(several(coded, 2)),
        event_codes=draw(several(coded, 2)),
        reference_ids=(*draw(several(encounters, 2)), *draw(several(reference_ids, 3))),
        creation_time=draw(maybe(dtms())),
        **dict(zip(("service_start_time", "service_stop_time"), draw(periods()), strict=True)),
        language=draw(maybe(st.sampled_from(("en", "de-CH")))),
        hash=None if on_demand else draw(hashes),
        size=None if on_demand else draw(maybe(st.integers(0, 2**31 - 1))),
        title=draw(maybe(texts(60))),
        comments=draw(maybe(texts(60))),
        limited_metadata=draw(st.booleans()),
    )


_person_authors = st.builds(
    Author,
    person=persons(),
    institutions=several(organizations, 1),
    roles=several(roles, 2),
    specialties=several(roles, 2),
    telecoms=several(telecoms, 2),
)
_institution_authors = st.builds(Author, institutions=st.tuples(organizations))
_recipients = st.one_of(
    st.builds(IntendedRecipient, organization=organizations, telecom=maybe(office_telecoms)),
    st.builds(IntendedRecipient, person=persons(), telecom=maybe(telecoms)),
    st.builds(IntendedRecipient, telecom=telecoms),
)


@st.composite
def submission_sets(draw):
    """SubmissionSet with at most one person and one institution as authors."""
    return SubmissionSet(
        entry_uuid=draw(uuids),
        unique_id=draw(oids),
        source_id=draw(oids),
        submission_time=draw(dtms()),
        patient_id=draw(maybe(cxs)),
        content_type=draw(maybe(coded)),
        authors=(*draw(several(_person_authors, 1)), *draw(several(_institution_authors, 1))),
        intended_recipients=draw(several(_recipients, 2)),
        title=draw(maybe(texts(60))),
        comments=draw(maybe(texts(60))),
        home_community_id=draw(maybe(homes)),
    )


folders = st.builds(
    Folder,
    entry_uuid=uuids,
    unique_id=oids,
    patient_id=maybe(cxs),
    code_list=several(coded, 3),
    last_update_time=maybe(dtms()),
    title=maybe(texts(60)),
    comments=maybe(texts(60)),
    home_community_id=maybe(homes),
)
