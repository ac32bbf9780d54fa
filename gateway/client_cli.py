"""`gateway publish | find | get`: what an MHD client does, with any server (ITI-65, 105, 106, 66, 67, 68).

Patient data is printed because whoever runs this asked for it. Errors are one line; exit codes are 0, 1 for
what the server refused or has not, 2 for a command that is wrong.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar
from urllib.parse import urlparse

import typer

from gateway.cli_help import examples
from gateway.client_documents import ClientError, Document, Resource, described
from gateway.progress import transfer, waiting

if TYPE_CHECKING:
    from gateway.client_session import MhdSession

T = TypeVar("T")

LARGEST: Final = 1024 * 1024 * 1024
"""Bytes of a file that is published."""
_LINE: Final = 1000
"""Characters of a line of a table that is not for a terminal; it takes as many as there are."""

app = typer.Typer()

UrlOption = Annotated[
    str, typer.Option("--url", envvar="MHD_URL", help="FHIR base of the server; MHD_URL names it too.")
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", envvar="MHD_TOKEN_FILE", help="File with an access token.")
]
ClientOption = Annotated[
    str | None, typer.Option("--client", help="client_id, to get a token as `gateway token` does.")
]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Private key (JWK) that belongs to --client.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For programs: what the server answered.")]
BASE: Final = "http://127.0.0.1:8080/fhir"


@dataclass(frozen=True, slots=True)
class _Access:
    """How the server is told who asks."""

    token_file: Path | None
    client: str | None
    key: Path | None

    async def token(self, base_url: str) -> str | None:
        """An access token, or None where none is to be sent. Raises ClientError."""
        if (self.client is None) != (self.key is None):
            raise typer.BadParameter("--client and --key belong together")
        if self.token_file is not None:
            return _text(self.token_file).strip()
        if self.client is None or self.key is None:
            return None
        from gateway.clients.token_request import ClientKey, TokenRequestError, fetch_token

        try:
            key = ClientKey(json.loads(_text(self.key)))
            answer = await fetch_token(base_url, self.client, key, "system/*.cruds")
        except ValueError:
            raise ClientError(f"{self.key}: is not JSON") from None
        except TokenRequestError as error:
            raise ClientError(str(error)) from None
        return str(answer["access_token"])


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: {getattr(error, 'strerror', None) or 'is not text'}") from None


@contextlib.contextmanager
def _one_line(command: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(1) from None
    except BrokenPipeError:
        raise typer.Exit(1) from None


async def _session(url: str, token_file: Path | None, client: str | None, key: Path | None) -> "MhdSession":
    from gateway.client_session import MhdSession

    base = url.rstrip("/")
    return MhdSession(base, await _Access(token_file, client, key).token(base))


def _run(work: Awaitable[T]) -> T:
    async def run() -> T:
        return await work

    return asyncio.run(run())


@app.command(
    epilog=examples(
        "gateway publish provide.json",
        "gateway publish cda.xml report.json --url https://ncp.example/fhir --token-file token",
    )
)
def publish(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Bundles (ITI-65), DocumentReferences (ITI-105), and documents that say what they are: "
            "CDA and FHIR documents (ITI-106)."
        ),
    ],
    url: UrlOption = BASE,
    token_file: TokenFileOption = None,
    client: ClientOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish documents; a file that is sent again stores nothing twice."""

    async def work() -> None:
        async with await _session(url, token_file, client, key) as session:
            for file in files:
                content = _content(file)
                with transfer(f"sending {file.name}", len(content)) as sent:
                    answer = await session.publish(content, sent)
                _print_published(file, answer, as_json=as_json)

    with _one_line("publish"):
        _run(work())


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST:
            raise ClientError(f"{file}: is larger than {LARGEST} bytes")
        return file.read_bytes()
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror or 'cannot be read'}") from None


def _print_published(file: Path, answer: Resource, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
    elif answer.get("resourceType") == "Bundle":
        for entry in answer.get("entry", ()):
            response = entry.get("response", {})
            typer.echo(f"{file.name}  {response.get('status', '')}  {response.get('location', '-')}")
    else:
        typer.echo(f"{file.name}  DocumentReference/{answer.get('id', '?')}")


@app.command(
    epilog=examples(
        "gateway find 'urn:oid:2.999.1.1|DEMO-1'",
        "gateway find 'urn:oid:2.999.1.1|DEMO-1' --type ImagingStudy --where modality=CT --json",
    )
)
def find(
    *,
    patient: Annotated[str, typer.Argument(help="SYSTEM|VALUE, such as 'urn:oid:2.999.1.1|DEMO-1'.")],
    kind: Annotated[
        str, typer.Option("--type", "-t", help="DocumentReference, List, ImagingStudy, DiagnosticReport...")
    ] = "DocumentReference",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--where", "-w", metavar="NAME=VALUE", help="A search parameter; may be repeated."),
    ] = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="Stop after so many.")] = 1000,
    url: UrlOption = BASE,
    token_file: TokenFileOption = None,
    client: ClientOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find a patient's documents, lists, studies or reports."""
    pairs = [("patient.identifier", patient), *map(_pair, parameters or ())]
    if kind in {"DocumentReference", "List"} and not any(name == "status" for name, _ in pairs):
        pairs.append(("status", "current"))
    if kind == "List" and not any(name == "code" for name, _ in pairs):
        pairs.append(("code", "submissionset,folder"))

    async def work() -> tuple[list[Resource], list[str]]:
        async with await _session(url, token_file, client, key) as session:
            with waiting("searching"):
                return await session.search(kind, pairs, most)

    with _one_line("find"):
        found, warnings = _run(work())
        for warning in warnings:
            typer.echo(f"find: {warning}", err=True)
        if as_json:
            for resource in found:
                typer.echo(json.dumps(resource))
        else:
            _table([described(resource) for resource in found])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def _table(rows: list[dict[str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        typer.echo("nothing found", err=True)
        return
    table = Table(box=None, pad_edge=False)
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    for name in shown:
        # ids are there to be copied
        table.add_column(name, overflow="fold", no_wrap=name == "id")
    for row in rows:
        # texts of others are no markup
        table.add_row(*(Text(row[name]) for name in shown))
    # a line each where a program reads them
    Console(width=None if sys.stdout.isatty() else _LINE).print(table)


@app.command(
    epilog=examples(
        "gateway get 3fa2c1d0-77aa-4e02-9f5e-2b8a5a1a0c11 --output report.pdf",
        "gateway get https://ncp.example/fhir/content/abc > report.pdf",
    )
)
def get(
    *,
    document: Annotated[str, typer.Argument(help="Id of a DocumentReference, or the URL of an attachment.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; standard output by default.")
    ] = None,
    accept: Annotated[str, typer.Option(help="Media type, where there are several.")] = "*/*",
    url: UrlOption = BASE,
    token_file: TokenFileOption = None,
    client: ClientOption = None,
    key: KeyOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say what was written: file, bytes, sha1, contentType.")
    ] = False,
) -> None:
    """Get a document (ITI-68); its size and hash are compared with what the server says of it."""
    if output is None and sys.stdout.isatty():
        raise typer.BadParameter("name a file with --output, or send the output somewhere")
    if output is None and as_json:
        raise typer.BadParameter("--json says what was written to a file: name one with --output")

    async def work() -> None:
        async with await _session(url, token_file, client, key) as session:
            wanted = (
                Document(document)
                if urlparse(document).scheme
                else await session.document(document.removeprefix("DocumentReference/"))
            )
            written = await _download(session, wanted, output, accept)
            if as_json:
                typer.echo(json.dumps(written))

    with _one_line("get"):
        _run(work())


async def _download(
    session: "MhdSession", wanted: Document, output: Path | None, accept: str
) -> dict[str, str | int]:
    """Write the document, and say what was written; a file appears whole or not at all."""
    said: dict[str, str] = {}
    digest, size = hashlib.sha1(usedforsecurity=False), 0
    if output is None:
        async for chunk in session.download(wanted, accept):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return {}
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file, transfer(output.name, wanted.size) as advance:
            async for chunk in session.download(wanted, accept, said):
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                advance(len(chunk))
        part.replace(output)
    except OSError as error:
        raise ClientError(f"{output}: {error.strerror or 'cannot be written'}") from None
    finally:
        part.unlink(missing_ok=True)
    return {"file": str(output), "bytes": size, "sha1": digest.hexdigest(), **said}
