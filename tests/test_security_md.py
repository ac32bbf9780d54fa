"""What SECURITY.md says is defended is where it says."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text()
REFERENCES = re.findall(r"`(gateway/[\w/]+\.py)(?::(\w+))?`", TEXT)


def names_of(path: Path) -> set[str]:
    """Functions and classes of a module."""
    tree = ast.parse(path.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


def test_every_place_exists():
    assert len(REFERENCES) > 30
    missing = [name for name, _ in REFERENCES if not (ROOT / name).is_file()]
    assert missing == []
    unknown = [
        f"{name}:{symbol}" for name, symbol in REFERENCES if symbol and symbol not in names_of(ROOT / name)
    ]
    assert unknown == []


def test_every_threat_has_a_place():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    assert len(rows) > 20
    assert [row for row in rows if "`gateway/" not in row] == []


def test_every_defence_is_shown_by_tests_that_exist():
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat")]
    shown = [re.findall(r"`(tests/[\w/]+\.py)`", row) for row in rows]
    assert all(shown), [row for row, files in zip(rows, shown, strict=True) if not files]
    missing = {name for files in shown for name in files if not (ROOT / name).is_file()}
    assert missing == set()
    without = {name for files in shown for name in files if "def test_" not in (ROOT / name).read_text()}
    assert without == set()


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target
