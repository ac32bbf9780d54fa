"""A small reading of XML Schema 1.0: as much as the schemas of ebXML and IHE use.

It knows imports, named and anonymous types, extension, groups, references, substitution groups and
wildcards. Two things are made of it: a normal form in which two schemas can be compared declaration by
declaration, and random messages (messages.py). It shares no code with what it tests.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lxml import etree

XS = "{http://www.w3.org/2001/XMLSchema}"
UNBOUNDED = 1_000_000
SIMPLE, COMPLEX = "simple", "complex"


@dataclass(frozen=True)
class Particle:
    """`kind` is element, any, sequence or choice."""

    kind: str
    low: int
    high: int
    children: tuple["Particle", ...] = ()
    element: "ElementDecl | None" = None


@dataclass(eq=False)
class ElementDecl:
    name: str
    type: "TypeDef"
    is_abstract: bool
    is_global: bool


@dataclass(eq=False)
class AttributeDecl:
    name: str
    type: "TypeDef"
    required: bool
    default: str | None


@dataclass(eq=False)
class TypeDef:
    """A simple or complex type. `name` is None for an anonymous one."""

    schemas: "Schemas"
    node: Any
    name: str | None
    kind: str

    @cached_property
    def _derivation(self) -> Any:
        for path in ("complexContent", "simpleContent"):
            found = self.node.find(f"{XS}{path}/{XS}extension") if self.node is not None else None
            if found is not None:
                return found
        return None

    @cached_property
    def base(self) -> "TypeDef | None":
        if self.kind == SIMPLE:
            restriction = None if self.node is None else self.node.find(f"{XS}restriction")
            return None if restriction is None else self.schemas.type_named(restriction, "base")
        return None if self._derivation is None else self.schemas.type_named(self._derivation, "base")

    @property
    def is_abstract(self) -> bool:
        return self.node is not None and self.node.get("abstract") == "true"

    @property
    def is_mixed(self) -> bool:
        return self.node is not None and self.node.get("mixed") == "true"

    @cached_property
    def text_type(self) -> "TypeDef | None":
        """The simple type of the text, for simple types and simple content."""
        if self.kind == SIMPLE:
            return self
        return self.base.text_type if self.base is not None else None

    @cached_property
    def own_particles(self) -> tuple[Particle, ...]:
        holder = self._derivation if self._derivation is not None else self.node
        return tuple(self.schemas.particles(holder))

    @cached_property
    def particles(self) -> tuple[Particle, ...]:
        inherited = self.base.particles if self.kind == COMPLEX and self.base is not None else ()
        return inherited + self.own_particles

    @cached_property
    def own_attributes(self) -> dict[str, AttributeDecl]:
        holder = self._derivation if self._derivation is not None else self.node
        return {a.name: a for a in map(self.schemas.attribute, holder.findall(f"{XS}attribute"))}

    @cached_property
    def attributes(self) -> dict[str, AttributeDecl]:
        if self.kind == SIMPLE:
            return {}
        inherited = self.base.attributes if self.base is not None else {}
        return {**inherited, **self.own_attributes}

    @cached_property
    def builtin(self) -> str:
        """Local name of the built-in simple type at the root."""
        if self.node is None:
            return etree.QName(self.name).localname
        if self.base is not None:
            return self.base.builtin
        union = self.node.find(f"{XS}union")
        return union.get("memberTypes").partition(":")[2]

    @cached_property
    def enumeration(self) -> tuple[str, ...]:
        return (
            tuple(el.get("value") for el in self.node.iter(f"{XS}enumeration"))
            if self.node is not None
            else ()
        )

    @cached_property
    def max_length(self) -> int | None:
        found = None if self.node is None else self.node.find(f"{XS}restriction/{XS}maxLength")
        if found is not None:
            return int(found.get("value"))
        return self.base.max_length if self.base is not None else None


@dataclass
class Schemas:
    """Every schema document reachable from one."""

    elements: dict[str, ElementDecl] = field(default_factory=dict)
    types: dict[str, TypeDef] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    _seen: set[Path] = field(default_factory=set)
    _nodes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Schemas":
        schemas = cls()
        schemas._read(path.resolve())
        for name, node in schemas._nodes.items():
            schemas.elements[name] = ElementDecl(
                name, schemas._type_of(node), node.get("abstract") == "true", is_global=True
            )
            if node.get("substitutionGroup"):
                schemas.heads[name] = _qname(node, node.get("substitutionGroup"))
        return schemas

    def _read(self, path: Path) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        root = etree.parse(path).getroot()
        space = root.get("targetNamespace")
        for node in root.iterchildren(tag=etree.Element):
            kind = etree.QName(node).localname
            name = f"{{{space}}}{node.get('name')}"
            if kind == "import":
                self._read((path.parent / node.get("schemaLocation")).resolve())
            elif kind == "element":
                self._nodes[name] = node
            elif kind == "attribute":
                self.attributes[name] = node
            elif kind == "group":
                self.groups[name] = node
            elif kind in {"simpleType", "complexType"}:
                self.types[name] = TypeDef(self, node, name, SIMPLE if kind == "simpleType" else COMPLEX)
            else:
                assert kind in {"annotation", "attributeGroup"}, kind

    def type_named(self, node: Any, attribute: str) -> TypeDef:
        name = _qname(node, node.get(attribute))
        if name.startswith(XS):
            return TypeDef(self, None, name, SIMPLE)
        return self.types[name]

    def _type_of(self, node: Any) -> TypeDef:
        if node.get("type"):
            return self.type_named(node, "type")
        for tag, kind in ((f"{XS}complexType", COMPLEX), (f"{XS}simpleType", SIMPLE)):
            inner = node.find(tag)
            if inner is not None:
                return TypeDef(self, inner, None, kind)
        return TypeDef(self, None, f"{XS}anySimpleType", SIMPLE)

    def attribute(self, node: Any) -> AttributeDecl:
        if node.get("ref"):
            name = _qname(node, node.get("ref"))
            kind = self._type_of(self.attributes[name])
        else:
            name, kind = node.get("name"), self._type_of(node)
        return AttributeDecl(name, kind, node.get("use") == "required", node.get("default"))

    def particles(self, holder: Any) -> Iterator[Particle]:
        for node in holder.iterchildren(tag=etree.Element):
            kind = etree.QName(node).localname
            low, high = int(node.get("minOccurs", "1")), _high(node)
            if kind in {"sequence", "choice"}:
                yield Particle(kind, low, high, tuple(self.particles(node)))
            elif kind == "group":
                inner = self.particles(self.groups[_qname(node, node.get("ref"))])
                yield Particle("sequence", low, high, tuple(inner))
            elif kind == "any":
                assert (node.get("namespace"), node.get("processContents")) == ("##other", "lax")
                yield Particle("any", low, high)
            elif kind == "element":
                yield self._element_particle(node, low, high)

    def _element_particle(self, node: Any, low: int, high: int) -> Particle:
        if not node.get("ref"):
            space = node.getroottree().getroot().get("targetNamespace")
            return Particle("element", low, high, element=ElementDecl(
                f"{{{space}}}{node.get('name')}", self._type_of(node), is_abstract=False, is_global=False
            ))  # fmt: skip
        name = _qname(node, node.get("ref"))
        named = [Particle("element", 1, 1, element=self.elements[n]) for n in (name, *self.members(name))]
        if len(named) == 1:
            return Particle("element", low, high, element=named[0].element)
        return Particle("choice", low, high, tuple(named))

    def members(self, head: str) -> list[str]:
        """Elements that may stand for `head`, over any number of steps."""
        direct = [name for name, of in self.heads.items() if of == head]
        return direct + [member for name in direct for member in self.members(name)]

    def derived(self, of: TypeDef) -> list[TypeDef]:
        """Named types that extend a type, over any number of steps."""
        found = []
        for candidate in self.types.values():
            up = candidate.base
            while up is not None and up is not of:
                up = up.base
            if up is of and candidate.kind == of.kind:
                found.append(candidate)
        return found


def _qname(node: Any, text: str) -> str:
    prefix, _, local = text.rpartition(":")
    if prefix == "xml":
        return f"{{http://www.w3.org/XML/1998/namespace}}{local}"
    space = node.nsmap.get(prefix or None)
    return f"{{{space}}}{local}" if space else local


def _high(node: Any) -> int:
    text = node.get("maxOccurs", "1")
    return UNBOUNDED if text == "unbounded" else int(text)


# --- normal form ----------------------------------------------------------------------------------------


def normal_schemas(schemas: Schemas) -> dict[str, Any]:
    """Every global declaration by kind and name, in a form that is equal where the meaning is equal."""
    declared: dict[str, Any] = {}
    for name, element in schemas.elements.items():
        declared[f"element {name}"] = (element.is_abstract, _normal_use(element.type))
    for name, kind in schemas.types.items():
        declared[f"type {name}"] = _normal_type(kind)
    for name, node in schemas.attributes.items():
        declared[f"attribute {name}"] = _normal_use(schemas._type_of(node))
    return declared


def _normal_use(kind: TypeDef) -> Any:
    return kind.name or _normal_type(kind)


def _normal_type(kind: TypeDef) -> Any:
    if kind.kind == SIMPLE:
        return (
            SIMPLE, kind.base.name if kind.base else kind.builtin,
            tuple(sorted(kind.enumeration)), kind.max_length, kind.node.find(f"{XS}union") is not None,
        )  # fmt: skip
    attributes = {
        name: (_normal_use(a.type), a.required, a.default) for name, a in kind.own_attributes.items()
    }
    base = None if kind.base is None else kind.base.name
    content = _normal_particle(Particle("sequence", 1, 1, kind.own_particles))
    return (COMPLEX, base, kind.is_abstract, kind.is_mixed, content, tuple(sorted(attributes.items())))


def _normal_particle(particle: Particle) -> Any:
    if particle.element is not None:
        declared = particle.element.name
        what = declared if particle.element.is_global else (declared, _normal_use(particle.element.type))
        return ("element", particle.low, particle.high, what)
    if particle.kind == "any":
        return ("any", particle.low, particle.high)
    parts = []
    for part in map(_normal_particle, particle.children):
        if part[0] == particle.kind and part[1:3] == (1, 1):
            parts.extend(part[3])
        elif part != ("sequence", 1, 1, ()):
            parts.append(part)
    low, high = particle.low, particle.high
    if particle.kind == "sequence" and len(parts) == 1:
        # (x{a,b}){c,d} is x{ac,bd} where no count between the two ends is left out
        kind, a, b, *rest = parts[0]
        if b == 1 or (low, high) == (1, 1) or (a <= 1 and (high == 1 or b == UNBOUNDED)):
            return (kind, a * low, min(b * high, UNBOUNDED), *rest)
    if particle.kind == "sequence" and (low, high) == (0, 1) and all(part[1] == 0 for part in parts):
        low = 1
    if particle.kind == "choice":
        parts.sort(key=repr)
    return (particle.kind, low, high, tuple(parts))
