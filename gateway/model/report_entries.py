"""What a report document holds, entry by entry, as it is kept between requests."""

from msgspec import Struct


class ReportEntry(Struct, frozen=True, gc=False):
    """One resource of a report Bundle.

    `kind` is its resource type, `name` its fullUrl (`#` and its place where it has none), `local_id` its id
    in the document. `content` is the resource in FHIR R4 as JSON.
    """

    kind: str
    name: str
    local_id: str
    content: bytes


class ReportEntries(Struct, frozen=True):
    """The resources of a report document in their order; none where the document is no imaging report."""

    entries: tuple[ReportEntry, ...] = ()

    @property
    def is_report(self) -> bool:
        """False for a document of another kind."""
        return bool(self.entries)
