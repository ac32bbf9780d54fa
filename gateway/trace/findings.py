"""What a trace finds, as values: for JSON as they are, and as lines for a person. Nothing names a patient."""

from collections.abc import Iterator

from msgspec import Struct


class Way(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A leg to a document or to images. `problem` is why it fails, None where it gives what it should.

    `tried` is False where nobody was asked, so that only the settings speak, and the `circuit` of the peer
    where it is not closed: `open` or `half-open`, as its last calls failed. `location` is the Retrieve
    Location UID, or the Retrieve URL, that leads to images.
    """

    transaction: str
    peer: str
    tried: bool = False
    problem: str | None = None
    location: str | None = None
    circuit: str | None = None


class HeldSeries(Struct, frozen=True, kw_only=True):
    """A series of a manifest. `retrieve_location_uids` are where its images are, `ways` lead there."""

    series_instance_uid: str
    instances: int
    retrieve_location_uids: tuple[str, ...]
    ways: tuple[Way, ...]
    modality: str | None = None


class HeldDocument(Struct, frozen=True, kw_only=True):
    """A document of a registry. `community` is the name of its community, `home_community_id` its id.

    `fhir_id` is that of its DocumentReference. `registered` is who said that it is there, `way` leads to the
    document, `replaced_by` are ids of DocumentReferences, `names_studies` the Study Instance UIDs that its
    entry refers to. `remembered` says that the correlation store holds what it says, so that a retrieve need
    not ask for it again.
    """

    community: str
    home_community_id: str | None
    entry_uuid: str
    fhir_id: str
    document_unique_id: str
    repository_unique_id: str | None
    mime_type: str
    status: str
    registered: Way
    way: Way
    study_instance_uid: str | None = None
    remembered: bool = False
    series: tuple[HeldSeries, ...] = ()
    problem: str | None = None
    replaced_by: tuple[str, ...] = ()
    names_studies: tuple[str, ...] = ()


class Unconfirmed(Struct, frozen=True, kw_only=True):
    """A manifest that the correlation store knows and that no registry names now; `reason` says why."""

    community: str
    home_community_id: str | None
    entry_uuid: str
    document_unique_id: str
    repository_unique_id: str
    reason: str


class Trace(Struct, frozen=True, kw_only=True):
    """Of one id. `silent` are registries that could not be asked, with the reason."""

    id: str
    documents: tuple[HeldDocument, ...] = ()
    unconfirmed: tuple[Unconfirmed, ...] = ()
    silent: tuple[str, ...] = ()
    hint: str | None = None

    @property
    def problems(self) -> int:
        """How many of its lines say that something fails."""
        return sum(line.startswith("FAIL") for line in map(str.strip, lines(self)))


def lines(trace: Trace) -> Iterator[str]:
    """The trace for a person."""
    yield trace.id
    for document in trace.documents:
        yield from _of_document(document)
    for known in trace.unconfirmed:
        yield f"  remembered of {_community(known.community, known.home_community_id)}: {known.entry_uuid}"
        yield f"      document {known.document_unique_id} in repository {known.repository_unique_id}"
        yield f"    FAIL  {known.reason}"
    for silent in trace.silent:
        yield f"FAIL  {silent}"
    if trace.hint:
        yield f"      {trace.hint}"


def _of_document(document: HeldDocument) -> Iterator[str]:
    where = _community(document.community, document.home_community_id)
    yield f"  held by {where}: {document.entry_uuid}, {document.status}"
    yield f"      DocumentReference/{document.fhir_id}"
    for other in document.replaced_by:
        yield f"      replaced by DocumentReference/{other}"
    of_study = f", manifest of study {document.study_instance_uid}" if document.study_instance_uid else ""
    yield f"      document {document.document_unique_id}, {document.mime_type}{of_study}"
    for study in document.names_studies:
        if study != document.study_instance_uid:
            yield f"      refers to study {study}"
    yield f"      in repository {document.repository_unique_id or '(not said)'}"
    yield f"      {'remembered' if document.remembered else 'not remembered'} by the correlation store"
    yield "    " + _of_way(document.registered)
    yield "    " + _of_way(document.way)
    if document.problem:
        yield f"    FAIL  {document.problem}"
    for series in document.series:
        places = ", ".join(series.retrieve_location_uids) or "nowhere that the manifest says"
        what = f"{series.modality} " if series.modality else ""
        yield f"      {what}series {series.series_instance_uid}: {series.instances} instances at {places}"
        for way in series.ways:
            yield "      " + _of_way(way)


def _community(name: str, home: str | None) -> str:
    return f"{name} ({home})" if home else name


def _of_way(way: Way) -> str:
    leg = f"{way.transaction} to {way.peer}" if way.transaction else way.peer
    if way.location is not None:
        leg += f" at {way.location}"
    if way.problem is not None:
        return f"FAIL  {leg}: {way.problem}"
    if way.circuit is not None:
        return f"ok    {leg}: leads there (not tried; its circuit is {way.circuit}, as its last calls failed)"
    return f"ok    {leg}: {'gives it' if way.tried else 'leads there (not tried)'}"
