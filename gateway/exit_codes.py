"""Exit codes of the command line."""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """What a command says to who runs it from a script."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOTHING_KNOWN = 3
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.DONE: "done, and found to be well",
    ExitCode.FAILED: "something failed: a peer, a check, a document that is not there",
    ExitCode.WRONG_USE: "the command or the settings are wrong; nothing was done",
    ExitCode.NOTHING_KNOWN: "`trace`: nothing is known of the id",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
}


def exit_code_table_markdown() -> str:
    """The table of the documentation."""
    rows = (f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return "| code | meaning |\n|---|---|\n" + "".join(rows)
