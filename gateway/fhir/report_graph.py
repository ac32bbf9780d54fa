"""The entries of a report Bundle and what refers to what among them (FHIR R4 and R5, Bundle: resolving
references; HL7 Europe Imaging Report 1.0.0-ballot, document-bundle rules).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.fhir.datatypes import Json
from gateway.fhir.manifest_resources import resource_type
from gateway.fhir.tolerant import Collector, Element

_ATTACHMENTS: Final = frozenset({"attachment", "presentedForm", "valueAttachment", "photo"})


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry with a resource. `full_url` is empty where it has none."""

    number: int
    kind: str
    full_url: str
    resource: Element


@dataclass(frozen=True, slots=True)
class Link:
    """A literal reference of an entry, or the url of an attachment. `path` is its FHIRPath.

    `target` is the entry that it names; `by_id` is true where only type and id match, and the rules for
    resolving references do not lead there.
    """

    source: int
    path: str
    literal: str
    attachment: bool
    target: Entry | None
    by_id: bool


@dataclass(slots=True)
class ReportGraph:
    """The entries by type and name, and the links between them."""

    root: Element
    entries: list[Entry] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    _by_url: dict[str, Entry] = field(default_factory=dict)
    _by_id: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Json, found: Collector) -> "ReportGraph":
        """The graph of a Bundle. Of several entries of a name the first one counts."""
        graph = cls(Element(bundle, "Bundle", found))
        listed = bundle.get("entry")
        for number, entry in enumerate(listed if isinstance(listed, list) else ()):
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict):
                place = Element(resource, f"Bundle.entry[{number}].resource", found)
                url = entry.get("fullUrl")
                graph._add(Entry(number, resource_type(resource), url if isinstance(url, str) else "", place))
        for made in graph.entries:
            for path, literal, attachment in _links(made.resource.value, made.resource.path, ""):
                if not literal.startswith("#"):
                    target, by_id = graph._named(literal, made)
                    graph.links.append(Link(made.number, path, literal, attachment, target, by_id))
        return graph

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        if entry.full_url:
            self._by_url.setdefault(_key(entry.full_url), entry)
        number = entry.resource.value.get("id")
        if isinstance(number, str):
            self._by_id.setdefault(f"{entry.kind}/{number}", entry)

    def of_type(self, *kinds: str) -> list[Entry]:
        """Entries of these types in their order."""
        return [entry for entry in self.entries if entry.kind in kinds]

    def first(self, kind: str) -> Entry | None:
        """The first entry of a type."""
        return next((entry for entry in self.entries if entry.kind == kind), None)

    def target(self, reference: Element | None, source: Element) -> Element | None:
        """The resource that a Reference names: an entry, or one contained in the resource `source`."""
        literal = reference.value.get("reference") if reference is not None else None
        if not isinstance(literal, str):
            return None
        if literal.startswith("#"):
            return next((c for c in source.many("contained") if c.value.get("id") == literal[1:]), None)
        owner = next((entry for entry in self.entries if entry.resource.value is source.value), None)
        found, _ = self._named(literal, owner)
        return found.resource if found is not None else None

    def _named(self, literal: str, source: Entry | None) -> tuple[Entry | None, bool]:
        bare = literal.partition("/_history/")[0]
        base = _base_of(source.full_url) if source is not None else ""
        for name in (literal, bare, f"{base}{bare}" if base else bare):
            if _key(name) in self._by_url:
                return self._by_url[_key(name)], False
        found = self._by_id.get("/".join(bare.rsplit("/", 2)[-2:]))
        return found, found is not None

    def connected(self, start: int) -> set[int]:
        """Numbers of the entries that references lead to from one, followed in both directions."""
        neighbours: dict[int, set[int]] = {entry.number: set() for entry in self.entries}
        for link in self.links:
            if link.target is not None:
                neighbours[link.source].add(link.target.number)
                neighbours[link.target.number].add(link.source)
        reached, waiting = {start}, [start]
        while waiting:
            new = neighbours[waiting.pop()] - reached
            reached |= new
            waiting.extend(new)
        return reached


def contained_ids(resource: Mapping[str, Any]) -> set[str]:
    """Local ids of the resources that a resource contains."""
    held = resource.get("contained")
    return {c["id"] for c in held if isinstance(c, dict) and isinstance(c.get("id"), str)} if held else set()


def local_links(resource: Element) -> Iterator[tuple[str, str]]:
    """Path and id of each reference to a contained resource."""
    for path, literal, _ in _links(resource.value, resource.path, ""):
        if literal.startswith("#") and len(literal) > 1:
            yield path, literal[1:]


def _links(value: Any, path: str, name: str) -> Iterator[tuple[str, str, bool]]:
    """Path, text and kind of each literal reference and attachment url below a value."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _links(item, f"{path}[{number}]", name)
    elif isinstance(value, dict):
        literal = value.get("reference")
        if isinstance(literal, str):
            yield f"{path}.reference", literal, False
        url = value.get("url")
        if name in _ATTACHMENTS and isinstance(url, str):
            yield f"{path}.url", url, True
        for key, item in value.items():
            if isinstance(item, dict | list):
                yield from _links(item, f"{path}.{key}", key)


def _base_of(full_url: str) -> str:
    """Base of relative references of an entry; none where its fullUrl is a URN."""
    if full_url[:4].lower() != "http":
        return ""
    return "/".join(full_url.rsplit("/", 2)[:-2]) + "/"


def _key(url: str) -> str:
    return url.lower() if url[:9].lower() == "urn:uuid:" else url
