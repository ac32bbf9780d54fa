"""One gateway with a console per test module."""

import pytest_asyncio

from .signed_in import running_console


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console(tmp_path_factory):
    async with running_console(tmp_path_factory.mktemp("console")) as running:
        yield running
