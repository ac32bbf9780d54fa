"""The command line: `gateway serve | health | doctor | trace | demo | publish | find | get | token | ...`.

Exit codes are those of `gateway.exit_codes`.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import client_cli, manifest_cli
from gateway.admin.commands import app as admin_app
from gateway.cli_help import examples
from gateway.doctor_report import Form
from gateway.exit_codes import ExitCode
from gateway.settings import Settings, SettingsError, load_settings

app = typer.Typer(
    help="Gateway between FHIR (IHE MHD) and XDS.b.",
    no_args_is_help=True,
    epilog="Exit codes: 0 done and well; 1 something failed or is not well; 2 wrong command or settings; "
    "3 nothing is known of what was asked (trace).",
    pretty_exceptions_enable=False,
)
app.add_typer(client_cli.app)
app.add_typer(admin_app, name="admin")
app.add_typer(manifest_cli.app, name="manifest")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML settings file; GATEWAY_CONFIG names it too.")
]


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config)
    except SettingsError as error:
        for line in str(error).splitlines():
            typer.echo(f"settings: {line}", err=True)
        raise typer.Exit(ExitCode.WRONG_USE) from None


@app.command(epilog=examples("gateway serve --config gateway.yaml", "GATEWAY_LOG__LEVEL=debug gateway serve"))
def serve(config: ConfigOption = None) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    settings = _settings(config)
    from gateway.app import serve as run
    from gateway.wiring.parts import StartError
    from gateway.workers import run_workers

    try:
        if settings.server.workers > 1:
            raise typer.Exit(run_workers(settings, run))
        asyncio.run(run(settings))
    except (StartError, SettingsError) as error:
        typer.echo(f"gateway: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None


@app.command(epilog=examples("gateway health", "gateway health --ready --config gateway.yaml"))
def health(
    config: ConfigOption = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether it takes requests, not only whether it lives.")
    ] = False,
) -> None:
    """Ask the gateway that runs here how it is; exit 1 where it does not answer, or is not ready."""
    settings = _settings(config)
    from gateway.health_check import ask_health

    well, text = ask_health(settings, "/health/ready" if ready else "/health/live")
    typer.echo(text, err=not well)
    raise typer.Exit(ExitCode.DONE if well else ExitCode.FAILED)


@app.command(
    epilog=examples(
        "gateway doctor --config gateway.yaml", "gateway doctor --json | jq '.checks[] | select(.well | not)'"
    )
)
def doctor(
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as one JSON document.")] = False,
) -> None:
    """Check settings, keys, Redis and every peer; one line each, exit 1 if one fails."""
    settings = _settings(config)
    from gateway.doctor import examine

    form = Form.JSON if as_json else Form.LINES
    raise typer.Exit(asyncio.run(examine(settings, typer.echo, form)))


@app.command(
    epilog=examples(
        "gateway trace 1.2.840.113619.2.1.1",
        "gateway trace 1.2.840.113619.2.1.1 --patient 'urn:oid:2.999.1.1|DEMO-1'",
        "gateway trace urn:uuid:6a7d5b6e-5d0c-4b8e-9f3a-0c1d2e3f4a5b --json --no-retrieve",
    )
)
def trace(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Study Instance UID, document uniqueId, entryUUID, id of a DocumentReference, accession "
            "or order number (also authority|number).",
        ),
    ],
    *,
    config: ConfigOption = None,
    patient: Annotated[
        str | None,
        typer.Option(help="system|value of the patient of a study that was not seen yet; it is not shown."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as JSON.")] = False,
    retrieve: Annotated[
        bool, typer.Option(help="Fetch the document and one image of each series to see whether it works.")
    ] = True,
) -> None:
    """Say where a study or document is held, which ways lead there, and why a retrieve would fail."""
    settings = _settings(config)
    from gateway.trace_command import run_trace

    code = run_trace(settings, what, typer.echo, patient=patient, as_json=as_json, retrieve=retrieve)
    raise typer.Exit(asyncio.run(code))


@app.command(
    epilog=examples(
        "gateway demo",
        "gateway demo --check",
        "gateway demo --communities 3 --port 9080",
        "gateway demo --port 9080 --state-dir state/second --config second.yaml",
    )
)
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Walk through all of it as an outside client and exit.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(help="Port of the gateway; 8080, or a free one where that is taken.")
    ] = None,
    state_dir: Annotated[Path, typer.Option(help="Where the demo keeps its state.")] = Path("state/demo"),
    communities: Annotated[
        int, typer.Option(help="3: with two other communities, one by XCA and one by MHD.", min=1, max=3)
    ] = 1,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="YAML settings beside those that the demo makes, which stay."),
    ] = None,
) -> None:
    """Run affinity domain, Redis and gateway on this machine with sample content."""
    from gateway.demo.run import run_demo

    problem = None
    if communities not in {1, 3}:
        problem = "--communities is 1 or 3"
    elif config is not None and (check or communities == 3):
        problem = "--config is for a demo that stays up, of one community"
    elif config is not None and not config.is_file():
        problem = f"{config}: no such settings file"
    if problem is not None:
        typer.echo(f"demo: {problem}", err=True)
        raise typer.Exit(ExitCode.WRONG_USE)
    raise typer.Exit(
        run_demo(port=port, state_dir=state_dir, check=check, communities=communities, config=config)
    )


@app.command(
    epilog=examples(
        "gateway token --client demo --key state/demo/client-key.json",
        "gateway token --client ncp --key key.json --scope 'system/DocumentReference.rs' --json",
    )
)
def token(
    *,
    client_id: Annotated[str, typer.Option("--client", help="client_id that the server knows.")],
    key: Annotated[Path, typer.Option(help="File with the private key as JWK (RSA, or EC P-384).")],
    scope: Annotated[str, typer.Option(help="Scopes with spaces between them.")] = "system/*.cruds",
    base_url: Annotated[str, typer.Option("--url", help="FHIR base.")] = "http://127.0.0.1:8080/fhir",
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole answer, with lifetime and scope.")
    ] = False,
) -> None:
    """Get an access token as a client does (ITI-71) and print it."""
    import json

    from gateway.clients.token_request import ClientKey, TokenRequestError, fetch_token

    try:
        read = ClientKey(json.loads(key.read_text("utf-8")))
        answer = asyncio.run(fetch_token(base_url.rstrip("/"), client_id, read, scope))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not JSON"
        typer.echo(f"token: {key}: {reason}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None
    except TokenRequestError as error:
        typer.echo(f"token: {error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None
    typer.echo(json.dumps(answer) if as_json else answer["access_token"])


@app.command(
    epilog=examples(
        "gateway affinity --state-dir state/affinity",
        "gateway affinity --state-dir state/affinity --port 9081 --images 2.999.20.1=/data/dicom",
    )
)
def affinity(
    *,
    state_dir: Annotated[Path, typer.Option(help="Where documents and metadata are kept.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free port.")] = 8081,
    repository_unique_id: Annotated[str, typer.Option(help="OID of the repository.")] = "2.999.10.1",
    home_community_id: Annotated[
        str | None, typer.Option(help="urn:oid:... put on what the registry returns.")
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID=FOLDER",
            help="Folder of DICOM files and its Retrieve Location UID, served by RAD-69 and WADO-RS.",
        ),
    ] = None,
    images_rad69: Annotated[
        list[str] | None, typer.Option(metavar="UID=FOLDER", help="The same, by RAD-69 only.")
    ] = None,
    images_wado: Annotated[
        list[str] | None, typer.Option(metavar="UID=FOLDER", help="The same, by WADO-RS only.")
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of FHIR Patients, who are known to PIXm and PDQm at /patients.",
        ),
    ] = None,
    snapshots: Annotated[
        bool, typer.Option(help="Store and register what an On-Demand document is assembled to.")
    ] = True,
) -> None:
    """Run the embedded affinity domain: registry, repository, imaging source and patient manager."""
    from gateway.affinity.app import serve as run
    from gateway.affinity.options import AffinityOptions, image_location
    from gateway.affinity.patient_records import PatientRecords

    try:
        locations = [
            image_location(text, rad69=rad69, wado_rs=wado_rs)
            for given, rad69, wado_rs in (
                (images, True, True),
                (images_rad69, True, False),
                (images_wado, False, True),
            )
            for text in given or ()
        ]
        options = AffinityOptions(
            state_dir=state_dir,
            repository_unique_id=repository_unique_id,
            home_community_id=home_community_id,
            image_locations=tuple(locations),
            snapshots=snapshots,
            patients=PatientRecords(patients) if patients else None,
        )
    except OSError as error:
        typer.echo(f"affinity: {patients}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    except ValueError as error:
        typer.echo(f"affinity: {error}", err=True)
        raise typer.Exit(ExitCode.WRONG_USE) from None
    try:
        asyncio.run(run(options, host, port))
    except OSError as error:
        typer.echo(f"affinity: {error.strerror or error}", err=True)
        raise typer.Exit(ExitCode.FAILED) from None


def main() -> None:
    """Entry point of the `gateway` command."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
