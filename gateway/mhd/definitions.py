"""Read and search of SearchParameter and OperationDefinition, to which the CapabilityStatement refers."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

from gateway.fhir.definitions import definitions
from gateway.fhir.issues import Issue, fail
from gateway.fhir.search_table import CONTROLS
from gateway.fhir.search_values import alternatives, shown, unescape
from gateway.fhir.searchset import write_searchset

DEFINITION_PARAMETERS: Final = ("url", "_id")


class Definitions:
    """What this server defines; a handful of resources, held in memory."""

    def __init__(self, capability_statement: Callable[[], bytes], base_url: str) -> None:
        self._statement = capability_statement
        self._base_url = base_url

    def read(self, resource_type: str, logical_id: str) -> bytes:
        """One definition by its id. Raises OutcomeError 404."""
        found = definitions(resource_type, self._stated).get(logical_id)
        if found is None:
            raise fail(404, "not-found", f"No {resource_type} with this id.", expression=resource_type)
        return found

    def search(
        self, resource_type: str, parameters: Sequence[tuple[str, str]], *, strict: bool = False
    ) -> bytes:
        """A searchset by `url` and `_id`, on one page. Raises OutcomeError 400 for others when strict."""
        matching = [(name, raw, orjson.loads(raw)) for name, raw in self._all(resource_type)]
        used: list[tuple[str, str]] = []
        issues: list[Issue] = []
        for name, value in parameters:
            if name in DEFINITION_PARAMETERS:
                wanted = {unescape(alternative) for alternative in alternatives(value)}
                key = "id" if name == "_id" else name
                matching = [found for found in matching if found[2][key] in wanted]
                used.append((name, value))
            elif name not in CONTROLS:
                issues.append(_left_out(resource_type, name))
        if issues and strict:
            raise fail(400, "not-supported", issues[0].diagnostics)
        base = f"{self._base_url}/{resource_type}"
        query = f"?{urlencode(used, quote_via=quote)}" if used else ""
        return write_searchset(
            entries=[(f"{base}/{name}", raw) for name, raw, _ in matching],
            total=len(matching),
            links={"self": base + query},
            issues=issues,
        )

    def _all(self, resource_type: str) -> Iterator[tuple[str, bytes]]:
        yield from definitions(resource_type, self._stated).items()

    @cached_property
    def _stated(self) -> tuple[str, ...]:
        """Canonicals in the CapabilityStatement."""
        return tuple(sorted(set(_canonicals(orjson.loads(self._statement())))))


def _canonicals(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("definition"), str):
            yield value["definition"]
        for item in value.values():
            yield from _canonicals(item)
    elif isinstance(value, list):
        for item in value:
            yield from _canonicals(item)


def _left_out(resource_type: str, name: str) -> Issue:
    known = ", ".join(DEFINITION_PARAMETERS)
    text = f"{shown(name)} is not a search parameter of {resource_type} here ({known}); it was left out."
    return Issue("warning", "not-supported", text)
