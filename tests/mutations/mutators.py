"""Seeded mutations of messages: of JSON and XML by structure, of anything by bytes.

A mutant depends on its random generator alone, so that a number is enough to see one again.
"""

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from lxml import etree

ODD_TEXTS = (
    "",
    " ",
    "x",
    "\0",
    "\n",
    "\ufeff",
    "\ud800",
    "∞ü漢",
    "x" * 300,
    "^^^&&ISO",
    "\\F\\|~",
    "(')",
    "%",
    "#a",
    "#",
    "urn:oid:2.999",
    "urn:oid:9.9",
    "urn:uuid:",
    "urn:uuid:1f0a1f0a-0000-4000-8000-000000000010",
    "Patient/9",
    "https://elsewhere.example/fhir/Patient/1",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:60-12:00",
    "2024-02-30",
    "20241301",
    "-1",
    "1e400",
    "99999999999999999999",
    "text/plain;charset=utf-8",
    "application/fhir+json",
    "PATCH",
    "superseded",
    "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated",
    "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess",
    "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure",
)
ODD_VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    2**31,
    2**70,
    {},
    [],
    [[]],
    [{}],
    ["x"],
    {"resourceType": "Patient"},
)


# --- JSON -----------------------------------------------------------------------------------------------
def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys or positions."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return
    for key, item in items:
        yield value, key
        yield from _places(item)


def mutated_json(value: Any, random: Random) -> Any:
    """A copy with one to three elements removed, doubled, exchanged, renamed, wrapped or given an odd value."""
    made = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(made))
        if not places:
            break
        _change_json(*random.choice(places), places, random)
    return made


_JSON_CHANGES = (
    *("drop", "drop", "drop", "alike", "alike", "alike", "double", "double"),
    *("text", "value", "swap", "rename", "wrap", "cut", "deep"),
)


def _change_json(holder: Any, key: Any, places: list[tuple[Any, Any]], random: Random) -> None:
    item = holder[key]
    match random.choice(_JSON_CHANGES):
        case "drop":
            del holder[key]
        case "alike" if isinstance(item, str):
            # stays valid more often than other changes, and so gets further
            holder[key] = random.choice([o[k] for o, k in places if isinstance(o[k], str)])
        case "alike" if isinstance(item, dict):
            same = [o[k] for o, k in places if isinstance(o[k], dict) and o[k].keys() & item.keys()]
            holder[key] = copy.deepcopy(random.choice(same or [item]))
        case "text":
            holder[key] = random.choice(ODD_TEXTS)
        case "value":
            holder[key] = copy.deepcopy(random.choice(ODD_VALUES))
        case "swap":
            other, place = random.choice(places)
            holder[key] = copy.deepcopy(other[place])
        case "double" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(item))
        case "rename" if isinstance(holder, dict):
            _, name = random.choice(places)
            holder[str(name)] = holder.pop(key)
        case "wrap":
            holder[key] = random.choice(([item], {"value": item}))
        case "cut" if isinstance(item, str):
            at = random.randint(0, len(item))
            holder[key] = item[:at] + random.choice(ODD_TEXTS) + item[at + random.randint(0, 3) :]
        case "deep":
            deep: Any = item
            for _ in range(random.choice((5, 40, 120))):
                deep = random.choice(([deep], {"extension": deep}))
            holder[key] = deep


# --- XML ------------------------------------------------------------------------------------------------
def mutated_xml(root: etree._Element, random: Random) -> bytes:
    """The message with one to three elements or attributes removed, doubled, moved, renamed or filled."""
    made = etree.fromstring(etree.tostring(root))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        nodes = list(made.iter("*"))
        _change_xml(random.choice(nodes), nodes, random)
    return etree.tostring(made, encoding="utf-8")


def _xml_text(random: Random) -> str:
    return random.choice([t for t in ODD_TEXTS if t.isprintable() and "\ud800" not in t])


_XML_CHANGES = (
    *("drop", "double", "alike", "alike", "text", "set", "set", "lose", "empty"),
    *("rename", "move", "comment", "deep"),
)


def _change_xml(node: etree._Element, nodes: list[etree._Element], random: Random) -> None:
    parent = node.getparent()
    match random.choice(_XML_CHANGES):
        case "drop" if parent is not None:
            parent.remove(node)
        case "double" if parent is not None:
            node.addnext(copy.deepcopy(node))
        case "empty":
            del node[:]
            node.text = None
        case "rename":
            node.tag = random.choice((random.choice(nodes).tag, "{urn:other}x", etree.QName(node).localname))
        case "text":
            node.text = _xml_text(random)
        case "set":
            names = sorted(node.attrib) or ["id"]
            node.set(random.choice(names), _xml_text(random))
        case "alike":
            same = [other for other in nodes if other.tag == node.tag]
            other = random.choice(same)
            for name, value in other.attrib.items():
                node.set(name, value)
            node.text = other.text
        case "lose" if node.attrib:
            del node.attrib[random.choice(sorted(node.attrib))]
        case "move":
            random.choice(nodes).append(copy.deepcopy(node))
        case "comment":
            node.insert(0, random.choice((etree.Comment("c"), etree.ProcessingInstruction("p", "i"))))
        case "deep":
            for _ in range(random.choice((5, 60, 300))):
                node = etree.SubElement(node, node.tag)


# --- bytes ----------------------------------------------------------------------------------------------
PIECES = (
    *(b"", b"\0", b"\xff", b"\xed\xa0\x80", b"\r\n", b"\r\n\r\n", b"--", b"--b1--\r\n", b"<", b"&x;", b"]]>"),
    *(b"<!DOCTYPE x [<!ENTITY x 'y'>]>", b"<?xml version='1.0' encoding='utf-16'?>", b"{", b'"', b"\\u0000"),
    *(
        b'{"a":1,"a":2}',
        b"1e999",
        b"NaN",
        b"Content-ID: <doc@peer>\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
    ),
)


def mutated_bytes(text: bytes, random: Random) -> bytes:
    """The text with one to six bytes changed, or parts of it cut, repeated, moved or replaced."""
    made = bytearray(text)
    for _ in range(random.randint(1, 6)):
        at = random.randint(0, len(made))
        end = min(len(made), at + random.choice((1, 2, 8, 100, 3000)))
        match random.choice(("flip", "flip", "drop", "repeat", "insert", "piece", "end", "move")):
            case "flip" if at < len(made):
                made[at] ^= 1 << random.randint(0, 7)
            case "drop":
                del made[at:end]
            case "repeat":
                made[at:at] = made[at:end]
            case "insert":
                made[at:at] = random.randbytes(random.choice((1, 3, 30)))
            case "piece":
                made[at:end] = random.choice(PIECES)
            case "end" if random.random() < 0.3:
                del made[at:]
            case "move":
                part = made[at:end]
                del made[at:end]
                to = random.randint(0, len(made))
                made[to:to] = part
    return bytes(made)
