"""The resources of a document Bundle and what their references name (FHIR R4 Bundle 2.36.4)."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.fhir.datatypes import Json
from gateway.fhir.tolerant import Collector, Element


@dataclass(slots=True)
class Resources:
    """Resources by type and by what references call them."""

    found: Collector
    _by_name: dict[str, Element] = field(default_factory=dict)
    _by_type: dict[str, list[Element]] = field(default_factory=dict)

    @classmethod
    def of_bundle(cls, bundle: Element) -> "Resources":
        """The entries of a Bundle. Its first entry of a name counts."""
        made = cls(bundle.found)
        for entry in bundle.many("entry"):
            resource = entry.one("resource")
            if resource is not None:
                made.add(resource, entry.text("fullUrl"))
        return made

    def add(self, resource: Element, full_url: str | None = None) -> None:
        """Know a resource by its fullUrl and by its type and id."""
        kind = resource.value.get("resourceType")
        if not isinstance(kind, str):
            return
        self._by_type.setdefault(kind, []).append(resource)
        number = resource.value.get("id")
        names = [full_url, f"{kind}/{number}" if isinstance(number, str) else None]
        for name in names:
            if name is not None:
                self._by_name.setdefault(name, resource)

    def of_type(self, kind: str) -> list[Element]:
        """Resources of a type in their order."""
        return self._by_type.get(kind, [])

    def resolve(
        self, reference: Element, base: Element, kind: str | None = None, *, silent: bool = False
    ) -> Element | None:
        """What a Reference of the resource `base` names, if it is of type `kind`; else a finding.

        `silent` is for a reference that may well name something outside of the document.
        """
        literal = reference.text("reference")
        if literal is None:
            return None
        target = self._named(literal, base)
        if target is None:
            if not silent:
                reference.report("reference-unresolved", "reference")
            return None
        if kind is not None and target.value.get("resourceType") != kind:
            reference.report("reference-type", "reference")
            return None
        return target

    def _named(self, literal: str, base: Element) -> Element | None:
        if literal.startswith("#"):
            return next((c for c in base.many("contained") if c.value.get("id") == literal[1:]), None)
        for name in _spellings(literal):
            if name in self._by_name:
                return self._by_name[name]
        return None


def _spellings(literal: str) -> Iterator[str]:
    """A reference as it stands, without version, and as type and id."""
    yield literal
    bare = literal.partition("/_history/")[0]
    yield bare
    yield "/".join(bare.rsplit("/", 2)[-2:])


def resource_type(value: Json) -> str:
    """Type of a resource, `nothing` where it has none; safe to show."""
    kind = value.get("resourceType")
    return kind if isinstance(kind, str) and kind.isalpha() and len(kind) < 40 else "nothing"
