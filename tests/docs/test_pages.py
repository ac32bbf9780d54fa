"""The documentation is built without a warning: each link leads somewhere, each page is in the index."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.fhir.supported import SUPPORTED
from gateway.settings import Settings
from tests.docs.blocks import ROOT, blocks

pytest.importorskip("mkdocs")

LEAST = {
    "registry": {"url": "https://registry.example"},
    "repositories": [{"unique_id": "2.999.10.1", "url": "https://repository.example"}],
    "home_community_id": "urn:oid:2.999.7.1",
}
SETTINGS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(blocks(f"docs/{page.name}", "yaml"))
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def test_every_setting_has_a_row(site: Path) -> None:
    page = (site / "settings.html").read_text("utf-8")
    for section, field in Settings.model_fields.items():
        assert f"<code>{section}" in page
        for name in getattr(field.annotation, "model_fields", ()):
            assert name in page, f"{section}.{name}"
    assert "GATEWAY_REGISTRY__URL" in page


def test_every_row_of_what_is_supported_is_in_the_conformance_statement(site: Path) -> None:
    page = (site / "conformance.html").read_text("utf-8")
    for transaction in {row.transaction for row in SUPPORTED}:
        assert transaction.replace("&", "&amp;") in page


def test_no_page_has_files_of_the_checkout_as_links(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert 'href="../gateway' not in page.read_text("utf-8"), page.name


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_that_a_page_shows_are_settings(block: str) -> None:
    Settings.model_validate(LEAST | yaml.safe_load(block))
