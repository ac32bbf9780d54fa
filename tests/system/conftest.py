"""One gateway with its affinity domain per test module."""

import pytest_asyncio

from tests.system.stack import running_stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("stack")) as running:
        running.interfere = None
        yield running
