"""Binary of a document (FHIR R4 2.38; IHE MHD 4.2.4 leaves it open, closed issue MHD_043).

`GET Binary/[id]` with a FHIR format in Accept or `_format` is answered with the Binary resource, any other
with the document itself, as at an ITI-68 URL. Weights decide where Accept names the document's own type too.
"""

from typing import Final

import orjson
import pybase64
from aiohttp import web

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import fail
from gateway.mhd.conditions import quality
from gateway.mhd.retrieve import Retrieval

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of the largest document that is given as a resource, for which it is held in memory."""


def wants_resource(request: web.Request, media_type: str) -> bool:
    """True where the client asks for a FHIR format by name, and not rather for the type of the document.

    A document that is a FHIR resource itself is given as it is where its URL is that of ITI-68.
    """
    if request.query.get("_format"):
        return True
    main = media_type.lower().partition("/")[0]
    as_resource = as_document = 0.0
    for item in ",".join(request.headers.getall("Accept", ())).lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name in set(FhirFormat):
            as_resource = max(as_resource, quality(parameters))
        elif name in (media_type.lower(), f"{main}/*"):
            as_document = max(as_document, quality(parameters))
    return as_resource > 0 and as_resource >= as_document


async def binary_resource(logical_id: str, found: Retrieval) -> bytes:
    """The Binary as JSON. Raises OutcomeError 406 for a document above `LARGEST`."""
    content = bytearray()
    if found.chunks is not None:
        async for chunk in found.chunks:
            content += chunk
            if len(content) > LARGEST:
                raise fail(
                    406,
                    "too-costly",
                    f"A document above {LARGEST} bytes is not given as Binary resource; name its own type in "
                    "Accept, or */*.",
                )
    resource = {"resourceType": "Binary", "id": logical_id, "contentType": found.media_type}
    if content:
        resource["data"] = pybase64.b64encode(content).decode()
    return orjson.dumps(resource)
