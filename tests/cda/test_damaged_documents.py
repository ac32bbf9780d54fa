"""A damaged CDA document is read or refused, never more: no other exception, and nothing of it in a message."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.cda.header import CdaError, read_cda
from gateway.model.publishing import SelfDescription
from gateway.safe_xml import MessageError
from tests.cda.documents import FULL

VALUES = ("", " ", "x", "2.999", "2.999.01", "urn:oid:2.999", "9" * 300, "20240231", "2024", "00000000", "-0100", "ä\u2028", "^&|~\\")  # fmt: skip


def damaged(seed: int) -> bytes:
    """The full document after one to four random changes to its elements and attributes."""
    chance = random.Random(seed)
    root = etree.fromstring(FULL.encode())
    for _ in range(chance.randint(1, 4)):
        element = chance.choice(list(root.iter("*")))
        parent = element.getparent()
        match chance.randrange(6):
            case 0 if parent is not None:
                parent.remove(element)
            case 1 if parent is not None:
                parent.append(etree.fromstring(etree.tostring(element)))
            case 2 if element.attrib:
                del element.attrib[chance.choice(list(element.attrib))]
            case 3 if element.attrib:
                element.set(chance.choice(list(element.attrib)), chance.choice(VALUES))
            case 4:
                element.set("nullFlavor", "UNK")
            case 5:
                element.text = chance.choice(VALUES)
    return etree.tostring(root)


def outcome_of(document: bytes) -> SelfDescription | str:
    try:
        return read_cda(document)
    except (CdaError, MessageError) as error:
        return str(error)


@given(st.integers(min_value=0, max_value=2**32))
@settings(max_examples=1500, deadline=None)
def test_changed_elements(seed):
    found = outcome_of(damaged(seed))
    if isinstance(found, str):
        assert not any(content in found for content in ("MRN-1", "Muster", "19610203"))


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_changed_bytes(data):
    raw = bytearray(FULL.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    outcome_of(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
