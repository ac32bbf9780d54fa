"""Search parameters as the CapabilityStatement lists them, from the tables that the parsers read."""

from typing import Any

from gateway.fhir.search_table import ParameterTable, SearchParameter


def supported_rows(table: ParameterTable) -> list[SearchParameter]:
    """The rows that are honoured."""
    return list(table.rows)


def search_parameters(table: ParameterTable) -> list[dict[str, Any]]:
    """CapabilityStatement.rest.resource.searchParam of what is fully supported."""
    return [_search_parameter(p) for p in supported_rows(table)]


def _search_parameter(parameter: SearchParameter) -> dict[str, Any]:
    modifiers = ", ".join(f":{m}" for m in sorted(parameter.modifiers))
    documentation = parameter.documentation + (f" Modifiers: {modifiers}." if modifiers else "")
    written: dict[str, Any] = {
        "name": parameter.name,
        "type": parameter.kind.value,
        "documentation": documentation,
    }
    if parameter.definition is not None:
        written["definition"] = parameter.definition
    return written
