"""Makes and runs the peer of `java/interop`: JAX-WS RI, with classes that `wsimport` generates from our WSDLs.

Debian's package `jaxws` and a JDK are all that is needed. Generated and compiled classes are kept in a cache
folder under a hash of everything they are made of.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "java" / "interop"
WSDL = Path(__file__).parents[2] / "wsdl"
REPOSITORY = "2.999.10.1"
_HEAP = "-Xmx64m"
"""Close to a document of 50 MB, so that a peer that holds more than one copy of it in memory fails."""


class JavaMissingError(Exception):
    """A part of the Java tool chain is not on this machine; the text says which."""


@dataclass(frozen=True)
class JavaPeer:
    """The compiled peer."""

    java: str
    class_path: str

    def command(self, folder: Path, *arguments: str) -> list[str]:
        """The command line of one run; attachments that are too large for memory are spooled to `folder`."""
        options = [_HEAP, "-XX:+UseSerialGC", f"-Djava.io.tmpdir={folder}"]
        return [self.java, *options, "-cp", self.class_path, "interop.Main", *arguments]

    @contextmanager
    def serving(self, folder: Path) -> Iterator[str]:
        """Registry, repository, imaging source and responding gateways of the peer on a free port; gives the base URL."""
        with (folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(folder, "serve", str(folder / "store"), REPOSITORY),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        # leaving closes standard input, which ends the server, also when this process is killed
        with process:
            assert process.stdout is not None
            line = process.stdout.readline().split()
            assert line[:1] == ["ready"], (folder / "server.log").read_text()[-3000:]
            yield line[1]

    async def check(self, folder: Path, base_url: str, checks: str, run: str) -> "Report":
        """Run a set of the client's checks (`Checks.java`) against a domain; `run` names their patient."""
        process = await asyncio.create_subprocess_exec(
            *self.command(folder, "check", base_url, str(WSDL), REPOSITORY, checks, run),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        lines = output.decode().splitlines()
        report = Report(
            passed=[line.removeprefix("ok ") for line in lines if line.startswith("ok ")],
            failed=[line.removeprefix("FAILED ") for line in lines if line.startswith("FAILED ")],
        )
        assert process.returncode == (1 if report.failed else 0), errors.decode()[-3000:]
        return report

    async def ask_gateway(self, folder: Path, url: str, home: str, unique_id: str) -> list[str]:
        """Find a document by ITI-38 and retrieve it by ITI-39: its home, its document's home, and its SHA-1."""
        return (await self._ask(folder, "gateway", url, home, unique_id)).split()

    async def ask_for_images(self, folder: Path, url: str, home: str, *images: str) -> list[list[str]]:
        """Retrieve images `study/series/instance/location` by RAD-75: instance, home and SHA-1 of each, and
        `error`, code and location of each that does not come."""
        return [line.split() for line in (await self._ask(folder, "images", url, home, *images)).splitlines()]

    async def _ask(self, folder: Path, what: str, url: str, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *self.command(folder, what, url, str(WSDL), *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()[-3000:]
        return output.decode()


@dataclass(frozen=True)
class Report:
    """Names of the checks that passed, and names with reasons of those that failed."""

    passed: list[str]
    failed: list[str]


def java_peer(cache: Path) -> JavaPeer:
    """The peer for the WSDLs as they are now, compiled where `cache` lacks it.

    Raises JavaMissingError; one process at a time compiles.
    """
    tools = {name: tool(name) for name in ("java", "javac", "wsimport")}
    libraries = Path(tools["wsimport"]).resolve().parents[1] / "lib"
    if not any(libraries.glob("jaxws-rt*.jar")):
        raise JavaMissingError(f"wsimport is there, but not the JAX-WS runtime in {libraries}")
    library_path = str(libraries / "*")
    cache.mkdir(parents=True, exist_ok=True)
    classes = cache / _fingerprint(tools)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not classes.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _compile(tools, library_path, Path(scratch)).rename(classes)
    return JavaPeer(tools["java"], os.pathsep.join([str(classes), library_path]))


def tool(name: str) -> str:
    """Path of a program; raises JavaMissingError."""
    path = shutil.which(name)
    if path is None:
        raise JavaMissingError(f"{name} is not on the path (Debian: jaxws, default-jdk-headless, maven)")
    return path


def _fingerprint(tools: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for tool in tools.values():
        digest.update(f"{Path(tool).resolve()}\0".encode())
    for folder in (WSDL, SOURCES):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


def _compile(tools: dict[str, str], library_path: str, scratch: Path) -> Path:
    generated, classes = scratch / "generated", scratch / "classes"
    generated.mkdir()
    for name in (
        "registry.wsdl",
        "repository.wsdl",
        "imaging-source.wsdl",
        "responding-gateway.wsdl",
        "imaging-gateway.wsdl",
    ):
        _run([tools["wsimport"], "-extension", "-Xnocompile", "-d", str(generated), str(WSDL / name)])
    sources = [str(path) for folder in (generated, SOURCES) for path in sorted(folder.rglob("*.java"))]
    options = ["-nowarn", "-encoding", "UTF-8", "-cp", library_path, "-d", str(classes)]
    _run([tools["javac"], *options, *sources])
    return classes


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
