"""Schemas that what we write has to satisfy, and messages that none of us wrote."""

import copy
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from gateway.ebxml.names import XOP_INCLUDE
from gateway.soap.contract import load_contract

ORACLE = Path(os.environ.get("GATEWAY_ORACLE", Path(__file__).parents[3] / "shared" / "oracle"))

Validate = Callable[[etree._Element], None]


@pytest.fixture(scope="session")
def assert_valid() -> Validate:
    """Check an element against our contract, and against the published schemas where they are present."""
    contract = load_contract()
    path = ORACLE / "all.xsd"
    published = etree.XMLSchema(file=str(path)) if path.exists() else None

    def check(element: etree._Element) -> None:
        contract.validate(element)
        if published is not None:
            published.assertValid(_with_inline_content(element))

    return check


@pytest.fixture(scope="session")
def oracle_message() -> Callable[[str, str], etree._Element]:
    """First element of a Clark name in a message of others."""

    def find(name: str, tag: str) -> etree._Element:
        path = ORACLE / "messages" / name
        if not path.exists():
            pytest.skip("the messages of others are not here")
        return next(etree.parse(path).getroot().iter(tag))

    return find


def _with_inline_content(element: etree._Element) -> etree._Element:
    """A copy in which each xop:Include is gone: the published schemas are those of the infoset."""
    inline = copy.deepcopy(element)
    for include in list(inline.iter(XOP_INCLUDE)):
        include.getparent().remove(include)
    return inline
