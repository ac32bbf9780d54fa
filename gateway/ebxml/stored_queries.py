"""Stored queries <-> query:AdhocQueryRequest (ITI-18, ITI-38; ITI TF-2 3.18.4.1.2)."""

from collections.abc import Collection, Sequence
from typing import Any, Literal

from lxml.etree import Element, SubElement, _Element

from gateway.ebxml import hl7
from gateway.ebxml.errors import MetadataError, StoredQueryError
from gateway.ebxml.names import (
    ADHOC_QUERY,
    ADHOC_QUERY_REQUEST,
    RESPONSE_OPTION,
    SLOT,
)
from gateway.ebxml.object_reader import slot_values
from gateway.ebxml.object_writer import add_slot
from gateway.ebxml.query_parameters import COMMON, DEFINITIONS, Definition, Parameter, Shape
from gateway.ebxml.slot_encoding import (
    STANDARD_STYLE,
    QueryStyle,
    read_value,
    write_list,
    write_single,
)
from gateway.model.codes import NS_QUERY, NS_RIM
from gateway.model.query import StoredQuery

__all__ = ["ReturnType", "StoredQueryError", "read_query", "write_query"]

ReturnType = Literal["LeafClass", "ObjectRef"]

_MISSING = "XDSStoredQueryMissingParam"
_NUMBER = "XDSStoredQueryParamNumber"
_RETURN_TYPES: dict[str | None, ReturnType] = {"LeafClass": "LeafClass", "ObjectRef": "ObjectRef"}


def write_query(
    query: StoredQuery, return_type: ReturnType = "LeafClass", style: QueryStyle = STANDARD_STYLE
) -> _Element:
    """query:AdhocQueryRequest.

    Raises StoredQueryError where a required parameter is empty, where not exactly one of entryUUID,
    uniqueId and logicalID is given, and where a value is too long for ebRIM (256 characters with its quotes).
    """
    definition = DEFINITIONS[query.query_id]
    _check(definition, {p.field for p in definition.parameters if getattr(query, p.field)})
    request = Element(ADHOC_QUERY_REQUEST, nsmap={"query": NS_QUERY, "rim": NS_RIM})
    SubElement(request, RESPONSE_OPTION, {"returnComposedObjects": "true", "returnType": return_type})
    adhoc = SubElement(request, ADHOC_QUERY, {"id": query.query_id})
    if query.home:
        adhoc.set("home", query.home)
    for parameter in (*definition.parameters, *COMMON):
        value = getattr(query, parameter.field)
        if value:
            _write_parameter(adhoc, parameter, value, style)
    return request


def _write_parameter(adhoc: _Element, parameter: Parameter, value: Any, style: QueryStyle) -> None:
    write = parameter.codec.write
    try:
        match parameter.shape:
            case Shape.ONE:
                add_slot(adhoc, parameter.slot, [write_single(write(value), style)])
            case Shape.ANY_OF:
                add_slot(adhoc, parameter.slot, write_list(map(write, value), style))
            case Shape.ALL_OF:
                for group in value:
                    add_slot(adhoc, parameter.slot, write_list(map(write, group), style))
    except ValueError as error:
        raise StoredQueryError("XDSRegistryError", f"a value of {parameter.slot} {error}") from None
    except MetadataError as error:
        raise StoredQueryError("XDSRegistryError", error.context) from None


def read_query(element: _Element) -> tuple[StoredQuery, ReturnType]:
    """Stored query and return type of an AdhocQueryRequest. Slots that the query does not define are ignored.

    Raises StoredQueryError: XDSUnknownStoredQuery; XDSStoredQueryMissingParam for a required parameter
    without a known value; XDSStoredQueryParamNumber for a repeated slot that is not AND/OR, several values
    of a single parameter, not exactly one of entryUUID, uniqueId and logicalID; XDSRegistryError for what
    is malformed.
    """
    adhoc = element.find(ADHOC_QUERY) if element.tag == ADHOC_QUERY_REQUEST else None
    if adhoc is None:
        raise StoredQueryError("XDSRegistryError", "the request is no AdhocQueryRequest with an AdhocQuery")
    definition = DEFINITIONS.get((adhoc.get("id") or "").strip().lower())
    if definition is None:
        raise StoredQueryError("XDSUnknownStoredQuery", "AdhocQuery/@id names none of the 14 stored queries")
    option = element.find(RESPONSE_OPTION)
    return_type = None if option is None else _RETURN_TYPES.get(option.get("returnType"))
    if return_type is None:
        raise StoredQueryError("XDSRegistryError", "returnType must be LeafClass or ObjectRef")
    slots: dict[str, list[list[str]]] = {}
    for slot in adhoc.iterchildren(SLOT):
        slots.setdefault((slot.get("name") or "").strip(), []).append(slot_values(slot))
    fields: dict[str, Any] = {}
    for parameter in (*definition.parameters, *COMMON):
        value = _read_parameter(parameter, slots.get(parameter.slot, []))
        if value:
            fields[parameter.field] = value
    _check(definition, fields.keys())
    home = adhoc.get("home")
    return definition.query(home=hl7.home_community_id(home) if home else None, **fields), return_type


def _read_parameter(parameter: Parameter, occurrences: Sequence[Sequence[str]]) -> Any:
    """Value for the model, empty where the request has none."""
    if len(occurrences) > 1 and parameter.shape is not Shape.ALL_OF:
        raise StoredQueryError(
            _NUMBER, f"slot {parameter.slot} occurs {len(occurrences)} times, once is allowed"
        )
    groups = [group for values in occurrences if (group := _read_group(parameter, values))]
    if parameter.shape is Shape.ALL_OF:
        return tuple(groups)
    group = groups[0] if groups else ()
    if parameter.shape is Shape.ANY_OF:
        return group
    if len(group) > 1:
        raise StoredQueryError(_NUMBER, f"{parameter.slot} has {len(group)} values, it takes one")
    return group[0] if group else None


def _read_group(parameter: Parameter, values: Sequence[str]) -> tuple[Any, ...]:
    try:
        read = [parameter.codec.read(literal) for value in values for literal in read_value(value)]
    except ValueError as error:
        raise StoredQueryError("XDSRegistryError", f"a value of {parameter.slot} {error}") from None
    return tuple(item for item in read if item is not None)


def _check(definition: Definition, given: Collection[str]) -> None:
    for parameter in definition.parameters:
        if parameter.required and parameter.field not in given:
            raise StoredQueryError(_MISSING, f"{parameter.slot} is required")
    if definition.either and sum(field in given for field in definition.either) != 1:
        names = " or ".join(p.slot for p in definition.parameters if p.field in definition.either)
        raise StoredQueryError(_NUMBER, f"exactly one of {names} must be given")
