"""DocumentReference in FHIR R4 and R5 (IHE MHD 4.2.4 and 5.1.0): what is of this type alone.

MHD 5.1 wants one content.profile, a Coding, where HL7 Europe wants canonicals. A document of HL7 Europe has
both, the canonicals first, and claims no profile of MHD; any other has the Coding.
"""

from collections.abc import Iterable
from typing import Any, Final

from gateway.fhir.datatypes import Json, identifier_role
from gateway.fhir.reference_ids import goes_with_orders
from gateway.fhir.version_rules import Lost, Shape, coded, find
from gateway.model import codes
from gateway.model import imaging_codes as imaging

_ROLE: Final = {"coding": [{"system": codes.MHD_IDENTIFIER_TYPE, "code": "uniqueId"}]}
_MODES: Final = ("legal", "official", "professional")
_PLAIN: Final = ("period", "facilityType", "practiceSetting")
_EU_CANONICALS: Final = (imaging.EU_IMAGING, "http://hl7.eu/fhir/imaging-r5/")

RELATION = coded(codes.RELATIONSHIP_SYSTEM)


# --- identifiers ------------------------------------------------------------------------------------------
def identifiers_up(given: Json, made: Json, _: Lost) -> None:
    """masterIdentifier becomes the identifier of type uniqueId."""
    identifiers = list(given.get("identifier") or ())
    master: Json | None = given.get("masterIdentifier")
    if master is not None and not any(_same(master, i) and identifier_role(i) for i in identifiers):
        identifiers = [{**master, "type": _ROLE}, *(i for i in identifiers if not _same(master, i))]
    if identifiers:
        made["identifier"] = identifiers


def identifiers_down(given: Json, made: Json, _: Lost) -> None:
    """The uniqueId is masterIdentifier, and stays among the identifiers where it is typed."""
    identifiers = given.get("identifier") or ()
    master = _master(identifiers)
    kept = [i for i in identifiers if i is not master or (master and identifier_role(master))]
    if master is not None:
        made["masterIdentifier"] = master
    if kept:
        made["identifier"] = kept


def _master(identifiers: Iterable[Any]) -> Json | None:
    """By type as MHD 5.1 has it, by use as 5.0.0 and HL7 Europe have it, else the only one that is an OID."""
    held: list[Json] = [i for i in identifiers if isinstance(i, dict)]
    typed = [i for i in held if identifier_role(i) == "uniqueId"]
    used = [i for i in held if i.get("use") == "usual" and i.get("system") == codes.URI_SYSTEM]
    plain = [i for i in held if "type" not in i and str(i.get("value", "")).startswith("urn:oid:")]
    return next(iter(typed or used or (plain if len(plain) == 1 else ())), None)


def _same(one: Json, other: Json) -> bool:
    return (one.get("system"), one.get("value")) == (other.get("system"), other.get("value"))


# --- authenticator ----------------------------------------------------------------------------------------
def _attested(party: Json, _: Lost) -> list[Json]:
    mode = {"coding": [{"system": codes.ATTESTATION_MODE_SYSTEM, "code": _MODES[0]}]}
    return [{"mode": mode, "party": party}]


def _authenticator(attesters: list[Json], lost: Lost) -> Any:
    """The one that stands for the document by law comes first; any other has no place in R4."""
    in_order = sorted((a for a in attesters if "party" in a), key=_rank)
    if len(attesters) > 1:
        lost("all but one")
    if any("time" in attester for attester in in_order[:1]):
        lost("time")
    return in_order[0]["party"] if in_order else None


def _rank(attester: Json) -> int:
    held = {coding.get("code") for coding in find(attester, "mode.coding") or ()}
    return next((number for number, mode in enumerate(_MODES) if mode in held), len(_MODES))


ATTESTER = Shape(_attested, _authenticator)


# --- context ----------------------------------------------------------------------------------------------
def context_up(given: Json, made: Json, _: Lost) -> None:
    """R5 has the elements of context at the root; identifiers of orders and studies are basedOn."""
    context = given.get("context") or {}
    for name in _PLAIN:
        if name in context:
            made[name] = context[name]
    if "event" in context:
        made["event"] = [{"concept": concept} for concept in context["event"]]
    if "encounter" in context:
        made["context"] = context["encounter"]
    based_on, others = [], []
    for related in context.get("related") or ():
        identifier = related.get("identifier")
        if identifier is None or goes_with_orders(identifier):
            based_on.append(related)
        else:
            others.append({"url": codes.EXT_REFERENCE_ID, "valueIdentifier": identifier})
    if based_on:
        made["basedOn"] = based_on
    if "sourcePatientInfo" in context:
        patient = context["sourcePatientInfo"]
        others.insert(0, {"url": codes.EXT_SOURCE_PATIENT, "valueReference": patient})
    if others:
        made["extension"] = [*made.get("extension", ()), *others]


def context_down(given: Json, made: Json, lost: Lost) -> None:
    """The object that R4 has, where there is anything in it."""
    context: Json = {name: given[name] for name in _PLAIN if name in given}
    events = [event["concept"] for event in given.get("event") or () if "concept" in event]
    if any("reference" in event for event in given.get("event") or ()):
        lost("event.reference")
    related = list(given.get("basedOn") or ())
    for extension in given.get("extension") or ():
        if extension.get("url") == codes.EXT_REFERENCE_ID and "valueIdentifier" in extension:
            related.append({"identifier": extension["valueIdentifier"]})
        elif extension.get("url") == codes.EXT_SOURCE_PATIENT and "valueReference" in extension:
            context["sourcePatientInfo"] = extension["valueReference"]
    for name, values in (("event", events), ("encounter", given.get("context")), ("related", related)):
        if values:
            context[name] = values
    if context:
        made["context"] = context


# --- content ----------------------------------------------------------------------------------------------
def profiles_up(given: Json, made: Json, lost: Lost) -> None:
    """content.profile of the format, and of the canonicals that HL7 Europe has in extensions."""
    european: list[Json] = []
    for extension in given.get("extension") or ():
        canonical = _canonical(extension)
        if canonical is None:
            continue
        if canonical.startswith(_EU_CANONICALS):
            european.append({"valueCanonical": canonical})
        else:
            lost("profile (a canonical beside the format)")
    if "format" in given:
        european.append({"valueCoding": given["format"]})
    if european:
        made["profile"] = european


def _canonical(extension: Json) -> str | None:
    if extension.get("url") == imaging.EXT_EU_CONTENT_PROFILE:
        return str(extension.get("valueCanonical", ""))
    if extension.get("url") == imaging.EXT_DOCUMENT_CONTENT_PROFILE:
        inner = extension.get("extension") or ()
        return next((str(e["valueCanonical"]) for e in inner if "valueCanonical" in e), None)
    return None


def profiles_down(given: Json, made: Json, lost: Lost) -> None:
    """The first Coding is the format; canonicals are extensions."""
    codings = [p["valueCoding"] for p in given.get("profile") or () if "valueCoding" in p]
    if codings:
        made["format"] = codings[0]
    if len(codings) > 1:
        lost("profile (all but the first Coding)")
    for profile in given.get("profile") or ():
        canonical = profile.get("valueCanonical") or profile.get("valueUri")
        if canonical is None:
            continue
        written: Json = {"url": imaging.EXT_EU_CONTENT_PROFILE, "valueCanonical": canonical}
        if not str(canonical).startswith(_EU_CANONICALS):
            inner = {"url": "value[x]", "valueCanonical": canonical}
            written = {"url": imaging.EXT_DOCUMENT_CONTENT_PROFILE, "extension": [inner]}
        made["extension"] = [*made.get("extension", ()), written]


CONTENT_EXTENSIONS: Final = frozenset({imaging.EXT_EU_CONTENT_PROFILE, imaging.EXT_DOCUMENT_CONTENT_PROFILE})
