"""A request of any release of FHIR as R4, which the readers of this package read (see `versions`)."""

from collections.abc import Iterable
from typing import Any

from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.versions import from_r5
from gateway.model.releases import FhirRelease

_URLS = frozenset({"reference", "url", "fullUrl"})


def received(resource: Json, release: FhirRelease, path: str, findings: Findings) -> Json:
    """A valid resource of `release` in R4. What R4 has no place for is reported, and stays out."""
    if release is FhirRelease.R4:
        return resource
    lost: list[str] = []
    converted = from_r5(resource, lost.append)
    for element in dict.fromkeys(lost):
        findings.inform(path, f"Document sharing has no place for {element}; it is not stored.")
    return converted


def with_own_urls(resource: Json, own: str, bases: Iterable[str]) -> Json:
    """The resource with references to the other bases of this server as references to the `own`.

    Documents among its entries stay as they are. `bases` are in the order in which they are tried.
    """
    others = tuple(bases)
    return _Rebase(own, others).object(resource) if len(others) > 1 else resource


class _Rebase:
    def __init__(self, own: str, bases: tuple[str, ...]) -> None:
        self._own = own
        self._bases = bases

    def object(self, value: Json) -> Json:
        """An object whose URLs are those of the own base."""
        return {name: self._value(name, item) for name, item in value.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return own_url(value, self._own, self._bases) if name in _URLS else value
        if isinstance(value, list):
            return [self._value(name, item) for item in value]
        if not isinstance(value, dict) or (name == "resource" and value.get("type") == "document"):
            return value
        return self.object(value)


def own_url(text: str, own: str, bases: Iterable[str]) -> str:
    """A URL below one of the bases, the first that fits, as the same below the own base."""
    for base in bases:
        if text.startswith(f"{base}/"):
            return text if base == own else own + text[len(base) :]
    return text
