"""The commands of `gateway admin`: `show`, `deprecate`, `approve`, `update`, `delete`, `remove`.

A document is named by entryUUID, by the id of its DocumentReference or by uniqueId. Nothing is changed
without `--yes`. Exit codes: 0 done or shown, 1 a peer refused or could not be reached, 2 wrong use or
settings, 3 no such document or more than one, 4 it is not known whether it was done.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.admin.attributes import ATTRIBUTES, BadSetting, read_settings
from gateway.cli_help import examples
from gateway.model import AvailabilityStatus
from gateway.settings import SettingsError, load_settings

if TYPE_CHECKING:
    from gateway.admin.desk import Desk

_WRONG_USE: Final = 2

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


@app.command(epilog=examples("gateway admin show urn:uuid:6a7d5b6e-5d0c-4b8e-9f3a-0c1d2e3f4a5b"))
def show(document: Id, config: ConfigOption = None, show_patient_data: ShowPatientData = False) -> None:
    """Show a document, its versions and what refers to it."""
    _run(config, lambda desk: desk.show(document, show_patient_data))


@app.command(epilog=examples("gateway admin deprecate 2.25.1234 --yes"))
def deprecate(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Make a document superseded: it is found only where that status is asked for."""
    _run(config, lambda desk: desk.set_status(document, AvailabilityStatus.DEPRECATED, yes=yes))


@app.command(epilog=examples("gateway admin approve 2.25.1234 --yes"))
def approve(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Make a superseded document current again."""
    _run(config, lambda desk: desk.set_status(document, AvailabilityStatus.APPROVED, yes=yes))


@app.command(epilog=examples("gateway admin update 2.25.1234 --set 'title=Discharge letter' --yes"))
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
        typer.echo(f"admin: {error}", err=True)
        raise typer.Exit(_WRONG_USE) from None
    _run(
        config,
        lambda desk: desk.update(document, values, yes=yes, show_patient_data=show_patient_data),
    )


@app.command(epilog=examples("gateway admin delete 2.25.1234 --yes"))
def delete(document: Id, config: ConfigOption = None, yes: Yes = False) -> None:
    """Delete the metadata of a document, all its versions; the repository keeps the document."""
    _run(config, lambda desk: desk.delete(document, yes=yes))


@app.command(epilog=examples("gateway admin remove 2.25.1234 --yes"))
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


def _run(config: Path | None, work: "Callable[[Desk], Awaitable[int]]") -> None:
    try:
        settings = load_settings(config)
    except SettingsError as error:
        for line in str(error).splitlines():
            typer.echo(f"settings: {line}", err=True)
        raise typer.Exit(_WRONG_USE) from None
    from gateway.admin.desk import run_at_desk

    raise typer.Exit(run_at_desk(settings, work))
