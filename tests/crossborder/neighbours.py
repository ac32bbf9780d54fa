"""A gateway with communities around it: each an affinity domain behind a gateway of its own, all in this
process and spoken to over sockets."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.model import codes
from tests.system.stack import Stack, running_stack, site

OWN = "urn:oid:2.999.100"


@dataclass
class Neighbour:
    """Another community: the stack behind its Responding Gateway, and what is changed about asking it."""

    home: str
    stack: Stack
    calls: Counter[str] = field(default_factory=Counter)

    @property
    def base(self) -> str:
        """Of its gateway."""
        return self.stack.base_url.removesuffix("/fhir")

    def settings(self, **changes: Any) -> dict[str, Any]:
        """An entry of the setting `communities`."""
        return {
            "home_community_id": self.home,
            "name": self.home.rpartition(".")[2],
            "query_url": f"{self.base}/xca/gateway",
            "images_url": f"{self.base}/xca-i/imaging",
            "max_attempts": 1,
            **changes,
        }


@dataclass
class Neighbours:
    """The gateway in front, and the communities by their last arc."""

    front: Stack
    by_name: dict[str, Neighbour]


@asynccontextmanager
async def neighbour(folder: Path, home: str, **settings: Any):
    """One community."""
    values = {"home_community_id": home, "responding_gateway": {"enabled": True}, **settings}
    async with running_stack(folder, **values) as stack:
        yield Neighbour(home, stack)


@asynccontextmanager
async def neighbours(
    folder: Path,
    *names: str,
    own: dict[str, Any] | None = None,
    changes: dict[str, dict[str, Any]] | None = None,
    theirs: dict[str, dict[str, Any]] | None = None,
):
    """A gateway in front of communities `2.999.100.<name>`.

    `changes` are of their entries in its settings and `theirs` arguments of their own stacks, by name; `own`
    are arguments of its stack.
    """
    async with AsyncExitStack() as stack:
        others = {
            name: await stack.enter_async_context(
                neighbour(folder / name, f"{OWN}.{name}", **(theirs or {}).get(name, {}))
            )
            for name in names
        }
        communities = [other.settings(**(changes or {}).get(name, {})) for name, other in others.items()]
        front = await stack.enter_async_context(
            running_stack(folder / "front", home_community_id=OWN, communities=communities, **(own or {}))
        )
        yield Neighbours(front, others)


@asynccontextmanager
async def strange(answer):
    """The URL of something that gives `answer(request)` to whatever is sent."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with site(app) as base:
        yield base


async def never(_):
    """An answer that does not come."""
    await asyncio.Event().wait()


async def garbage(_):
    """An answer that is no SOAP."""
    return web.Response(text="<html>maintenance</html>", content_type="text/html")


async def forbidding(_):
    """An answer of a server that does not know who asks."""
    return web.Response(status=403, text="no")


def outcomes(bundle):
    """Issues of the outcomes of a searchset."""
    return [
        issue
        for entry in bundle.get("entry", ())
        if entry["search"]["mode"] == "outcome"
        for issue in entry["resource"]["issue"]
    ]


def home_of(resource):
    """The homeCommunityId of a resource."""
    extensions = resource.get("extension", ())
    return next((e["valueOid"] for e in extensions if e["url"] == codes.EXT_HOME_COMMUNITY), None)
