"""A message is valid under our schemas exactly when it is valid under those of OASIS and IHE.

With one exception, RemoveDocumentsRequest, which has as many documents as there are to remove: the published
schema is compared with that one figure corrected. Shown in three ways: on messages that others wrote, on thousands of generated and damaged messages, and
declaration by declaration. A last test shows that the comparison would notice a small difference.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from lxml import etree

from tests.wsdl.messages import MESSAGES, Damage, Writer
from tests.wsdl.schema_model import Schemas, normal_schemas

ROOT = Path(__file__).parents[2]
OURS = ROOT / "wsdl" / "xsd" / "all.xsd"
ORACLE = Path(os.environ.get("GATEWAY_ORACLE", ROOT.parent / "shared" / "oracle"))
PUBLISHED = ORACLE / "all.xsd"
ONE_DOCUMENT = '<xs:element ref="xds:DocumentRequest"/>'
SEVERAL_DOCUMENTS = '<xs:element ref="xds:DocumentRequest" maxOccurs="unbounded"/>'
published = pytest.mark.skipif(not PUBLISHED.exists(), reason="the published schemas are not here")

SOAP_BODY = "{http://www.w3.org/2003/05/soap-envelope}Body"
FILTER = "{urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0}Filter"
BATCH = 600


class Pair:
    """Two schemas: each as compiled by libxml2, and as a model to write messages from."""

    def __init__(self, first: Path, second: Path) -> None:
        self.models = (Schemas.load(first), Schemas.load(second))
        self._compiled = (etree.XMLSchema(file=str(first)), etree.XMLSchema(file=str(second)))

    def verdicts(self, message: etree._Element) -> tuple[bool, bool]:
        return self._compiled[0].validate(message), self._compiled[1].validate(message)

    def rule_broken(self, message: etree._Element) -> str:
        self._compiled[0].validate(message)
        return str(next(iter(self._compiled[0].error_log)).type_name)

    def cases(self, seed: int) -> Iterator[tuple[str, etree._Element]]:
        """A generated message, then the same one damaged; written from either of the two schemas."""
        random = Random(seed)
        model = random.choice(self.models)
        concrete = [name for name, element in model.elements.items() if not element.is_abstract]
        name = random.choice(MESSAGES) if random.random() < 0.8 else random.choice(concrete)
        message = Writer(model, random).message(name)
        yield "as generated", message
        damage = Damage(model, random)
        yield ", ".join(damage.once(message) for _ in range(random.choice((1, 1, 1, 2, 3)))), message


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("published")
    shutil.copytree(ORACLE / "xsd", folder / "xsd")
    text = (folder / "xsd" / "rmd.xsd").read_text(encoding="utf-8")
    assert text.count(ONE_DOCUMENT) == 1
    (folder / "xsd" / "rmd.xsd").write_text(text.replace(ONE_DOCUMENT, SEVERAL_DOCUMENTS), encoding="utf-8")
    return Pair(Path(shutil.copy(PUBLISHED, folder)), OURS)


def _told(seed: int, change: str, verdicts: tuple[bool, bool], message: etree._Element) -> str:
    return f"seed {seed} ({change}): published {verdicts[0]}, ours {verdicts[1]}: {etree.tostring(message)[:4000]!r}"


@published
@pytest.mark.parametrize("batch", range(10))
def test_generated_and_damaged_messages_get_the_same_verdict(pair: Pair, batch: int) -> None:
    seen: Counter[tuple[bool, bool]] = Counter()
    rules: Counter[str] = Counter()
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        for change, message in pair.cases(seed):
            verdicts = pair.verdicts(message)
            assert verdicts[0] == verdicts[1], _told(seed, change, verdicts, message)
            if change == "as generated":
                assert verdicts[0], f"seed {seed}: {pair.rule_broken(message)}"
                continue
            seen[verdicts] += 1
            if not verdicts[0]:
                rules[pair.rule_broken(message)] += 1
    share = seen[True, True] / BATCH
    assert 0.15 < share < 0.5, (
        f"{share:.0%} of the damaged messages are valid: too one-sided to tell anything"
    )
    assert len(rules) >= 10, f"only these rules were broken: {dict(rules)}"


@published
def test_every_element_of_the_schemas_takes_part(pair: Pair) -> None:
    names: set[str] = set()
    for seed in range(6 * BATCH):
        _, message = next(pair.cases(seed))
        names.update(str(element.tag) for element in message.iter(tag=etree.Element))
    assert set(pair.models[0].elements) - names == {FILTER}  # abstract, nothing stands for it


@published
def test_each_declaration_means_the_same(pair: Pair) -> None:
    theirs, ours = (normal_schemas(model) for model in pair.models)
    assert len(theirs) > 180
    assert sorted(ours) == sorted(theirs)
    assert {name: ours[name] for name in ours if ours[name] != theirs[name]} == {}


@published
def test_the_number_of_documents_to_remove_is_the_only_exception() -> None:
    theirs, ours = (normal_schemas(Schemas.load(path)) for path in (PUBLISHED, OURS))
    assert [name for name in ours if ours[name] != theirs[name]] == [
        name for name in ours if "RemoveDocumentsRequestType" in str(name)
    ]
    document = (
        '<DocumentRequest xmlns="urn:ihe:iti:xds-b:2007"><RepositoryUniqueId>2.999.1</RepositoryUniqueId>'
        "<DocumentUniqueId>2.999.2</DocumentUniqueId></DocumentRequest>"
    )
    both = Pair(PUBLISHED, OURS)
    for count, verdicts in ((0, (False, False)), (1, (True, True)), (2, (False, True)), (500, (False, True))):
        message = etree.fromstring(
            f'<RemoveDocumentsRequest xmlns="urn:ihe:iti:rmd:2017">{document * count}</RemoveDocumentsRequest>'
        )
        assert both.verdicts(message) == verdicts


@published
@pytest.mark.parametrize("name", sorted(path.name for path in (ORACLE / "messages").glob("*.xml")))
def test_messages_of_others_get_the_same_verdict(pair: Pair, name: str) -> None:
    message = _body(etree.parse(ORACLE / "messages" / name).getroot())
    verdicts = pair.verdicts(message)
    assert verdicts[0] == verdicts[1]
    assert verdicts[0] == (name != "pnr-element-order.xml")


@published
@pytest.mark.parametrize("name", sorted(path.name for path in (ORACLE / "messages").glob("*.xml")))
def test_damaged_messages_of_others_get_the_same_verdict(pair: Pair, name: str) -> None:
    original = _body(etree.parse(ORACLE / "messages" / name).getroot())
    for seed in range(40):
        message = etree.fromstring(etree.tostring(original))
        change = Damage(pair.models[0], Random(seed)).once(message)
        verdicts = pair.verdicts(message)
        assert verdicts[0] == verdicts[1], _told(seed, change, verdicts, message)


def _body(root: etree._Element) -> etree._Element:
    body = next(root.iter(SOAP_BODY), None)
    return root if body is None else body[0]


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("rim.xsd", '<xs:element ref="Federation"/>', ""),
        ("rim.xsd", '<xs:maxLength value="256"/>', '<xs:maxLength value="255"/>'),
        ("rim.xsd", '<xs:maxLength value="64"/>', '<xs:maxLength value="65"/>'),
        ("rim.xsd", '<xs:element ref="Classification" minOccurs="0" maxOccurs="unbounded"/>', '<xs:element ref="Classification" minOccurs="0"/>'),
        ("rim.xsd", '<xs:element ref="Description" minOccurs="0"/>', ""),
        ("rim.xsd", '<xs:extension base="PersonType"/>', '<xs:extension base="RegistryObjectType"/>'),
        ("rim.xsd", '<xs:any namespace="##other" processContents="lax"', '<xs:any namespace="##any" processContents="skip"'),
        ("rs.xsd", '<xs:attribute name="status" type="rim:referenceURI" use="required"/>', '<xs:attribute name="status" type="rim:referenceURI"/>'),
        ("query.xsd", '<xs:enumeration value="LeafClassWithRepositoryItem"/>', ""),
        ("xds.xsd", '<xs:element name="mimeType" type="rim:LongName"/>', '<xs:element name="mimeType" type="rim:LongName" minOccurs="0"/>'),
    ],
)  # fmt: skip
def test_a_small_difference_would_be_noticed(file: str, before: str, after: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OURS.parent, tmp_path / "xsd"))
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    changed = Pair(OURS, folder / OURS.name)
    verdicts = (changed.verdicts(message) for seed in range(10 * BATCH) for _, message in changed.cases(seed))
    assert any(first != second for first, second in verdicts)
