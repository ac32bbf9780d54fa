"""What `gateway doctor` finds: a line for each check as it comes, or one JSON document at the end."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

Echo = Callable[[str], None]


class Form(StrEnum):
    """How the report is written."""

    LINES = "lines"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `text` says what was seen, or what is wrong and where to set it."""

    check: str
    well: bool
    text: str


class Findings:
    """The checks of one examination, in order."""

    def __init__(self, echo: Echo, form: Form = Form.LINES) -> None:
        self._echo = echo
        self._form = form
        self._checks: list[Check] = []

    @property
    def failed(self) -> bool:
        """Whether anything is not well."""
        return not all(check.well for check in self._checks)

    def ok(self, what: str, text: str) -> None:
        """This is as it should be."""
        self._add(Check(what, True, text))

    def bad(self, what: str, text: str) -> None:
        """This is not."""
        self._add(Check(what, False, text))

    def end(self) -> int:
        """Write what is written at the end; 0 when all are well, else 1."""
        if self._form is Form.JSON:
            report = {"well": not self.failed, "checks": [asdict(check) for check in self._checks]}
            self._echo(json.dumps(report, indent=2, ensure_ascii=False))
        return 1 if self.failed else 0

    def _add(self, check: Check) -> None:
        self._checks.append(check)
        if self._form is Form.LINES:
            self._echo(f"{'ok   ' if check.well else 'FAIL '} {check.check}: {check.text}")
