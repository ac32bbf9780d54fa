"""The commands of `gateway admin`: `show`, `deprecate`, `approve`, `update`, `delete`, `remove`.

A document is named by entryUUID, by the id of its DocumentReference or by uniqueId. Nothing is changed
without `--yes`. Exit codes: 0 done or shown, 1 a peer refused or could not be reached, 2 wrong use or
settings, 3 no such document or more than one, 4 it is not known whether it was done.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.admin.attributes import ATTRIBUTES, BadSetting, read_settings
from gateway.admin.changes import Change, Changes, Halfway, Refused, orphan
from gateway.admin.documents import Document, Documents, NotOne
from gateway.admin.report import described, where
from gateway.clients.registry import DocumentRegistry
from gateway.clients.repository import DocumentRepository
from gateway.ebxml.errors import MetadataError
from gateway.model import AvailabilityStatus, RegistryFailure
from gateway.model.errors import PeerError
from gateway.settings import Settings, SettingsError, load_settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.telemetry.logs import configure
from gateway.wiring.peers import document_repositories, peer_of

FAILED: Final = 1
WRONG_USE: Final = 2
NOT_ONE: Final = 3
UNKNOWN_OUTCOME: Final = 4

app = typer.Typer(
    help="Look at registered documents and change them: metadata update and removal in the affinity domain.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="entryUUID, id of the DocumentReference, or uniqueId.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML settings file; GATEWAY_CONFIG names it too.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this it is only told what would be done.")]
ShowPatientData = Annotated[
    bool, typer.Option("--show-patient-data", help="Show patient id, title, comments and authors.")
]


@app.command()
def show(document: Id, config: ConfigOption = None, show_patient_data: ShowPatientData = False) -> None:
    """Show a document, its versions and what refers to it."""
    _run(config, lambda desk: desk.show(document, show_patient_data))


@app.command()
def deprecate(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Make a document superseded: it is found only where that status is asked for."""
    _change(config, document, lambda changes: _now(changes.status(AvailabilityStatus.DEPRECATED)), yes=yes)


@app.command()
def approve(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Make a superseded document current again."""
    _change(config, document, lambda changes: _now(changes.status(AvailabilityStatus.APPROVED)), yes=yes)


@app.command()
def update(
    document: Id,
    settings: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help=f"NAME is one of {', '.join(ATTRIBUTES)}."),
    ],
    config: ConfigOption = None,
    *,
    yes: Yes = False,
    show_patient_data: ShowPatientData = False,
) -> None:
    """Register a new version of the metadata with other values; the document stays as it is.

    A code is written code^display^scheme. An empty value ends an optional attribute; confidentiality and
    event may be given several times and replace all that were there.
    """
    try:
        values = read_settings(settings)
    except BadSetting as error:
        _fail(str(error), WRONG_USE)
    _change(
        config,
        document,
        lambda changes: _now(changes.metadata(values, show_text=show_patient_data)),
        yes=yes,
        show_patient_data=show_patient_data,
    )


@app.command()
def delete(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Delete the metadata of a document, all its versions; the repository keeps the document."""
    _change(config, document, lambda changes: changes.deletion(), yes=yes)


@app.command()
def remove(
    document: Id,
    config: ConfigOption = None,
    *,
    repository: Annotated[
        str | None,
        typer.Option(help="Remove it from this repository; the registry has no metadata of it any more."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Delete the metadata of a document, then remove the document from its repository."""
    _run(config, lambda desk: desk.remove(document, repository, yes=yes))


async def _now(change: Change) -> Change:
    return change


class Desk:
    """The peers of the settings, and what is said to the operator."""

    def __init__(self, settings: Settings, soap: SoapClient) -> None:
        self._registry = DocumentRegistry(
            soap, peer_of("registry", settings.registry), settings.registry.quirks
        )
        self._repositories: dict[str, DocumentRepository] = document_repositories(settings, soap)
        self._documents = Documents(self._registry)
        # the submitting source: the same for all that is changed in this registry
        self._source_id = (
            settings.publish.source_id or f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, settings.registry.url).int}"
        )

    async def show(self, text: str, show_patient_data: bool) -> int:
        """Print one document."""
        await self._look(text, show_patient_data)
        return 0

    async def change(
        self,
        text: str,
        make: Callable[[Changes], Awaitable[Change]],
        *,
        yes: bool,
        show_patient_data: bool = False,
    ) -> int:
        """Print a document, what would be changed, and with `yes` what became of it."""
        document = await self._look(text, show_patient_data)
        change = await make(Changes(self._registry, document, self._source_id))
        code = await self._carry_out(change, yes=yes)
        if yes and code == 0:
            try:
                after = await self._documents.find(document.logical_id)
            except NotOne:
                typer.echo("after      the registry has no document with this id")
            else:
                _print(after, show_patient_data)
        return code

    async def remove(self, text: str, repository_id: str | None, *, yes: bool) -> int:
        """Remove a document, or what is left of it in a repository."""
        if repository_id is None:
            return await self.change(text, lambda changes: changes.removal(self._repositories), yes=yes)
        repository = self._repositories.get(repository_id)
        if repository is None:
            raise Refused(f"repository {repository_id} is none of the setting repositories")
        typer.echo(f"registry   {where(self._registry.peer.url)}")
        typer.echo(f"repository {where(repository.peer.url)}")
        try:
            await self._documents.find(text)
        except NotOne as error:
            if "no document" not in str(error):
                raise
        else:
            raise Refused("the registry has this document; remove it without --repository")
        return await self._carry_out(orphan(repository, text.removeprefix("urn:oid:")), yes=yes)

    async def _look(self, text: str, show_patient_data: bool) -> Document:
        typer.echo(f"registry   {where(self._registry.peer.url)}")
        document = await self._documents.find(text)
        _print(document, show_patient_data)
        return document

    async def _carry_out(self, change: Change, *, yes: bool) -> int:
        for line in change.lines:
            typer.echo(f"change     {line}")
        if not yes:
            typer.echo("nothing was changed; add --yes to do it")
            return 0
        try:
            await change.carry_out()
        except PeerError as error:
            if error.outcome_known:
                raise
            return await self._settle(change, error)
        typer.echo("done")
        return 0

    async def _settle(self, change: Change, error: PeerError) -> int:
        """After an answer that did not come: was it done? Nothing is repeated."""
        typer.echo(f"admin: {error}; asking whether it was done", err=True)
        try:
            done = await change.is_done()
        except (PeerError, RegistryFailure, NotOne) as failure:
            typer.echo(f"admin: not known: {_told(failure)}; look again before you repeat it", err=True)
            return UNKNOWN_OUTCOME
        if done:
            typer.echo("done")
            return 0
        typer.echo("admin: it was not done", err=True)
        return FAILED


def _print(document: Document, show_patient_data: bool) -> None:
    for line in described(document, show_patient_data=show_patient_data):
        typer.echo(line)


def _change(
    config: Path | None,
    document: str,
    make: Callable[[Changes], Awaitable[Change]],
    *,
    yes: bool,
    show_patient_data: bool = False,
) -> None:
    _run(config, lambda desk: desk.change(document, make, yes=yes, show_patient_data=show_patient_data))


def _run(config: Path | None, work: Callable[[Desk], Awaitable[int]]) -> None:
    try:
        settings = load_settings(config)
    except SettingsError as error:
        for line in str(error).splitlines():
            typer.echo(f"settings: {line}", err=True)
        raise typer.Exit(WRONG_USE) from None
    configure("error")

    async def at_the_desk() -> int:
        async with SoapClient(load_contract()) as soap:
            return await work(Desk(settings, soap))

    try:
        code = asyncio.run(at_the_desk())
    except NotOne as error:
        _fail(str(error), NOT_ONE)
    except Refused as error:
        _fail(str(error), WRONG_USE)
    except Halfway as error:
        _fail(f"{error}; first: {_told(error.cause)}", FAILED)
    except MetadataError as error:
        _fail(error.context, WRONG_USE)
    except (PeerError, RegistryFailure) as error:
        _fail(_told(error), FAILED)
    raise typer.Exit(code)


def _told(error: Exception) -> str:
    """One line; what a registry says of each object goes with its code."""
    if isinstance(error, RegistryFailure):
        said = "; ".join(f"{e.code} {' '.join(e.context.split())[:300]}".strip() for e in error.errors[:5])
        more = f"; and {len(error.errors) - 5} more" if len(error.errors) > 5 else ""
        return f"{error.transaction} to {error.peer} was refused: {said or 'Failure'}{more}"
    return str(error)


def _fail(text: str, code: int) -> None:
    typer.echo(f"admin: {text}", err=True)
    raise typer.Exit(code)
