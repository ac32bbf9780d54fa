"""Reads and sends the requests of a `.http` file as editors with a REST client do."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = re.compile(r"\{\{([^}]+)\}\}")
STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")


@dataclass
class HttpRequest:
    """One request as it stands, with its variables."""

    title: str
    name: str = ""
    method: str = ""
    url: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


def read(path: Path) -> tuple[dict[str, str], list[HttpRequest]]:
    """Variables and requests of a file."""
    first, *others = re.split(r"^###", path.read_text("utf-8"), flags=re.MULTILINE)
    variables = dict(re.findall(r"^@(\w+) = (.+)$", first, flags=re.MULTILINE))
    return variables, [_request(other) for other in others]


def _request(text: str) -> HttpRequest:
    title, _, rest = text.partition("\n")
    head, _, body = rest.partition("\n\n")
    request = HttpRequest(title.strip(), body=body.strip())
    for line in head.splitlines():
        if line.startswith("# @name "):
            request.name = line.removeprefix("# @name ").strip()
        elif not request.method:
            request.method, _, request.url = line.partition(" ")
        else:
            name, _, value = line.partition(": ")
            request.headers[name] = value
    return request


def filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with values for its variables: names, and `name.response.body.$.path` of an earlier answer."""

    def value(match: re.Match[str]) -> str:
        name, found, path = match[1].strip().partition(".response.body.$")
        result = values[name]
        for step in _steps(path) if found else ():
            result = result[step]
        return str(result)

    return VARIABLE.sub(value, text)


def _steps(path: str) -> Iterator[str | int]:
    for key, number in STEP.findall(path):
        yield int(number) if number else key
