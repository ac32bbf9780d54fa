"""Starts affinity domain and gateway, in this process or as processes that can be killed."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from gateway.affinity.app import create_app as create_affinity
from gateway.affinity.options import AffinityOptions, ImageLocation
from gateway.app import create_app, create_runner
from gateway.settings import Settings
from gateway.wiring.parts import open_parts
from gateway.wiring.tls import server_context
from tests.ports import free_port as free_port  # where to start services is asked with them

REPOSITORY = "2.999.10.1"


@dataclass
class Stack:
    """A running gateway and how to speak to it."""

    base_url: str
    session: aiohttp.ClientSession
    settings: Settings
    soap_calls: Counter[str] = field(default_factory=Counter)
    """Requests that reached the affinity domain, by path."""
    parts: Any = None
    """Of a gateway in this process."""
    interfere: Any = None
    """When set: an aiohttp handler that answers in place of the affinity domain, or None to let it."""

    async def publish(self, bundle: dict[str, Any] | bytes) -> tuple[int, dict[str, Any]]:
        """POST a Bundle; status and body."""
        body = {"data": bundle} if isinstance(bundle, bytes) else {"json": bundle}
        async with self.session.post(
            self.base_url, headers={"Content-Type": "application/fhir+json"}, **body
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, url: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
        """GET a URL or a path below the base; status and body."""
        full = url if "://" in url else f"{self.base_url}/{url}"
        async with self.session.get(full, params=list(_pairs(parameters))) as answer:
            return answer.status, await answer.json(content_type=None)

    async def health(self) -> dict[str, Any]:
        """What /health/ready says of a gateway that takes requests."""
        status, report = await self.get(self.base_url.removesuffix("/fhir") + "/health/ready")
        assert status == 200, report
        return report

    async def find(self, **parameters: Any) -> list[dict[str, Any]]:
        """Resources that an ITI-67 search matches; underscores in names stand for dots."""
        return await self._matches("DocumentReference", parameters)

    async def find_lists(self, **parameters: Any) -> list[dict[str, Any]]:
        """Resources that an ITI-66 search matches; names as in `find`."""
        return await self._matches("List", parameters)

    async def _matches(self, resource: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        named = {name.replace("__", ".").rstrip("_"): value for name, value in parameters.items()}
        status, bundle = await self.get(resource, **named)
        assert status == 200, bundle
        return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]

    async def download(self, reference: dict[str, Any], **headers: str) -> tuple[int, Any, bytes]:
        """ITI-68 of a DocumentReference: status, headers, body."""
        url = reference["content"][0]["attachment"]["url"]
        async with self.session.get(url, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()


def _pairs(parameters: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, value in parameters.items():
        pairs += [(name, str(v)) for v in (value if isinstance(value, list) else [value])]
    return pairs


@asynccontextmanager
async def site(app: web.Application) -> AsyncIterator[str]:
    """An application on a free port; its URL."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await runner.cleanup()
        listener.close()


@asynccontextmanager
async def running_stack(
    folder: Path,
    *,
    peers: dict[str, Any] | None = None,
    community: str | None = None,
    registry_limit: int | None = None,
    registry_quirks: dict[str, Any] | None = None,
    repository: dict[str, Any] | None = None,
    images: dict[str, tuple[Path, str]] | None = None,
    **overrides: Any,
) -> AsyncIterator[Stack]:
    """Affinity domain and gateway in this process; state below `folder`.

    `peers` are settings of the registry and the repository alike, `overrides` other settings. `community` is
    the homeCommunityId that the registry puts on what it returns, `registry_limit` the number of objects
    that it gives at once. `repository` are settings of the repository alone.
    `images` are folders of DICOM files and the protocol (`rad-69`, `wado-rs`) of each,
    by Retrieve Location UID.
    """
    calls: Counter[str] = Counter()
    holder: list[Stack] = []

    @web.middleware
    async def observe(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith(("/xds/", "/dicomweb/")):
            calls[request.path] += 1
            if holder and holder[0].interfere is not None:
                answer = await holder[0].interfere(request)
                if answer is not None:
                    return answer
        return await handler(request)

    affinity = create_affinity(
        AffinityOptions(
            state_dir=folder / "affinity",
            repository_unique_id=REPOSITORY,
            home_community_id=community,
            max_results=registry_limit,
            image_locations=tuple(
                ImageLocation(uid, place, rad69=how == "rad-69", wado_rs=how == "wado-rs")
                for uid, (place, how) in (images or {}).items()
            ),
        )
    )
    affinity.middlewares.insert(0, observe)
    async with site(affinity) as domain:
        common = peers or {}
        own = {"unique_id": REPOSITORY, "url": f"{domain}/xds/repository", **common, **(repository or {})}
        values: dict[str, Any] = {
            "state_dir": folder / "gateway",
            "registry": {
                "url": f"{domain}/xds/registry",
                "quirks": registry_quirks or {},
                **common,
            },
            "repositories": [own],
            "imaging": {
                "locations": [
                    {
                        "uid": uid,
                        "protocol": how,
                        "url": f"{domain}/xds/imaging" if how == "rad-69" else f"{domain}/dicomweb/{uid}",
                    }
                    for uid, (_, how) in (images or {}).items()
                ]
            },
            **overrides,
        }
        async with running_gateway(Settings(**values)) as stack:
            stack.soap_calls = calls
            holder.append(stack)
            yield stack


@asynccontextmanager
async def running_gateway(settings: Settings) -> AsyncIterator[Stack]:
    """A gateway in this process, on a free port. Its own URLs begin with `server.base_url` where that is set."""
    listener = socket.create_server(("127.0.0.1", 0))
    tls = server_context(settings.server.tls, "server.tls")
    scheme = "https" if tls else "http"
    here = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/fhir"
    async with aiohttp.ClientSession() as session, open_parts(settings) as parts:
        app, _ = create_app(settings, parts, settings.server.base_url or here)
        runner = create_runner(app, shutdown_timeout=1)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=tls).start()
        try:
            yield Stack(here, session, settings, parts=parts)
        finally:
            await runner.cleanup()
            listener.close()


@asynccontextmanager
async def beside(stack: Stack, folder: Path) -> AsyncIterator[Stack]:
    """A gateway that shares the keys and the domain of another one, and nothing of its Redis.

    Its own URLs are those of the other, as behind one proxy.
    """
    (folder / "beside").mkdir()
    (folder / "beside" / "keys").write_text((stack.settings.state_dir / "keys").read_text())
    server = stack.settings.server.model_copy(update={"base_url": stack.base_url})
    settings = stack.settings.model_copy(update={"state_dir": folder / "beside", "server": server})
    async with running_gateway(settings) as other:
        yield other


class Service:
    """`gateway <arguments>` as a process that can be killed and started again on the same port."""

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        log: Path,
        *,
        program: tuple[str, ...] = ("-m", "gateway.cli"),
    ) -> None:
        """`program` is what Python runs, by default the command line of the gateway."""
        self._program = program
        self._arguments = arguments
        self._environment = os.environ | environment
        self._log = log
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> str:
        """Start and return the URL of its ready line."""
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._program,
                *self._arguments,
                env=self._environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        line = (await asyncio.wait_for(self.process.stdout.readline(), 60)).decode()
        assert line.startswith("ready "), (
            f"{line!r} {self.process.returncode} {self._log.read_text()[-2000:]}"
        )
        return line.split()[1]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the process."""
        return self._environment

    def program_line(self, *arguments: str) -> list[str]:
        """Another command of the same program."""
        return [sys.executable, *self._program, *arguments]

    @property
    def pid(self) -> int:
        """Process id of the running service."""
        assert self.process is not None
        return self.process.pid

    async def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
            await self.process.wait()


def children_of(pid: int) -> list[int]:
    """Direct children of a process, from /proc."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def affinity_service(folder: Path, port: int) -> Service:
    """The embedded affinity domain as a process."""
    arguments = ["affinity", "--port", str(port), "--state-dir", str(folder / "affinity")]
    return Service([*arguments, "--repository-unique-id", REPOSITORY], {}, folder / "affinity.log")


def gateway_service(
    folder: Path, port: int, affinity_port: int, *, program: tuple[str, ...] | None = None, **settings: str
) -> Service:
    """The gateway as a process, with an own Redis. `settings` are further `GATEWAY_` variables."""
    domain = f"http://127.0.0.1:{affinity_port}/xds"
    environment = {
        "GATEWAY_STATE_DIR": str(folder / "gateway"),
        "GATEWAY_SERVER__PORT": str(port),
        "GATEWAY_REGISTRY__URL": f"{domain}/registry",
        "GATEWAY_REPOSITORIES": f'[{{"unique_id": "{REPOSITORY}", "url": "{domain}/repository"}}]',
        "GATEWAY_LOG__LEVEL": "warning",
        # a killed gateway's claims are free after this
        "GATEWAY_LIFETIMES__PUBLISH_LOCK": "1.5",
        **{f"GATEWAY_{name}": value for name, value in settings.items()},
    }
    more = {"program": program} if program else {}
    return Service(["serve"], environment, folder / "gateway.log", **more)
