"""What a trace finds, as values: for JSON as they are, and as lines for a person. Nothing names a patient."""

from collections.abc import Iterator

from msgspec import Struct


class Way(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A leg to a document or to images. `problem` is why it fails, None where it gives what it should.

    `tried` is False where nobody was asked, so that only the settings speak.
    """

    transaction: str
    peer: str
    tried: bool = False
    problem: str | None = None


class HeldSeries(Struct, frozen=True, kw_only=True):
    """A series of a manifest. `retrieve_location_uids` are where its images are, `ways` lead there."""

    series_instance_uid: str
    instances: int
    retrieve_location_uids: tuple[str, ...]
    ways: tuple[Way, ...]


class HeldDocument(Struct, frozen=True, kw_only=True):
    """A document of a registry. `community` is the name of its community, `home_community_id` its id.

    `fhir_id` is that of its DocumentReference. `remembered` says that the correlation store holds what it
    says, so that a retrieve need not ask for it again.
    """

    community: str
    home_community_id: str | None
    entry_uuid: str
    fhir_id: str
    document_unique_id: str
    repository_unique_id: str | None
    mime_type: str
    status: str
    way: Way
    study_instance_uid: str | None = None
    remembered: bool = False
    series: tuple[HeldSeries, ...] = ()
    problem: str | None = None


class Trace(Struct, frozen=True, kw_only=True):
    """Of one id. `silent` are registries that could not be asked, with the reason."""

    id: str
    documents: tuple[HeldDocument, ...] = ()
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
    for silent in trace.silent:
        yield f"FAIL  {silent}"
    if trace.hint:
        yield f"      {trace.hint}"


def _of_document(document: HeldDocument) -> Iterator[str]:
    home = f" ({document.home_community_id})" if document.home_community_id else ""
    yield f"  held by {document.community}{home}: {document.entry_uuid}, {document.status}"
    yield f"      DocumentReference/{document.fhir_id}"
    of_study = f", manifest of study {document.study_instance_uid}" if document.study_instance_uid else ""
    yield f"      document {document.document_unique_id}, {document.mime_type}{of_study}"
    yield f"      in repository {document.repository_unique_id or '(not said)'}"
    yield f"      {'remembered' if document.remembered else 'not remembered'} by the correlation store"
    yield "    " + _of_way(document.way)
    if document.problem:
        yield f"    FAIL  {document.problem}"
    for series in document.series:
        places = ", ".join(series.retrieve_location_uids) or "nowhere that the manifest says"
        yield f"      series {series.series_instance_uid}: {series.instances} instances at {places}"
        for way in series.ways:
            yield "      " + _of_way(way)


def _of_way(way: Way) -> str:
    leg = f"{way.transaction} to {way.peer}" if way.transaction else way.peer
    if way.problem is not None:
        return f"FAIL  {leg}: {way.problem}"
    return f"ok    {leg}: {'gives it' if way.tried else 'leads there (not tried)'}"
