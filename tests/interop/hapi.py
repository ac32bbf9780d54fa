"""HAPI FHIR's instance validator (`java/validator`) as a process, with the profiles of one release of FHIR.

Maven fetches the libraries that `pom.xml` names. They and the compiled class are kept in a cache folder under
a hash of what they are made of; the process reads resources as long as the tests run.
"""

import fcntl
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from .java_peer import JavaMissingError, tool

SOURCES = Path(__file__).parent / "java" / "validator"
PROFILES = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
_OPTIONS = ("-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_FETCH_SECONDS = 240


@dataclass(frozen=True)
class Validator:
    """The running validator."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def errors(self, resource: dict[str, Any] | bytes | str, *profiles: str) -> list[str]:
        """Findings of severity error as `location: message`; empty for a valid resource.

        `resource` is JSON values, or JSON or XML as text. `profiles` are kept beside those that it claims.
        """
        text = orjson.dumps(resource) if isinstance(resource, dict) else resource
        decoded = text.decode() if isinstance(text, bytes) else text
        sent, received = self._pipes()
        sent.write(orjson.dumps({"text": decoded, "profiles": profiles}) + b"\n")
        sent.flush()
        line = received.readline()
        assert line, f"the validator ended:\n{self.log.read_text()[-3000:]}"
        return [
            f"{finding['location']}: {finding['message']}"
            for finding in orjson.loads(line)
            if finding["severity"] in ("error", "fatal")
        ]

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self.process.stdin is not None and self.process.stdout is not None
        return self.process.stdin, self.process.stdout


@contextmanager
def validating(cache: Path, log: Path, release: str = "R4") -> Iterator[Validator]:
    """Start the validator of a release, `R4` or `R5`, made where `cache` lacks it.

    Raises JavaMissingError where the profiles, the tools or the libraries cannot be had.
    """
    profiles = PROFILES / release.lower()
    if not profiles.is_dir():
        raise JavaMissingError("the profiles to validate against are not here")
    made = _made(cache)
    class_path = os.pathsep.join([str(made / "classes"), str(made / "lib" / "*")])
    command = [tool("java"), *_OPTIONS, "-cp", class_path, "validator.Validate", str(profiles), release]
    with (
        log.open("ab") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,  # leaving closes standard input, which ends it
    ):
        yield Validator(process, log)


def _made(cache: Path) -> Path:
    """Folder with `lib` and `classes`; one process at a time makes it."""
    tools = [tool(name) for name in ("java", "javac", "mvn")]
    digest = hashlib.sha256("\0".join(str(Path(t).resolve()) for t in tools).encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    made = cache / digest.hexdigest()[:24]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                folder = Path(scratch) / "made"
                _fetch(tools[2], folder / "lib")
                _compile(tools[1], folder)
                folder.rename(made)
    return made


def _fetch(maven: str, libraries: Path) -> None:
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={libraries}"]
    try:
        done = _run([maven, "-q", "-B", "-f", str(SOURCES / "pom.xml"), *goal])
    except subprocess.TimeoutExpired:
        raise JavaMissingError(f"Maven did not fetch the validator within {_FETCH_SECONDS} s") from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        raise JavaMissingError(f"Maven cannot fetch the validator: {' '.join(lines[:1])[:300]}")


def _compile(compiler: str, folder: Path) -> None:
    options = ["-nowarn", "-encoding", "UTF-8", "-cp", str(folder / "lib" / "*")]
    done = _run([compiler, *options, "-d", str(folder / "classes"), *map(str, SOURCES.glob("*.java"))])
    assert done.returncode == 0, f"javac failed:\n{done.stdout[-3000:]}"


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_FETCH_SECONDS,
        check=False,
    )


SEVERAL_MODALITIES = r"DocumentReference\.extension:modality: max allowed = 1"
"""A manifest of several modalities repeats the extension, as R5 allows; the profiles of R4 have room for one."""


def complaints(errors: Sequence[str], *allowed: str) -> list[str]:
    """The errors that none of the patterns allows."""
    return [error for error in errors if not any(re.search(pattern, error) for pattern in allowed)]
