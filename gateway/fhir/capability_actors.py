"""The CapabilityStatement of some of the actors that this server is (IHE MHD 4.2.4 and 5.1.0: Document
Recipient, Document Responder; HL7 Europe Imaging Report 1.0.0-ballot: Report Resource Access Provider; IHE
PDQm 3.2.0: Patient Demographics Supplier).

A site that opens one of them alone to its clients, for example by a proxy, states that one alone.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.model import codes
from gateway.model import imaging_codes as imaging


class StatedActor(StrEnum):
    """An actor by its name in the settings."""

    RECIPIENT = "recipient"
    RESPONDER = "responder"
    RESOURCES = "resources"
    PATIENTS = "patients"


_DOCUMENT: Final = "DocumentReference"
_ALWAYS: Final = frozenset({"SearchParameter", "OperationDefinition"})
_OF_RESPONDER: Final = frozenset({_DOCUMENT, "List", "Binary", "Patient"})
_PUBLISHING: Final = frozenset({"create", "transaction"})
_RECIPIENT: Final = "DocumentRecipient"


def of_actors(statement: Json, actors: Iterable[StatedActor]) -> Json:
    """What is of the `actors`, of a statement of all of them in R4."""
    stated = frozenset(actors)
    if stated >= set(StatedActor):
        return statement
    rest = dict(statement["rest"][0])
    rest["resource"] = [part for r in rest["resource"] for part in _resource(r, stated)]
    rest["interaction"] = [i for i in rest["interaction"] if _actor_of(i["code"]) in stated]
    if StatedActor.RESPONDER not in stated:
        # of the search at the base
        rest.pop("searchParam", None)
    if not rest["interaction"]:
        del rest["interaction"]
    instantiated = [url for url in statement["instantiates"] if _claimed_by(url) in stated]
    return {**statement, "instantiates": instantiated, "rest": [rest]}


def _claimed_by(url: str) -> StatedActor:
    if url == imaging.EU_RESOURCE_PROVIDER:
        return StatedActor.RESOURCES
    if url.startswith(codes.PDQM):
        return StatedActor.PATIENTS
    return StatedActor.RECIPIENT if _RECIPIENT in url else StatedActor.RESPONDER


def _actor_of(interaction: str) -> StatedActor:
    return StatedActor.RECIPIENT if interaction in _PUBLISHING else StatedActor.RESPONDER


def _resource(resource: Json, stated: frozenset[StatedActor]) -> Iterator[Json]:
    kind = resource["type"]
    if kind == _DOCUMENT:
        made = _documents(resource, stated)
        if made["interaction"]:
            yield made
    elif kind == "Patient":
        if stated - {StatedActor.RECIPIENT}:
            yield resource
    elif (
        kind in _ALWAYS
        or (StatedActor.RESPONDER if kind in _OF_RESPONDER else StatedActor.RESOURCES) in stated
    ):
        yield resource


def _documents(resource: Json, stated: frozenset[StatedActor]) -> Json:
    """DocumentReference, which documents are published with and found by."""
    made: dict[str, Any] = dict(resource)
    made["interaction"] = [i for i in resource["interaction"] if _actor_of(i["code"]) in stated]
    if StatedActor.RECIPIENT not in stated:
        made.pop("operation", None)
    if StatedActor.RESPONDER not in stated:
        for name in ("searchParam", "searchInclude", "searchRevInclude"):
            made.pop(name, None)
    return made
