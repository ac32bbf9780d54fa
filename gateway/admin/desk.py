"""What `gateway admin` does and says: it looks, tells what would be changed, changes it, and looks again."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import typer

from gateway.admin.changes import Change, Changes, Halfway, Refused, orphan
from gateway.admin.documents import Document, Documents, NotOne
from gateway.admin.report import described, where
from gateway.clients.repository import DocumentRepository
from gateway.correlation.answers import AnswerStore
from gateway.ebxml.errors import MetadataError
from gateway.model import AvailabilityStatus, RegistryFailure
from gateway.model.errors import PeerError
from gateway.settings import Settings, SettingsError
from gateway.soap.client import SoapClient
from gateway.telemetry.logs import configure
from gateway.wiring.calls import soap_client
from gateway.wiring.parts import StartError, open_parts
from gateway.wiring.peers import document_registry, document_repositories
from gateway.wiring.resources import registry_answers

FAILED: Final = 1
WRONG_USE: Final = 2
NOT_ONE: Final = 3
UNKNOWN_OUTCOME: Final = 4
_ERRORS_TOLD: Final = 5


async def _now(change: Change) -> Change:
    return change


class Desk:
    """The peers of the settings, and what is said to the operator."""

    def __init__(self, settings: Settings, soap: SoapClient, answers: AnswerStore | None = None) -> None:
        """`answers` are those of the registry that the gateway keeps; None where it keeps none."""
        if settings.registry is None:
            raise SettingsError("registry: is not set; what it holds is what gateway admin changes")
        self._registry = document_registry(settings, soap)
        self._repositories: dict[str, DocumentRepository] = document_repositories(settings, soap)
        self._documents = Documents(self._registry)
        self._answers = answers
        # the submitting source: the same for all that is changed in this registry
        self._source_id = (
            settings.publish.source_id or f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, settings.registry.url).int}"
        )

    async def show(self, text: str, show_patient_data: bool) -> int:
        """Print one document."""
        await self._look(text, show_patient_data)
        return 0

    async def set_status(self, text: str, new: AvailabilityStatus, *, yes: bool) -> int:
        """Deprecate or approve a document."""
        return await self._change(text, lambda changes: _now(changes.status(new)), yes=yes)

    async def update(
        self, text: str, values: Mapping[str, Any], *, yes: bool, show_patient_data: bool
    ) -> int:
        """Register a new version of a document's metadata."""
        return await self._change(
            text,
            lambda changes: _now(changes.metadata(values, show_text=show_patient_data)),
            yes=yes,
            show_patient_data=show_patient_data,
        )

    async def delete(self, text: str, *, yes: bool) -> int:
        """Delete the metadata of a document."""
        return await self._change(text, lambda changes: changes.deletion(), yes=yes)

    async def _change(
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
        try:
            code = await self._carry_out(change, yes=yes)
        finally:
            patient = document.current.patient_id
            # also where nobody knows whether it was done
            if yes and self._answers is not None and patient is not None:
                await self._answers.forget(patient)
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
            return await self._change(text, lambda changes: changes.removal(self._repositories), yes=yes)
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


def run_at_desk(settings: Settings, work: Callable[[Desk], Awaitable[int]]) -> int:
    """Do `work` with the peers of the settings; the exit code. What went wrong is one line."""
    configure("error")

    async def at_the_desk() -> int:
        async with soap_client(settings) as soap, _kept_answers(settings) as answers:
            return await work(Desk(settings, soap, answers))

    try:
        return asyncio.run(at_the_desk())
    except (SettingsError, StartError) as error:
        return _fail(str(error), WRONG_USE)
    except NotOne as error:
        return _fail(str(error), NOT_ONE)
    except Refused as error:
        return _fail(str(error), WRONG_USE)
    except MetadataError as error:
        return _fail(error.context, WRONG_USE)
    except Halfway as error:
        return _fail(f"{error}; first: {_told(error.cause)}", FAILED)
    except (PeerError, RegistryFailure) as error:
        return _fail(_told(error), FAILED)


@asynccontextmanager
async def _kept_answers(settings: Settings) -> AsyncIterator[AnswerStore | None]:
    """Answers of the registry that the gateway gives again. Raises StartError."""
    if not settings.lifetimes.registry_answer:
        yield None
        return
    async with open_parts(settings, audited=False, beside=True) as parts:
        if not parts.store.available:
            typer.echo("admin: Redis is away; the gateway may give what it has kept for a while", err=True)
        yield registry_answers(settings, parts.imaging)


def _told(error: Exception) -> str:
    """One line; what a registry says of each object goes with its code."""
    if isinstance(error, RegistryFailure):
        said = "; ".join(
            f"{e.code} {' '.join(e.context.split())[:300]}".strip() for e in error.errors[:_ERRORS_TOLD]
        )
        more = f"; and {len(error.errors) - _ERRORS_TOLD} more" if len(error.errors) > _ERRORS_TOLD else ""
        return f"{error.transaction} to {error.peer} was refused: {said or 'Failure'}{more}"
    return str(error)


def _fail(text: str, code: int) -> int:
    typer.echo(f"admin: {text}", err=True)
    return code
