"""All parts on one machine: affinity domain, Redis and gateway on loopback, with sample content."""

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import aiohttp

from gateway.clients.token_request import TokenRequestError
from gateway.demo.access import CLIENT_ID, CONSOLE_SCOPE, SCOPE, DemoClient
from gateway.demo.bundles import provide_bundle
from gateway.demo.check import run_check
from gateway.demo.children import Child, ChildError
from gateway.demo.content import SampleContent, sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.demo.neighbours import Neighbourhood, neighbourhood
from gateway.demo.outside_client import MismatchError, OutsideClient
from gateway.demo.report_content import sample_reports
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS, SOURCE_ID, IdSource, SampleDocument
from gateway.demo.walk_admin import AdminCommand
from gateway.demo.walk_communities import check_communities, publish_studies
from gateway.demo.walk_publish import response_entries
from gateway.demo.walk_reports import REPORT_TYPE, publish_report
from gateway.progress import waiting

DEFAULT_PORT = 8080
REPOSITORY = "2.999.10.1"
_HOST = "127.0.0.1"
_SEED = "demo"
_READY_SECONDS = 60.0
_END_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(KeyboardInterrupt):
    """A signal asked to end; asyncio lets this kind of exception through from wherever it is raised."""


def run_demo(
    *,
    port: int | None = None,
    state_dir: Path,
    check: bool,
    communities: int = 1,
    config: Path | None = None,
) -> int:
    """Start everything, publish the sample content and stay up until Ctrl-C or SIGTERM.

    Without `port` the gateway takes 8080, or a free port where that is taken. With `check` all state is
    temporary, ports are free ones, and the outside client's walk is run instead. With three `communities`
    there are two others beside the own one. `config` has settings beside those that are made here. Returns
    the exit code.
    """
    try:
        with _signals_end_it():
            if check:
                with tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder:
                    return _check(Path(folder)) if communities == 1 else check_communities(Path(folder))
            wanted = _free_port() if port is None else port
            if communities == 1:
                _stay_up(state_dir, wanted, config)
            _stay_up_with_communities(state_dir / "communities", wanted)
    except _Stopped:
        return 130 if check else 0
    except ChildError as error:
        print(*error.errors, f"demo: {error}", sep="\n", file=sys.stderr)
        return 1
    except (MismatchError, TokenRequestError, OSError, aiohttp.ClientError) as error:
        print(f"demo: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Turn the first signal to end into _Stopped; later ones are left to what is ending then."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        raise _Stopped

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    try:
        with socket.create_server((_HOST, DEFAULT_PORT)):
            return DEFAULT_PORT
    except OSError:
        print(f"Port {DEFAULT_PORT} is taken, a free one is used; --port names another.")
        return 0


@dataclass(frozen=True, slots=True)
class _Running:
    """What runs: the FHIR base URL, the processes, the environment of the gateway and its one client."""

    base_url: str
    children: list[Child]
    environment: dict[str, str]
    client: DemoClient


@contextmanager
def _running(state_dir: Path, port: int, log_level: str, config: Path | None = None) -> Iterator[_Running]:
    """Start everything. Raises ChildError."""
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    client = DemoClient(state_dir)
    # settings of whoever starts the demonstration are for another gateway
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    children: list[Child] = []
    with ExitStack() as stack:

        def start(name: str, log: str, arguments: list[str], more: dict[str, str]) -> str:
            child = Child(name, arguments, {**environment, **more}, state_dir / log)
            children.append(child)
            stack.callback(child.end, _END_SECONDS)
            with waiting(f"starting {name}"):
                return child.wait_until_ready(_READY_SECONDS)

        arguments = ["affinity", "--port", "0", "--state-dir", str(state_dir / "affinity")]
        arguments += ["--repository-unique-id", REPOSITORY]
        for option, location in (("--images-rad69", FIRST_LOCATION), ("--images-wado", SECOND_LOCATION)):
            folder = images_dir(state_dir) / location
            folder.mkdir(parents=True, exist_ok=True)
            arguments += [option, f"{location}={folder}"]
        domain_url = start("the affinity domain", "affinity.log", arguments, {})
        settings = {
            **_gateway_settings(state_dir, port, domain_url),
            "GATEWAY_SECURITY": json.dumps(client.settings()),
            "GATEWAY_LOG__LEVEL": log_level,
            **({} if config is None else {"GATEWAY_CONFIG": str(config.resolve())}),
        }
        base_url = start("the gateway", "gateway.log", ["serve"], settings)
        yield _Running(base_url, children, {**environment, **settings}, client)


def images_dir(state_dir: Path) -> Path:
    """Where the locations of the demonstration have their images, each in a folder of its UID."""
    return state_dir / "images"


def _gateway_settings(state_dir: Path, port: int, domain_url: str) -> dict[str, str]:
    repository = {"unique_id": REPOSITORY, "url": f"{domain_url}/xds/repository"}
    locations = [
        {"uid": FIRST_LOCATION, "protocol": "rad-69", "url": f"{domain_url}/xds/imaging"},
        {"uid": SECOND_LOCATION, "protocol": "wado-rs", "url": f"{domain_url}/dicomweb/{SECOND_LOCATION}"},
    ]
    return {
        "GATEWAY_STATE_DIR": str(state_dir / "gateway"),
        "GATEWAY_SERVER__HOST": _HOST,
        "GATEWAY_SERVER__PORT": str(port),
        "GATEWAY_REGISTRY__URL": f"{domain_url}/xds/registry",
        "GATEWAY_REPOSITORIES": json.dumps([repository]),
        "GATEWAY_IMAGING__LOCATIONS": json.dumps(locations),
        "GATEWAY_IMAGING__RAD69_SERVER": "true",
        "GATEWAY_CONSOLE__ENABLED": "true",
        "GATEWAY_PUBLISH": json.dumps(
            {
                # the default follows from the base URL, whose port may be another at the next start
                "source_id": SOURCE_ID,
                "defaults": DOCUMENT_DEFAULTS,
                "class_codes": CLASS_CODES_BY_TYPE,
            }
        ),
    }


def _check(state_dir: Path) -> int:
    with _running(state_dir, 0, "warning") as running:
        code = run_check(
            running.base_url,
            admin=AdminCommand(running.environment),
            images=images_dir(state_dir),
            token=running.client.tokens(running.base_url),
        )
        for child in running.children:
            child.require_running()
        if code:
            for child in running.children:
                print(f"Last lines of {child.name}:", *child.errors(), sep="\n", file=sys.stderr)
    return code


def _stay_up(state_dir: Path, port: int, config: Path | None) -> NoReturn:
    with _running(state_dir, port, "info", config) as running:
        content = sample_content(_SEED)
        content.images.write(images_dir(state_dir))
        try:
            with waiting("publishing sample content"):
                document_url = asyncio.run(_publish(running, content))
        except MismatchError as error:
            raise MismatchError(f"{error}; delete {state_dir} to start anew") from None
        example = state_dir / "publish.json"
        example.write_text(json.dumps(_example(content), indent=2) + "\n", "utf-8")
        _print_guide(running, content, example, document_url)
        while True:
            time.sleep(0.5)
            for child in running.children:
                child.require_running()


def _stay_up_with_communities(state_dir: Path, port: int) -> NoReturn:
    with neighbourhood(state_dir, port, _SEED, "DEMO-1", "info") as running:
        asyncio.run(_publish_studies(running))
        front, patient = running.front, running.front.content.patient
        token = f"{_command()} token --client {CLIENT_ID} --key {_shown(running.client.key_file)}"
        print(
            f"""
Base URL: {front.base_url}   (in front of three communities: {", ".join(p.home for p in running.places)})

get an access token, which is good for five minutes:
  TOKEN=$({token} --url '{front.base_url}')
find the studies of all communities, with the addresses of their images:
  curl -s -G '{front.base_url}/ImagingStudy' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'patient.identifier={patient.token}' --data-urlencode '_include=ImagingStudy:endpoint'
find the documents of one:
  curl -s -G '{front.base_url}/DocumentReference' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'patient.identifier={patient.token}' --data-urlencode 'status=current' \\
       --data-urlencode 'targetCommunityIdList={running.places[1].home}'
look for a study of community 2 in the console, by {running.places[1].content.images.study_instance_uid}:
{_console_guide(front.base_url, token)}
stop community 2 and search again:
  kill {running.places[1].pid}

Ctrl-C ends it. Logs and state are in {_shown(state_dir)}.""",
            flush=True,
        )
        while True:
            time.sleep(0.5)
            front.require_running()


async def _publish_studies(running: Neighbourhood) -> None:
    async with aiohttp.ClientSession() as session:
        await publish_studies(running, session)


async def _publish(running: _Running, content: SampleContent) -> str:
    """Publish the sample content and return the ITI-68 URL of the imaging report.

    A gateway that has it already answers as it did the first time.
    """
    async with aiohttp.ClientSession() as session:
        client = OutsideClient(session, running.base_url, running.client.tokens(running.base_url))
        first = provide_bundle(
            [content.report, content.discharge, content.manifest],
            patient=content.patient,
            folder=content.folder,
            title="CT of the chest",
        )
        responses = response_entries(await client.publish(first), first)
        location = next(
            response["location"]
            for entry, response in zip(first["entry"], responses, strict=True)
            if entry["resource"]["resourceType"] == "DocumentReference"
        )
        replaced = "/".join(location.partition("/_history/")[0].split("/")[-2:])
        for bundle in (
            provide_bundle([content.corrected_report], patient=content.patient, replaces=replaced),
            provide_bundle([content.other_report], patient=content.other_patient),
        ):
            response_entries(await client.publish(bundle), bundle)
        for report in sample_reports(content):
            await publish_report(client, report)
        page = await client.search(
            [
                ("patient.identifier", content.patient.token),
                ("status", "current"),
                ("identifier", content.corrected_report.token),
            ]
        )
        if not page.matches:
            raise MismatchError("the imaging report is not found after it was published")
        return str(page.matches[0]["content"][0]["attachment"]["url"])


def _example(content: SampleContent) -> dict[str, object]:
    """The Bundle for a first own publish: one short text of the first patient."""
    ids = IdSource(f"{_SEED} publish.json")
    text = SampleDocument(
        unique_id=ids.oid(2),
        content=b"Seen in the outpatient clinic, no complaints.\r\n",
        content_type="text/plain",
        title="Visit note",
        authors=content.discharge.authors,
    )
    return provide_bundle([text], patient=content.patient)


def _print_guide(running: _Running, content: SampleContent, example: Path, document_url: str) -> None:
    base_url = running.base_url
    patient = content.patient.token
    parts = urlsplit(base_url)
    token = f"{_command()} token --client {CLIENT_ID} --key {_shown(running.client.key_file)}"
    print(
        f"""
Base URL: {base_url}   (health: {parts.scheme}://{parts.netloc}/health/ready)

get an access token, which is good for five minutes:
  TOKEN=$({token} --url '{base_url}')
publish:
  curl -s '{base_url}' -H "Authorization: Bearer $TOKEN" \\
       -H 'Content-Type: application/fhir+json' --data-binary @{_shown(example)}
find:
  curl -s -G '{base_url}/DocumentReference' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'patient.identifier={patient}' --data-urlencode 'status=current'
retrieve:
  curl -s '{document_url}' -H "Authorization: Bearer $TOKEN"
find imaging reports:
  curl -s -G '{base_url}/DocumentReference' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'patient.identifier={patient}' --data-urlencode 'type={REPORT_TYPE}'
find imaging studies, with the addresses of their images:
  curl -s -G '{base_url}/ImagingStudy' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'patient.identifier={patient}' --data-urlencode '_include=ImagingStudy:endpoint'
find them by QIDO-RS:
  curl -s -G '{base_url}/dicomweb/studies' -H "Authorization: Bearer $TOKEN" \\
       --data-urlencode 'PatientID={content.patient.id}' \\
       --data-urlencode 'IssuerOfPatientID={content.patient.authority}'
look at the console, for example for {content.images.study_instance_uid}:
{_console_guide(base_url, token)}

Ctrl-C ends it. Logs and state are in {_shown(example.parent)}.""",
        flush=True,
    )


def _console_guide(base_url: str, token: str) -> str:
    return (
        f"  {base_url.removesuffix('/fhir')}/console   (sign in with what this prints)\n"
        f"  {token} --url '{base_url}' --scope '{CONSOLE_SCOPE} {SCOPE}'"
    )


def _command() -> str:
    """How this program was called, so that it can be called again."""
    called = Path(sys.argv[0])
    return shlex.quote(_shown(called)) if called.name == "gateway" and called.is_file() else "gateway"


def _shown(path: Path) -> str:
    """The path as short as it can be used from where the user is."""
    resolved = path.resolve()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(resolved)
