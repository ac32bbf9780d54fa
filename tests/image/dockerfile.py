"""Reads the Dockerfile and runs the steps of a stage in a folder, as an engine would in its own file system."""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Stage:
    """One `FROM` and what follows it: (instruction, arguments)."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        return [arguments for name, arguments in self.steps if name == instruction]

    def environment(self) -> dict[str, str]:
        pairs = (word.split("=", 1) for text in self.arguments("ENV") for word in shlex.split(text))
        return dict(pairs)

    def command(self, instruction: str) -> list[str]:
        """The last ENTRYPOINT, CMD or HEALTHCHECK in exec form."""
        text = self.arguments(instruction)[-1]
        return json.loads(text[text.index("[") :])


def read_stages() -> list[Stage]:
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if not line.strip():
            continue
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            stages.append(Stage(base, name))
        elif stages:
            stages[-1].steps.append((instruction, arguments))
    return stages


def context(into: Path) -> None:
    """What .dockerignore lets through to the engine, out of what git would commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rules = [r for r in (ROOT / ".dockerignore").read_text().splitlines() if r and not r.startswith("#")]
    for name in filter(None, listed.stdout.split("\0")):
        if _is_let_through(name, rules) and (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, into / name)


def _is_let_through(name: str, rules: list[str]) -> bool:
    through = True
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        if fnmatch(name, pattern) or name.startswith(pattern + "/") or fnmatch(Path(name).name, pattern):
            through = rule.startswith("!")
    return through


class Builder:
    """Runs COPY and RUN of one stage with `/src` and `/opt` below a folder."""

    def __init__(self, folder: Path, sent: Path, python: str) -> None:
        self._folder = folder
        self._sent = sent
        self._python = python

    def place(self, path: str) -> str:
        """Where a path of the image is here."""
        return re.sub(r"(?<![\w/])/(opt|src)\b", rf"{self._folder}/\1", path)

    def run(self, stage: Stage) -> None:
        (self._folder / "opt").mkdir(parents=True)
        where = self._folder
        for instruction, arguments in stage.steps:
            if instruction == "WORKDIR":
                where = Path(self.place(arguments))
                where.mkdir(parents=True, exist_ok=True)
            elif instruction == "COPY":
                *sources, target = arguments.split()
                self._copy(sources, where / target)
            elif instruction == "RUN":
                self._run(arguments, where)

    def _copy(self, sources: list[str], target: Path) -> None:
        for source in sources:
            found = self._sent / source
            if found.is_dir():
                shutil.copytree(found, target, dirs_exist_ok=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, target / found.name)

    def _run(self, command: str, where: Path) -> None:
        command = re.sub(r"^python ", f"{shlex.quote(self._python)} ", self.place(command))
        clean = {n: v for n, v in os.environ.items() if not n.startswith(("GATEWAY_", "VIRTUAL_ENV"))}
        done = subprocess.run(
            ["/bin/sh", "-ec", command], cwd=where, capture_output=True, text=True, check=False, env=clean
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
