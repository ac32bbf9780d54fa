"""Which system a submission comes from, where its SubmissionSet is made here (ITI-105 and ITI-106).

IHE MHD wants the sourceId to tell sources apart, so each client has its own: that of the settings, else one
that follows from the client's name.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web
from msgspec.structs import replace

from gateway.fhir.issues import fail
from gateway.model.publishing import PublishingSource

ClientOf = Callable[[web.Request], str | None]
"""Who sent a request, as something before the handler has verified; None where that is not known."""

_LONGEST_NAME: Final = 256


def nobody(_: web.Request) -> str | None:
    """No client is known by name."""
    return None


def client_in_header(name: str) -> ClientOf:
    """The client that a front proxy names in a header, which it takes out of what clients send."""

    def client_of(request: web.Request) -> str | None:
        values = request.headers.getall(name, ())
        if len(values) > 1 or any(len(value) > _LONGEST_NAME for value in values):
            raise fail(400, "security", f"The header {name} names one client, and is set by the proxy alone.")
        return values[0].strip() or None if values else None

    return client_of


class PublishingSources:
    """Sources by client; `fallback` is that of requests whose client is not known."""

    def __init__(self, fallback: PublishingSource, by_client: Mapping[str, PublishingSource]) -> None:
        self._fallback = fallback
        self._by_client = dict(by_client)

    def of(self, client: str | None) -> PublishingSource:
        """The source of a client."""
        if client is None:
            return self._fallback
        listed = self._by_client.get(client)
        if listed is not None:
            return listed
        named = uuid.uuid5(uuid.NAMESPACE_OID, f"{self._fallback.source_id} {client}")
        return replace(self._fallback, source_id=f"2.25.{named.int}")
