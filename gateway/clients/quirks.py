"""What is particular about a peer, as data: every deviation that the gateway meets by asking differently.

Each has the standard's behaviour as its default. Deviations in what a peer answers need no setting: the
readers in `gateway.ebxml` and `gateway.soap` take them from everyone.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]


class Quirks(BaseModel):
    """Base of the quirks of one kind of peer; immutable, unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pieces_at_once: Count = 4
    """Requests under way at the same time where one has to be cut into pieces; `max_in_flight` holds too."""

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


class ImagingSourceQuirks(Quirks):
    """Of an imaging document source or a responding imaging gateway (RAD-69, RAD-75)."""

    images_per_request: Count = 100
    """Images that one Retrieve Imaging Document Set may ask for. A source that prepares its whole answer
    before it sends any of it gives its first image the sooner the fewer they are."""
