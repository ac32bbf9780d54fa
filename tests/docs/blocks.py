"""Blocks of commands and settings in Markdown pages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str = "sh") -> list[str]:
    """What stands in the blocks of a page that are of a language, in order."""
    block = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return block.findall((ROOT / page).read_text("utf-8"))
