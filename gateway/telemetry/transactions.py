"""Names of what clients ask for, by method and route: the IHE transaction or the FHIR interaction.

A route that has no name here is known by itself, so the names stay as many as there are routes.
"""

import re
from functools import lru_cache
from typing import Final

_FHIR: Final = {
    "POST /": "ITI-65",
    "GET /": "search all",
    "POST /_search": "search all",
    "GET /metadata": "capabilities",
    "GET /$versions": "versions",
    "POST /DocumentReference": "ITI-105",
    "POST /DocumentReference/$generate-metadata": "ITI-106",
    "GET /DocumentReference": "ITI-67",
    "GET /List": "ITI-66",
    "GET /Patient": "ITI-78",
    "POST /Patient/$match": "ITI-119",
    "GET /Binary/{id}": "ITI-68",
    "GET /content/{token}": "ITI-68",
}
_IMAGES: Final = ("/wado/", "/dicomweb")
_LEVELS: Final = ("/studies", "/series", "/instances")
_OTHERS: Final = {
    "/xds/imaging": "RAD-69",
    "/xca/gateway": "ITI-38, ITI-39",
    "/xca-i/imaging": "RAD-75",
    "/xca/patients": "ITI-55",
    "/health": "health",
    "/health/live": "health",
    "/health/ready": "health",
    "/metrics": "metrics",
}
UNKNOWN: Final = "unknown"
"""What no route takes."""
CONSOLE: Final = "console"
"""Pages of the console, but for those that show what documents hold."""
EXPLORER: Final = "console explorer"
_EXPLORER_PATH: Final = "/console/explore"
_EXPLORER_RETRIEVES: Final = {
    "retrieve-images": "RAD-107",
    "retrieve-document": "ITI-68",
    "{series}": "WADO-RS rendered",
}
"""What the explorer retrieves is what it would be of any client, by the end of the route."""


@lru_cache(maxsize=1024)
def transaction_of(method: str, route: str, resource_type: str = "", *, base_path: str = "/fhir") -> str:
    """The name of a request to `route`, a pattern such as `/fhir/List/{id}`.

    `resource_type` is what stands for `{type}` in the route, one of those that the route allows.
    """
    if route == UNKNOWN:
        return UNKNOWN
    if route in _OTHERS:
        return _OTHERS[route]
    if route == _EXPLORER_PATH or route.startswith(f"{_EXPLORER_PATH}/"):
        return _EXPLORER_RETRIEVES.get(route.rpartition("/")[2], EXPLORER)
    if route == f"/{CONSOLE}" or route.startswith(f"/{CONSOLE}/"):
        return CONSOLE
    # each release of FHIR has a base below the common one
    base = re.match(re.escape(base_path) + r"(/R\d\w?)?(?=/|$)", route)
    if base is None:
        return f"{method} {route}"
    path = route[base.end() :].replace("{type}", resource_type) or "/"
    verb = "GET" if method == "HEAD" else method
    if path.startswith(_IMAGES):
        return _of_images(path)
    searched = path.removesuffix("/_search") if verb == "POST" else path
    if searched != path and searched:
        verb, path = "GET", searched
    if named := _FHIR.get(f"{verb} {path}"):
        return named
    name, _, rest = path.removeprefix("/").partition("/")
    if verb == "GET" and rest in {"", "{id}"}:
        return f"{'read' if rest else 'search'} {name}"
    return f"{verb} {path}"


def _of_images(path: str) -> str:
    if path.endswith(_LEVELS):
        return "QIDO-RS"
    if path.endswith(("/metadata", "/rendered")):
        return f"WADO-RS {path.rpartition('/')[2]}"
    return "RAD-107"
