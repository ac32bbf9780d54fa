"""The operation `$versions` of a base that releases of FHIR share (FHIR R4 and R5, CapabilityStatement)."""

from collections.abc import Sequence

import orjson
from aiohttp import web

from gateway.fhir.datatypes import Json
from gateway.mhd.bases import release_of
from gateway.mhd.negotiation import negotiate, respond
from gateway.model.releases import FhirRelease


def versions_table(base_path: str, offered: Sequence[FhirRelease]) -> list[web.RouteDef]:
    """The route of the operation; the default is R4."""

    async def answer(request: web.Request) -> web.Response:
        negotiate(request)
        return await respond(request, orjson.dumps(write_versions(offered, release_of(request))))

    return [web.get(f"{base_path}/$versions", answer)]


def write_versions(offered: Sequence[FhirRelease], answer_in: FhirRelease) -> Json:
    """Parameters with the versions as the parameter fhirVersion has them; codes are strings in R4."""
    kind = "valueString" if answer_in is FhirRelease.R4 else "valueCode"
    named = [*(("version", release) for release in offered), ("default", FhirRelease.R4)]
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, kind: release} for name, release in named],
    }
