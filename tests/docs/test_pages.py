"""The documentation is built without a warning: each link leads somewhere, each page is in the index."""

import re
import subprocess
import sys
from html import escape
from pathlib import Path

import pytest
import yaml

from docs.conformance import RULES, actor_of, by_actor
from docs.mapping_tables import mapping_page
from docs.metrics_table import declared
from gateway.fhir.supported import SUPPORTED
from gateway.model.metadata import DocumentEntry, Folder, SubmissionSet
from gateway.settings import Settings
from tests.docs.blocks import ROOT, blocks

pytest.importorskip("mkdocs")

WELL_KNOWN = {
    "Document Recipient (MHD)",
    "Document Responder (MHD)",
    "Initiating Gateway (XCA)",
    "Responding Gateway (XCA)",
    "Document Consumer (XDS.b)",
    "Document Source (XDS.b)",
}

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


def test_every_row_of_what_is_supported_has_an_actor() -> None:
    assert [row for row in SUPPORTED if actor_of(row) is None] == []
    stated = [row for _, rows in by_actor() for row in rows]
    assert sorted(map(str, stated)) == sorted(map(str, SUPPORTED)), "each once"
    assert all(
        any(actor_of(row) == rule.actor for row in SUPPORTED) for rule in RULES if rule.actor in WELL_KNOWN
    )


def test_the_conformance_statement_goes_by_actor(site: Path) -> None:
    page = (site / "conformance.html").read_text("utf-8")
    for actor, rows in by_actor():
        _, _, section = page.partition(f">{escape(actor)}<a")
        assert section, actor
        for row in rows:
            assert escape(row.note, quote=False) in section.partition("<h2")[0], row


def test_the_tables_of_the_mapping_have_each_attribute_and_what_the_standards_say() -> None:
    page = mapping_page()
    tables = dict(zip(*[iter(re.split(r"^###? (.*)$", page, flags=re.MULTILINE)[1:])] * 2, strict=True))
    document = tables["DocumentEntry, rim:ExtrinsicObject and DocumentReference"]
    for name in DocumentEntry.__struct_fields__:
        assert (f"| `{name}` |" in document) != (name in {"has_translation", "made_of", "extra"}), name
    for row in (
        "| `class_code` | `Classification classCode` | `category` |",
        "| `unique_id` | `ExternalIdentifier XDSDocumentEntry.uniqueId` | `masterIdentifier`",
        "| `uri` | `Slot URI` | - |",
        "| `practice_setting` | `Classification practiceSettingCode` | `context.practiceSetting` |",
    ):
        assert row in document
    for kind, known in ((SubmissionSet, "SubmissionSet, "), (Folder, "Folder, ")):
        [table] = [text for title, text in tables.items() if title.startswith(known)]
        assert all(f"| `{name}` |" in table for name in kind.__struct_fields__ if name != "extra")
    assert (
        "| `uid` | `CurrentRequestedProcedureEvidenceSequence.ReferencedSeriesSequence.RetrieveLocationUID` |"
        in (tables["Location"])
    )
    assert "`ImagingStudy.started`" in tables["Study"]
    unmapped = [line for line in page.splitlines() if line.startswith("| `") and line.endswith("| - | - |")]
    assert len(unmapped) == 1, "the title of a key object document, which is always that of a manifest"


def test_every_metric_has_a_row(site: Path) -> None:
    page = (site / "metrics.html").read_text("utf-8")
    assert len(declared()) > 20
    for each in declared():
        assert f"<code>{each.name}</code>" in page
    asked = set(re.findall(r"gateway_[a-z_]+", page))
    known = {each.name for each in declared()} | {
        f"{each.name}_bucket" for each in declared() if each.kind == "histogram"
    }
    assert asked <= known


LINK = re.compile(r"\]\(([^)\s]+)\)")


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in found}


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda p: p.name)
def test_links_lead_to_files_of_the_checkout_and_their_headings(page: Path) -> None:
    made = {"settings.md", "conformance.md", "metrics.md", "mapping-tables.md"}
    for link in LINK.findall(page.read_text("utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in target or target in made:
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), link
        if anchor:
            assert anchor in headings(file), link


def test_no_page_has_files_of_the_checkout_as_links(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert 'href="../gateway' not in page.read_text("utf-8"), page.name


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_that_a_page_shows_are_settings(block: str) -> None:
    Settings.model_validate(LEAST | yaml.safe_load(block))
