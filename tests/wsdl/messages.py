"""Random messages over everything a schema allows, and small damage done to them.

A `Writer` follows a `Schemas` model (schema_model.py): each choice it makes is drawn from one seeded
generator, so that a case is named by its seed. What it writes is valid under the schema it follows, apart
from the rare value that only another check would refuse.
"""

import base64
import copy
from collections.abc import Callable
from random import Random

from lxml import etree
from lxml.etree import _Element

from tests.wsdl.schema_model import COMPLEX, ElementDecl, Particle, Schemas, TypeDef

XSI = "http://www.w3.org/2001/XMLSchema-instance"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
XDS = "urn:ihe:iti:xds-b:2007"
NSMAP = {
    "rim": RIM, "rs": RS, "lcm": LCM, "query": QUERY, "xds": XDS, "xsi": XSI,
    "xs": "http://www.w3.org/2001/XMLSchema", "iherad": "urn:ihe:rad:xdsi-b:2009", "rmd": "urn:ihe:iti:rmd:2017",
}  # fmt: skip
MESSAGES = (
    f"{{{QUERY}}}AdhocQueryRequest",
    f"{{{QUERY}}}AdhocQueryResponse",
    f"{{{LCM}}}SubmitObjectsRequest",
    f"{{{RS}}}RegistryResponse",
    f"{{{XDS}}}ProvideAndRegisterDocumentSetRequest",
    f"{{{XDS}}}RetrieveDocumentSetRequest",
    f"{{{XDS}}}RetrieveDocumentSetResponse",
)
_ALPHABET = "aZ09 -_.:^&|~'$%<>\"éß漢𝄞"
_URIS = (
    "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
    "urn:oid:2.999.1",
    "Document01",
    "http://[::1]/a?b#c",
    "",
    "é",
)
_LEXICAL = {
    "boolean": ("true", "false", "1", "0"),
    "integer": ("0", "-1", "+7", "007", "99999999999999999999"),
    "float": ("1.5", "-INF", "NaN", "1e9"),
    "dateTime": ("2024-02-29T23:59:59Z", "2024-01-01T00:00:00.5+14:00", "0001-01-01T00:00:00"),
    "duration": ("P1D", "-PT0.5S", "P1Y2M3DT4H5M6S"),
    "language": ("en", "de-AT", "x-klingon"),
    "NCName": ("a", "_b-1"),
    "ID": ("_1",),
}
_ILLEGAL = (
    "yes",
    "1.5.6",
    "2024-02-30T00:00:00Z",
    "P",
    "http://[::1",
    "%zz",
    "AND ",
    " ",
    "",
    "a\tb",
    "é" * 300,
    "-",
    "1 2",
)


class Writer:
    """Writes one valid element after another. `typed` and `wild` allow xsi:type and foreign content."""

    def __init__(self, schemas: Schemas, random: Random, *, typed: bool = True, wild: bool = True) -> None:
        self._schemas = schemas
        self._random = random
        self._typed = typed
        self._wild = wild
        self._density = 0.5
        self._left = 0

    def message(self, name: str) -> _Element:
        """A document element with a global name, of some 100 elements at most."""
        message = etree.Element(name, nsmap=NSMAP)
        self._density = self._random.choice((0.1, 0.3, 0.5, 0.8))
        self._left = self._random.choice((5, 20, 60, 100))
        self._fill(message, self._schemas.elements[name], self._random.choice((5, 8, 11)))
        return message

    def _element(self, parent: _Element, declared: ElementDecl, depth: int) -> None:
        self._fill(etree.SubElement(parent, declared.name), declared, depth)

    def _fill(self, element: _Element, declared: ElementDecl, depth: int) -> None:
        self._left -= 1
        kind = declared.type
        if kind.is_abstract or (self._typed and self._random.random() < 0.04):
            choices = [t for t in self._schemas.derived(kind) if not t.is_abstract]
            choices += [kind] if kind.name and not kind.is_abstract else []
            if choices:
                kind = self._random.choice(choices)
                assert kind.name is not None
                element.set(f"{{{XSI}}}type", _prefixed(kind.name))
        self._attributes(element, kind)
        if kind.text_type is not None:
            element.text = self._value(kind.text_type)
        elif kind.kind == COMPLEX:
            if kind.is_mixed and self._random.random() < 0.5:
                element.text = self._text(40)
            for particle in kind.particles:
                self._particle(element, particle, depth - 1)

    def _attributes(self, element: _Element, kind: TypeDef) -> None:
        sparse = self._random.random() < 0.5
        for name, attribute in kind.attributes.items():
            if attribute.required or self._random.random() < (0.15 if sparse else 0.8):
                element.set(name, self._value(attribute.type))

    def _particle(self, parent: _Element, particle: Particle, depth: int) -> None:
        count = particle.low
        if depth > 0 and self._left > 0:
            more = 0 if self._random.random() > self._density else self._random.choice((1, 1, 2, 3))
            count = min(particle.high, count + more)
        for _ in range(count):
            if particle.element is not None:
                self._element(parent, particle.element, depth)
            elif particle.kind == "any":
                self._foreign(parent, depth)
            elif particle.kind == "choice":
                branches = particle.children
                usable = [b for b in branches if b.element is None or self._can_stand(b.element)]
                self._particle(parent, self._random.choice(usable), depth)
            else:
                for child in particle.children:
                    self._particle(parent, child, depth)

    def _can_stand(self, element: ElementDecl) -> bool:
        """False for an element of abstract type where no xsi:type may be written."""
        return not element.is_abstract and (self._typed or not element.type.is_abstract)

    def _foreign(self, parent: _Element, depth: int) -> None:
        if not self._wild:
            return
        names = [
            n
            for n, e in self._schemas.elements.items()
            if not n.startswith(f"{{{RIM}}}") and not e.is_abstract
        ]
        if self._random.random() < 0.2:
            unknown = etree.SubElement(parent, "{urn:example:unknown}anything", {"a": "b"})
            self._element(unknown, self._schemas.elements[self._random.choice(names)], min(depth, 2))
        else:
            self._element(parent, self._schemas.elements[self._random.choice(names)], min(depth, 6))

    def _value(self, kind: TypeDef) -> str:
        if kind.enumeration and (kind.builtin != "language" or self._random.random() < 0.1):
            return self._random.choice(kind.enumeration)
        if kind.max_length is not None:
            length = self._random.choice((0, 1, 5, 12, kind.max_length - 1, kind.max_length))
            return self._text(min(length, kind.max_length))
        builtin = kind.builtin
        if builtin == "anyURI":
            return self._random.choice(_URIS)
        if builtin == "base64Binary":
            return base64.b64encode(self._random.randbytes(self._random.choice((0, 1, 2, 3, 40)))).decode()
        return self._random.choice(_LEXICAL[builtin]) if builtin in _LEXICAL else self._text(12)

    def _text(self, length: int) -> str:
        return "".join(self._random.choices(_ALPHABET, k=length))


def _prefixed(name: str) -> str:
    at = etree.QName(name)
    return f"{next(p for p, ns in NSMAP.items() if ns == at.namespace)}:{at.localname}"


# --- damage ---------------------------------------------------------------------------------------------


class Damage:
    """Changes a message in place. Many changes make it invalid, some do not: both must be judged alike."""

    def __init__(self, schemas: Schemas, random: Random) -> None:
        self._schemas = schemas
        self._random = random
        self._attribute_names = sorted({n for t in schemas.types.values() for n in t.attributes})
        self._changes: tuple[Callable[[_Element], None], ...] = (
            self.drop, self.duplicate, self.swap, self.move, self.rename, self.respell, self.other_namespace,
            self.drop_attribute, self.add_attribute, self.rename_attribute, self.change_value,
            self.lengthen, self.insert_known, self.insert_foreign, self.retype, self.nil, self.add_text, self.remark,
        )  # fmt: skip

    def once(self, message: _Element) -> str:
        """Make one change at a random place and return its name."""
        change = self._random.choice(self._changes)
        nodes = list(message.iter(tag=etree.Element))
        change(self._random.choice(nodes[1:] or nodes))
        return change.__name__

    def drop(self, element: _Element) -> None:
        if (parent := element.getparent()) is not None:
            parent.remove(element)

    def duplicate(self, element: _Element) -> None:
        if element.getparent() is not None:
            element.addnext(copy.deepcopy(element))

    def swap(self, element: _Element) -> None:
        if (following := element.getnext()) is not None:
            following.addnext(element)

    def move(self, element: _Element) -> None:
        places = list(element.getroottree().getroot().iter(tag=etree.Element))
        inside = set(element.iter(tag=etree.Element))
        places = [place for place in places if place not in inside]
        if places:
            place = self._random.choice(places)
            place.insert(self._random.randint(0, len(place)), element)

    def rename(self, element: _Element) -> None:
        element.tag = self._random.choice(list(self._schemas.elements))

    def respell(self, element: _Element) -> None:
        at = etree.QName(element)
        element.tag = f"{{{at.namespace}}}{at.localname.swapcase()}"

    def other_namespace(self, element: _Element) -> None:
        local = etree.QName(element).localname
        space = self._random.choice((None, "urn:example:other", RIM, RS, LCM, QUERY, XDS))
        element.tag = f"{{{space}}}{local}" if space else local

    def drop_attribute(self, element: _Element) -> None:
        if element.attrib:
            del element.attrib[self._random.choice(list(element.attrib))]

    def add_attribute(self, element: _Element) -> None:
        names = (
            *self._attribute_names,
            "{urn:example:other}a",
            "{http://www.w3.org/XML/1998/namespace}space",
            "unknown",
        )
        element.set(self._random.choice(names), self._random.choice((*_URIS, "true", "1", "default", "x")))

    def rename_attribute(self, element: _Element) -> None:
        if element.attrib:
            name = self._random.choice(list(element.attrib))
            value = element.attrib.pop(name)
            element.set(self._random.choice(self._attribute_names), value)

    def change_value(self, element: _Element) -> None:
        pool = [value for values in _LEXICAL.values() for value in values] + list(_ILLEGAL)
        if element.attrib and self._random.random() < 0.7:
            element.set(self._random.choice(list(element.attrib)), self._random.choice(pool))
        elif not len(element):
            element.text = self._random.choice(pool)

    def lengthen(self, element: _Element) -> None:
        length = self._random.choice((4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 256, 257, 1024, 1025))
        value = self._random.choice("a漢𝄞") * length
        if element.attrib and self._random.random() < 0.7:
            element.set(self._random.choice(list(element.attrib)), value)
        elif not len(element):
            element.text = value

    def insert_known(self, element: _Element) -> None:
        name = self._random.choice([n for n, e in self._schemas.elements.items() if not e.is_abstract])
        new = Writer(self._schemas, self._random).message(name)
        element.insert(self._random.randint(0, len(element)), new)

    def insert_foreign(self, element: _Element) -> None:
        name = self._random.choice(
            ("{urn:example:other}x", "x", f"{{{XDS}}}Unknown", "{http://www.w3.org/1999/xhtml}p")
        )
        element.insert(self._random.randint(0, len(element)), etree.Element(name))

    def retype(self, element: _Element) -> None:
        names = [_prefixed(n) for n in self._schemas.types]
        names += ["xs:string", "xs:anyType", "xs:token", "rim:NoSuchType", "nope:Type", ""]
        element.set(f"{{{XSI}}}type", self._random.choice(names))

    def nil(self, element: _Element) -> None:
        element.set(f"{{{XSI}}}nil", self._random.choice(("true", "false", "maybe")))

    def add_text(self, element: _Element) -> None:
        if len(element) and self._random.random() < 0.5:
            element[-1].tail = self._random.choice(("stray", "\n  "))
        else:
            element.text = (element.text or "") + self._random.choice(("stray", "\n  "))

    def remark(self, element: _Element) -> None:
        new = self._random.choice((etree.Comment("remark"), etree.ProcessingInstruction("pi", "x")))
        element.insert(self._random.randint(0, len(element)), new)
