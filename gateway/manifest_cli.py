"""`gateway manifest show | convert`: manifests of imaging studies, as key object document or in FHIR.

Patient data is printed because whoever runs this asked for that file. Errors are one line and have none.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from gateway.cli_help import examples
from gateway.dicom.concepts import Dialect
from gateway.dicom.errors import DicomError
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import ViewerElement, encode_kos
from gateway.manifest_tree import Branch, manifest_tree, printable
from gateway.model.imaging import Finding, Manifest, ReadManifest, Severity

if TYPE_CHECKING:
    from gateway.fhir.formats import FhirFormat

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file that is read."""

app = typer.Typer(
    help="Show and convert manifests of imaging studies (DICOM KOS, FHIR).", no_args_is_help=True
)


class Format(StrEnum):
    """What a manifest is written as."""

    KOS = "kos"
    JSON = "json"
    XML = "xml"


_BY_SUFFIX: Final = {
    ".dcm": Format.KOS,
    ".dicom": Format.KOS,
    ".kos": Format.KOS,
    ".json": Format.JSON,
    ".xml": Format.XML,
}


class _UnusableError(Exception):
    """Ends the command with one line."""


@app.command(
    epilog=examples("gateway manifest show kos.dcm", "gateway manifest show manifest.json --instances --json")
)
def show(
    file: Annotated[Path, typer.Argument(help="Manifest: DICOM KOS, FHIR JSON or FHIR XML.")],
    instances: Annotated[bool, typer.Option("--instances", help="List each instance.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: manifest and findings.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 where a finding is more than a note.")
    ] = False,
) -> None:
    """Print the study that a manifest describes, and what of the file is not as it should be."""
    with _one_line_errors(file):
        read = _read(file)
    if as_json:
        typer.echo(_json(read))
    else:
        _print_tree(manifest_tree(read.manifest, instances=instances))
        _print_findings(read.findings)
    if strict and any(one.severity is not Severity.INFORMATION for one in read.findings):
        raise typer.Exit(1)


@app.command(
    epilog=examples(
        "gateway manifest convert kos.dcm manifest.json",
        "gateway manifest convert manifest.json kos.dcm --dialect ti",
    )
)
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Manifest: DICOM KOS, FHIR JSON or FHIR XML.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File to write: .dcm, .json or .xml.")],
    to: Annotated[Format | None, typer.Option(help="What to write, whatever the name of OUT.")] = None,
    dialect: Annotated[
        Dialect, typer.Option(help="Codes of a KOS: DICOM's, or those of MADO's trial implementation.")
    ] = Dialect.DCM,
    viewer: Annotated[
        ViewerElement | None,
        typer.Option(help="Where a KOS has the viewer's URL; by default what suits the dialect."),
    ] = None,
    *,
    accession_authority: Annotated[
        str | None,
        typer.Option(metavar="OID", help="Give a study without accession number one of this issuer."),
    ] = None,
) -> None:
    """Write a manifest in the other format, or a KOS in the other dialect; say what gets lost."""
    wanted = to or _BY_SUFFIX.get(target.suffix.lower())
    if wanted is None:
        typer.echo(f"manifest: {target}: name it .dcm, .json or .xml, or say --to", err=True)
        raise typer.Exit(2)
    with _one_line_errors(source):
        read = _read(source)
        manifest = _with_accession(read.manifest, accession_authority)
        content, losses = _written(manifest, source, wanted, dialect=dialect, viewer=viewer)
        _replace(source, target, content)
    _print_findings((*read.findings, *losses), to_stderr=True)
    study = read.manifest.study
    typer.echo(f"{target}: {len(study.series)} series, {study.instance_count} instances")


@contextmanager
def _one_line_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (DicomError, _UnusableError) as error:
        typer.echo(printable(f"manifest: {file}: {error}"), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"manifest: {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _read(file: Path) -> ReadManifest:
    """Read a file by what it begins with, whatever its name."""
    if file.stat().st_size > LARGEST:
        raise _UnusableError(f"larger than {LARGEST} bytes")
    data = file.read_bytes()
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return _read_fhir(data, Format.JSON)
    return _read_fhir(data, Format.XML) if start.startswith(b"<") else read_kos(data)


def _read_fhir(data: bytes, written: Format) -> ReadManifest:
    from gateway.fhir.manifest_read import NotAManifestError, read_manifest
    from gateway.fhir.terminology import Terminology

    try:
        return read_manifest(data, Terminology(), _wire_format(written))
    except NotAManifestError as error:
        raise _UnusableError(str(error)) from None


def _wire_format(wanted: Format) -> "FhirFormat":
    from gateway.fhir.formats import FhirFormat

    return FhirFormat.XML if wanted is Format.XML else FhirFormat.JSON


def _written(
    manifest: Manifest, source: Path, wanted: Format, *, dialect: Dialect, viewer: ViewerElement | None
) -> tuple[bytes, tuple[Finding, ...]]:
    """The manifest as file, and what the format cannot carry of it."""
    if wanted is Format.KOS:
        kos = encode_kos(manifest, dialect=dialect, viewer=viewer)
        return kos.content, kos.losses
    from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
    from gateway.fhir.manifest_losses import MANIFEST_FHIR_LOSSES
    from gateway.fhir.terminology import Terminology

    changed = datetime.fromtimestamp(source.stat().st_mtime, UTC)
    context = ManifestContext(Terminology(), assembled=changed)
    losses = tuple(
        Finding("lost-in-fhir", loss.element, loss.text, Severity.INFORMATION)
        for loss in MANIFEST_FHIR_LOSSES
        if loss.apply(manifest) != manifest
    )
    return manifest_bundle_bytes(manifest, context, _wire_format(wanted)), losses


def _with_accession(manifest: Manifest, authority: str | None) -> Manifest:
    from gateway.imaging.accessions import Accessions
    from gateway.model.oids import is_oid

    if authority is not None and not is_oid(authority):
        raise _UnusableError("--accession-authority takes an OID, for example 2.999.1")
    return Accessions(authority).completed(manifest)


def _replace(source: Path, target: Path, content: bytes) -> None:
    """Write the whole file or nothing, and never over what was read."""
    if target.exists() and target.samefile(source):
        raise _UnusableError("it cannot be written over itself")
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(content)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _json(read: ReadManifest) -> str:
    def known(value: object) -> object:
        if isinstance(value, dict):
            return {name: known(one) for name, one in value.items() if one not in (None, ())}
        return [known(one) for one in value] if isinstance(value, (list, tuple)) else value

    built = {"manifest": msgspec.to_builtins(read.manifest), "findings": msgspec.to_builtins(read.findings)}
    return msgspec.json.format(msgspec.json.encode(known(built))).decode()


def _print_tree(tree: Branch) -> None:
    """As a drawn tree on a terminal, as indented lines elsewhere."""
    if not sys.stdout.isatty():
        typer.echo("\n".join(tree.lines()))
        return
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def drawn(branch: Branch, under: Tree | None = None) -> Tree:
        text = Text(branch.text)
        node = Tree(text) if under is None else under.add(text)
        for one in branch.below:
            drawn(one, node)
        return node

    Console(highlight=False).print(drawn(tree), soft_wrap=True)


def _print_findings(findings: Iterable[Finding], *, to_stderr: bool = False) -> None:
    for one in findings:
        typer.echo(
            f"{one.severity}: {printable(one.place)}: {printable(one.text)} [{one.rule}]", err=to_stderr
        )
