"""What is particular about a peer, as data: every deviation that the gateway meets by asking differently.

Each has the standard's behaviour as its default. Deviations in what a peer answers need no setting: the
readers in `gateway.ebxml` and `gateway.soap` take them from everyone.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.ebxml.slot_encoding import QueryStyle

Count = Annotated[int, Field(ge=1)]


class Quirks(BaseModel):
    """Base of the quirks of one kind of peer; immutable, unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pieces_at_once: Count = 4
    """Requests under way at the same time where one has to be cut into pieces; `max_in_flight` holds too."""

    def at_once(self, max_in_flight: int) -> int:
        """Pieces to have under way at a peer with so many places."""
        return min(self.pieces_at_once, max_in_flight)

    def active(self) -> Iterator[str]:
        """`name=value` of every quirk that differs from its default."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value != field.default:
                yield f"{name}={value}"


class RepositoryQuirks(Quirks):
    """Of a document repository (ITI-43)."""

    documents_per_request: Count = 5
    """Documents that one Retrieve Document Set may ask for. Most peers take 5, some 1 or 3."""
    home_urns: bool = True
    """False: homeCommunityIds are sent without `urn:oid:`."""


class ImagingSourceQuirks(Quirks):
    """Of an imaging document source or a responding imaging gateway (RAD-69, RAD-75)."""

    images_per_request: Count = 100
    """Images that one Retrieve Imaging Document Set may ask for. A source that prepares its whole answer
    before it sends any of it gives its first image the sooner the fewer they are."""
    pieces_at_once: Count = 2
    """The next request waits with its answer until the one before has been read."""


class RegistryQuirks(Quirks):
    """Of a document registry (ITI-18)."""

    object_refs: Literal["too_many", "always", "never"] = "too_many"
    """Whether a Find query asks for ids alone and then for the objects: where the registry answers
    XDSTooManyResults, always (for one whose limit is known to be low), or never."""
    objects_per_query: Count = 100
    """Objects that are asked for at once where the ids came first."""
    max_objects: Count = 5_000
    """Objects of one search that are fetched in this way at most."""
    ids_per_query: Count = 1_000
    """Ids that any Get query names at most; more are asked for in pieces."""
    date_range: Literal["creation", "service_start"] | None = None
    """Which time a FindDocuments has to limit; where the search does not, it is 1900 to 2100."""
    document_type: bool = True
    """False: the registry refuses $XDSDocumentEntryType. Its answers are filtered here instead."""
    reference_ids: Literal["query", "filter", "refuse"] = "query"
    """How things related by reference id are found: by FindDocumentsByReferenceId; by FindDocuments, for a
    registry that lacks that query and returns referenceIdList; or not at all, for one that does neither."""
    code_schemes: dict[str, tuple[str, ...]] = {}
    """Other spellings of coding schemes: queries ask for all of them, answers are read as the first."""
    unique_id_urns: bool = False
    """True: the registry holds OIDs with `urn:oid:`, so uniqueIds are asked for with it and without."""
    parentheses: Literal["lists", "several", "always"] = "lists"
    """Where parentheses stand: around lists, only around lists of several values, or around every value."""
    quotes: Literal["texts", "lists"] = "texts"
    """Where quotes stand: around every text, or only around those in lists."""
    home_urns: bool = True
    """False: homeCommunityIds are sent without `urn:oid:`."""
    empty_retries: Annotated[int, Field(ge=0, le=10)] = 0
    """How often a query is repeated, half a second apart, where nothing was found."""

    @property
    def style(self) -> QueryStyle:
        """How slot values are written."""
        return QueryStyle(self.parentheses, self.quotes)


class CommunityQuirks(Quirks):
    """Of the gateways of another community (ITI-38, ITI-39, RAD-75, ITI-55)."""

    query: RegistryQuirks = RegistryQuirks()
    retrieve: RepositoryQuirks = RepositoryQuirks()
    images: ImagingSourceQuirks = ImagingSourceQuirks()
    missing_home: Literal["refuse", "assume"] = "refuse"
    """What names no community in its answers makes the answer an error, or is taken as its own."""
