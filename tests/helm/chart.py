"""Renders the chart with Helm and reads what comes out."""

import copy
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "mhd-xds-gateway"

KUBERNETES = "1.31.0"
"""Of the cluster that Helm is told of: a Helm without one asks for that with which it was built."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    helm: str
    folder: Path

    def run(self, command: str, values: Values, *more: str) -> subprocess.CompletedProcess[str]:
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        place = ["gw", str(CHART)] if command == "template" else [str(CHART)]
        return subprocess.run(
            [self.helm, command, *place, "-f", str(file), "--kube-version", KUBERNETES, *more],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def render(self, values: Values) -> list[dict[str, Any]]:
        done = self.run("template", values)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]

    def refusal(self, values: Values) -> str:
        done = self.run("template", values)
        assert done.returncode != 0, "it should be refused"
        return done.stderr


def one(resources: list[dict[str, Any]], kind: str, suffix: str = "") -> dict[str, Any]:
    """The only resource of a kind whose name ends so."""
    [found] = [
        r for r in resources if r["kind"] == kind and r["metadata"]["name"] == "gw-mhd-xds-gateway" + suffix
    ]
    return found


def kinds(resources: list[dict[str, Any]]) -> set[str]:
    return {r["kind"] for r in resources}


def container(resources: list[dict[str, Any]]) -> dict[str, Any]:
    return one(resources, "Deployment")["spec"]["template"]["spec"]["containers"][0]


def with_values(base: Values, **changes: Any) -> Values:
    """A copy with values at dotted paths, `__` for the dots."""
    values = copy.deepcopy(base)
    for path, value in changes.items():
        place = values
        *steps, last = path.split("__")
        for step in steps:
            place = place.setdefault(step, {})
        place[last] = value
    return values
