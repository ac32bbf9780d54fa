"""What differs between FHIR R4 and R5 in single types other than DocumentReference."""

from collections.abc import Iterable
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.version_references import ONLY_IN_R4
from gateway.fhir.version_rules import Lost, Shape, coded
from gateway.model import codes

_RELATIONS: Final = frozenset({"replaces", "transforms", "signs", "appends"})
_DOC_STATUS: Final = {
    "registered": "preliminary",
    "partial": "preliminary",
    "corrected": "amended",
    "appended": "amended",
}
_NO_STATUS_IN_R4: Final = frozenset({"cancelled", "deprecated", "unknown"})
_COMPOSITION_STATUS: Final = {
    **_DOC_STATUS,
    "unknown": "preliminary",
    "deprecated": "final",
    "cancelled": "entered-in-error",
}

MODE = coded(codes.ATTESTATION_MODE_SYSTEM)


# --- values -----------------------------------------------------------------------------------------------
def _size(value: Any, _: Lost) -> Any:
    """integer64 as the number that R4 has; what is no number stays, so that it is refused."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


SIZE = Shape(lambda value, _: str(value), _size)


def _doc_status(status: str, lost: Lost) -> str | None:
    if status in _NO_STATUS_IN_R4:
        lost("a status that R4 does not have")
        return None
    return _renamed(status, _DOC_STATUS, lost)


def _renamed(status: str, table: dict[str, str], lost: Lost) -> str:
    if status in table:
        lost(f"{status} instead of {table[status]}")
    return table.get(status, status)


DOC_STATUS = Shape(down=_doc_status)
COMPOSITION_STATUS = Shape(down=lambda status, lost: _renamed(status, _COMPOSITION_STATUS, lost))
REPORT_STATUS = Shape(down=lambda status, lost: _renamed(status, {"modified": "amended"}, lost))
ENTITY_ROLE = Shape(
    up=lambda role, lost: _renamed(role, {"derivation": "source"}, lost),
    down=lambda role, lost: _renamed(role, {"instantiates": "source"}, lost),
)
INSTRUCTION = Shape(
    up=lambda text, _: [{"instructionMarkdown": text}],
    down=lambda items, _: next((i["instructionMarkdown"] for i in items if "instructionMarkdown" in i), None),
)
LANGUAGES = Shape(
    up=lambda concepts, _: [{"language": concept} for concept in concepts],
    down=lambda items, _: [item["language"] for item in items if "language" in item] or None,
)
CONTACTS = Shape(
    up=lambda telecom, _: [{"telecom": telecom}],
    down=lambda contacts, _: [t for contact in contacts for t in contact.get("telecom") or ()] or None,
)


def _detail(concept: Json) -> Json:
    parameter: Json = {"code": concept}
    text = concept.get("text") or next(
        (c["display"] for c in concept.get("coding", ()) if "display" in c), ""
    )
    if text:
        parameter["valueString"] = text
    return {"parameter": [parameter]}


ORDER_DETAIL = Shape(
    up=lambda concepts, _: [_detail(concept) for concept in concepts],
    down=lambda details, _: (
        [p["code"] for d in details for p in d.get("parameter") or () if "code" in p] or None
    ),
)


# --- Organization -----------------------------------------------------------------------------------------
def organization_up(given: Json, made: Json, _: Lost) -> None:
    """telecom and address are contacts without purpose; one of these has one address."""
    telecom, addresses = given.get("telecom"), list(given.get("address") or ())
    contacts: list[Json] = []
    if telecom or addresses:
        first: Json = {"telecom": telecom} if telecom else {}
        contacts.append(first | ({"address": addresses[0]} if addresses else {}))
    contacts += [{"address": address} for address in addresses[1:]]
    for contact in given.get("contact") or ():
        named = {**contact, "name": [contact["name"]]} if "name" in contact else contact
        contacts.append(named)
    if contacts:
        made["contact"] = contacts


def organization_down(given: Json, made: Json, lost: Lost) -> None:
    """Contacts without name and purpose are those of the organization itself."""
    telecom: list[Json] = []
    addresses: list[Json] = []
    contacts: list[Json] = []
    for contact in given.get("contact") or ():
        if "name" not in contact and "purpose" not in contact:
            telecom += contact.get("telecom") or ()
            addresses += [contact["address"]] if "address" in contact else []
            continue
        kept = {name: value for name, value in contact.items() if name not in ("organization", "period")}
        if len(kept) < len(contact) or len(contact.get("name", ())) > 1:
            lost("contact (names but the first, organization, period)")
        if "name" in kept:
            kept["name"] = kept["name"][0]
        contacts.append(kept)
    for name, values in (("telecom", telecom), ("address", addresses), ("contact", contacts)):
        if values:
            made[name] = values


# --- Endpoint ---------------------------------------------------------------------------------------------
def payload_up(given: Json, made: Json, _: Lost) -> None:
    """Types and media types of R4 are one payload."""
    names = {"type": "payloadType", "mimeType": "payloadMimeType"}
    payload = {new: given[old] for new, old in names.items() if given.get(old)}
    if payload:
        made["payload"] = [payload]


def payload_down(given: Json, made: Json, lost: Lost) -> None:
    """The types and the media types of all payloads; which belong together is lost."""
    payloads = given.get("payload") or ()
    if len(payloads) > 1:
        lost("payload (which type and media type belong together)")
    types = _together(payload.get("type") for payload in payloads)
    media_types = _together(payload.get("mimeType") for payload in payloads)
    made["payloadType"] = types or [{"coding": [{"system": _PAYLOAD_TYPES, "code": "any"}]}]
    if media_types:
        made["payloadMimeType"] = media_types


_PAYLOAD_TYPES: Final = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"


def _together(lists: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for items in lists:
        found += [item for item in items or () if item not in found]
    return found


# --- Composition ------------------------------------------------------------------------------------------
def confidentiality_up(given: Json, made: Json, _: Lost) -> None:
    """The code is a label of the resource."""
    if "confidentiality" in given:
        label = {"system": codes.CONFIDENTIALITY_SYSTEM, "code": given["confidentiality"]}
        meta = made.get("meta") or {}
        labels = [one for one in meta.get("security") or () if _labelled(one) != _labelled(label)]
        made["meta"] = {**meta, "security": [*labels, label]}


def confidentiality_down(given: Json, made: Json, _: Lost) -> None:
    """The label stays, and is the code as well."""
    for label in (given.get("meta") or {}).get("security") or ():
        if label.get("system") == codes.CONFIDENTIALITY_SYSTEM and "code" in label:
            made["confidentiality"] = label["code"]
            return


def _labelled(label: Json) -> tuple[object, object]:
    return label.get("system"), label.get("code")


def composition_relation_up(given: Json, made: Json, _: Lost) -> None:
    """Code and target are a RelatedArtifact."""
    made["type"] = given.get("code")
    if "targetReference" in given:
        made["resourceReference"] = given["targetReference"]
    elif "targetIdentifier" in given:
        made["resourceReference"] = {"identifier": given["targetIdentifier"]}


def composition_relation_down(given: Json, made: Json, lost: Lost) -> None:
    """amends becomes appends, as HL7 Europe writes it in R4."""
    kind = given.get("type")
    made["code"] = "appends" if kind == "amends" else kind
    if made["code"] not in _RELATIONS:
        lost(f"relatesTo ({kind})")
    target = given.get("resourceReference") or {}
    if "identifier" in target and "reference" not in target:
        made["targetIdentifier"] = target["identifier"]
    elif target:
        made["targetReference"] = target


# --- SearchParameter --------------------------------------------------------------------------------------
def processing_up(given: Json, made: Json, _: Lost) -> None:
    """R5 says how an expression is meant, which in R4 goes without saying."""
    if "expression" in given:
        made["processingMode"] = "normal"


def processing_down(given: Json, _: Json, lost: Lost) -> None:
    """Any other way than the normal one has no place in R4."""
    if given.get("processingMode", "normal") != "normal":
        lost("processingMode")


# --- Bundle -----------------------------------------------------------------------------------------------
_ISSUES: Final = "issues"
"""Id of the outcome, since validators ask one of it."""


def bundle_up(given: Json, made: Json, lost: Lost) -> None:
    """What a searchset says about itself is `issues` in R5, in R4 an entry."""
    entries = given.get("entry") or []
    outcomes = [e["resource"] for e in entries if _mode(e) == "outcome" and "resource" in e]
    if given.get("type") == "searchset" and outcomes:
        issues = [issue for outcome in outcomes for issue in outcome.get("issue") or ()]
        made["issues"] = {"resourceType": "OperationOutcome", "id": _ISSUES, "issue": issues}
        entries = [entry for entry in entries if _mode(entry) != "outcome"]
    known = [entry for entry in entries if _type(entry) not in ONLY_IN_R4]
    if len(known) < len(entries):
        lost("entry (of a type that R5 does not have)")
    entries = known
    if entries:
        made["entry"] = entries


def bundle_down(given: Json, made: Json, lost: Lost) -> None:
    """The entry that R4 has for it; other Bundles have no place for issues."""
    entries = list(given.get("entry") or ())
    issues = given.get("issues")
    if issues is not None and given.get("type") == "searchset":
        outcome = {name: value for name, value in issues.items() if (name, value) != ("id", _ISSUES)}
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    elif issues is not None:
        lost("issues")
    if entries:
        made["entry"] = entries


def _type(entry: Json) -> object:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    return resource.get("resourceType") if isinstance(resource, dict) else None


def _mode(entry: Json) -> object:
    return (entry.get("search") or {}).get("mode") if isinstance(entry, dict) else None
