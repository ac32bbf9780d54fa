"""What each request needs to be granted: the one table from routes to permissions.

A route that is not in the table is closed, whatever a token grants.
"""

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.security.policy import Action
from gateway.security.scopes import TRANSACTION_SCOPES, Permission

_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_DEFINITIONS: Final = frozenset({"SearchParameter", "OperationDefinition"})
_IMAGE_SEARCHES: Final = frozenset({"studies", "series", "instances"})
_ONE_TYPE: Final = {"List", "DocumentReference"}


class Interaction(Struct, frozen=True):
    """A kind of request. `needs` is all granted together; `public` needs no token.

    `reads` is the resource type of a read by address, where a server may say that there is nothing.
    """

    name: str
    needs: frozenset[Permission] = frozenset()
    public: bool = False
    reads: str | None = None


_METADATA: Final = frozenset(
    {
        *("DocumentReference", "List", "Patient", "ImagingStudy", "ServiceRequest", "Endpoint"),
        *("Provenance", "Basic", "ImagingSelection"),
    }
)
"""What other resources hold is what documents do."""


def action_of(interaction: Interaction) -> Action:
    """What an interaction is to the policy of the site."""
    if interaction.name == IMAGES.name:
        return "images"
    types = {permission.resource_type for permission in interaction.needs}
    if any(permission.letter in "cud" for permission in interaction.needs):
        return "publish"
    if not types <= _METADATA:
        return "retrieve"
    return "read" if interaction.reads is not None else "search"


PUBLIC: Final = Interaction("public", public=True)
PROVIDE_BUNDLE: Final = Interaction("ITI-65", TRANSACTION_SCOPES["ITI-65"])
GENERATE_METADATA: Final = Interaction("ITI-106", TRANSACTION_SCOPES["ITI-106"])
MATCH: Final = Interaction("ITI-119", TRANSACTION_SCOPES["ITI-119"])
RETRIEVE: Final = Interaction("ITI-68", TRANSACTION_SCOPES["ITI-68"], reads="document")
REPORT_DOCUMENT: Final = Interaction(
    "$document",
    frozenset({Permission("DiagnosticReport", "r"), Permission("Binary", "r")}),
    reads="DiagnosticReport",
)
IMAGES: Final = Interaction("RAD-107", TRANSACTION_SCOPES["RAD-107"], reads="images")
IMAGE_SEARCH: Final = Interaction("QIDO-RS", frozenset({Permission("ImagingStudy", "s")}))


def interaction_of(method: str, template: str, searched: Sequence[str] = ()) -> Interaction | None:
    """The interaction of a route below the FHIR base; None for one that the table does not have.

    `template` is the path of the route with its variables in braces, the type of a resource put in, such as
    `/DocumentReference/{id}`; `searched` are the types that a search at the base names in its URL.
    """
    method = "GET" if method == "HEAD" else method
    match [part for part in template.split("/") if part]:
        case ["metadata" | "$versions"] if method == "GET":
            return PUBLIC
        case [".well-known" | "auth", *_]:
            return PUBLIC
        case [] if method == "POST":
            return PROVIDE_BUNDLE
        case [] | ["_search"]:
            return _search_of_all(searched)
        case ["content", "{token}"] if method == "GET":
            return RETRIEVE
        case ["wado", "{token}" | "homeCommunityId", *rest] | ["dicomweb", *rest] if method == "GET":
            return IMAGE_SEARCH if rest and rest[-1] in _IMAGE_SEARCHES else IMAGES
        case [resource_type, *rest] if _TYPE.fullmatch(resource_type):
            return _of_type(method, resource_type, rest)
    return None


def _search_of_all(searched: Sequence[str]) -> Interaction:
    types = set(searched) if searched and _ONE_TYPE.issuperset(searched) else _ONE_TYPE
    return Interaction("search-system", frozenset(Permission(name, "s") for name in types))


def _of_type(method: str, resource_type: str, rest: Sequence[str]) -> Interaction | None:
    if resource_type in _DEFINITIONS:
        return PUBLIC
    match method, list(rest):
        case ("POST", ["$generate-metadata"]) if resource_type == "DocumentReference":
            return GENERATE_METADATA
        case ("POST", ["$match"]) if resource_type == "Patient":
            return MATCH
        case ("GET" | "POST", ["{id}", "$document"]) if resource_type == "DiagnosticReport":
            return REPORT_DOCUMENT
        case ("GET", []) | ("POST", ["_search"]):
            return Interaction(f"search {resource_type}", frozenset({Permission(resource_type, "s")}))
        case ("POST", []):
            return Interaction(f"create {resource_type}", frozenset({Permission(resource_type, "c")}))
        case ("GET", ["{id}"]):
            needed = frozenset({Permission(resource_type, "r")})
            return Interaction(f"read {resource_type}", needed, reads=resource_type)
    return None
