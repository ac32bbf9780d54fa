"""A client, and peers of it."""

from collections.abc import AsyncIterator

import pytest
from lxml import etree
from lxml.etree import _Element

from gateway.soap.client import SoapClient
from gateway.soap.contract import Contract, load_contract

from .wire import RETRIEVE


@pytest.fixture(scope="session")
def contract() -> Contract:
    return load_contract()


@pytest.fixture
async def client(contract: Contract) -> AsyncIterator[SoapClient]:
    async with SoapClient(contract) as client:
        yield client


@pytest.fixture
def retrieve_request() -> _Element:
    return etree.fromstring(RETRIEVE)
