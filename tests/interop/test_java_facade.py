"""A JAX-WS client made from our WSDLs as document source and consumer of the gateway itself (ITI-18, ITI-41, ITI-43),
before an affinity domain, and before an MHD server that is a gateway of its own."""

import pytest

from tests.crossborder.test_mhd_domain import two_gateways
from tests.crossborder.test_xds_servers import SERVING
from tests.crossborder.xds_consumer import xds_consumer
from tests.ebxml.conftest import assert_valid
from tests.system.stack import running_stack

from .test_java_client import FOUND, SMALL

__all__ = ["assert_valid"]

pytestmark = pytest.mark.interop

SEVERAL = [
    "ITI-41 stores several documents at once",
    FOUND,
    "ITI-43 returns several documents at once byte for byte",
    "ITI-43 returns what there is and names what is missing",
]


@pytest.fixture(params=["xds", "mhd"])
async def url(request, tmp_path, assert_valid):
    """The gateway's base, whatever its own domain speaks."""
    if request.param == "xds":
        async with (
            running_stack(tmp_path / "stack", **SERVING) as stack,
            xds_consumer(stack.base_url, assert_valid) as client,
        ):
            yield client.base
    else:
        async with two_gateways(tmp_path, assert_valid) as (_, client, _):
            yield client.base


async def test_documents_come_back_byte_for_byte(peer, url, tmp_path):
    stored = await peer.check(tmp_path, url, "submit", "facade")
    assert (stored.passed, stored.failed) == ([f"ITI-41 stores {name}" for name in SMALL], [])
    got = await peer.check(tmp_path, url, "retrieve", "facade")
    assert got.failed == []
    assert got.passed == [FOUND, *(f"ITI-43 returns {name} byte for byte" for name in SMALL)]


async def test_several_documents_travel_in_one_message(peer, url, tmp_path):
    report = await peer.check(tmp_path, url, "several", "facade-several")
    assert (report.passed, report.failed) == (SEVERAL, [])


async def test_faults_and_refusals_are_understood(peer, url, tmp_path):
    report = await peer.check(tmp_path, url, "faults", "facade-faults")
    assert report.failed == []
    assert "an unknown document is a failure, not a fault" in report.passed
