"""Pages of the documentation that are made from the code while it is built: settings, and those of the other
modules beside this one.

A hook of MkDocs. Links out of `docs/` into the checkout are turned into plain text, since the pages are read
where the checkout is not.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs.conformance import conformance_page
from docs.mapping_tables import mapping_page
from docs.metrics_table import metrics_page
from gateway.settings import Settings

HOW_TO_SET = """\
Each key can be set in the YAML file, in the environment (`GATEWAY_` and the key, with `__` for each dot:
`registry.url` is `GATEWAY_REGISTRY__URL`; lists and mappings as JSON), or as a file in the directory that
`GATEWAY_SECRETS_DIR` names. The environment comes first, then the directory, then the file. In keys, `[]`
stands for each item of a list. A key without default has to be set where its section is."""

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file holds."""
    files.append(File.generated(config, "settings.md", content=settings_page()))
    files.append(File.generated(config, "conformance.md", content=conformance_page()))
    files.append(File.generated(config, "mapping-tables.md", content=mapping_page()))
    files.append(File.generated(config, "metrics.md", content=metrics_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page without links that lead out of the documentation."""
    return OUTSIDE.sub(lambda link: link[1] if "`" in link[1] else f"`{link[2]}`", markdown)


def settings_page() -> str:
    """Every key of the tree with type, default and meaning: a table for each section."""
    parts = ["# Settings", HOW_TO_SET]
    for key, model in sections("", Settings):
        parts.append(f"## {f'`{key}`' if key else 'Top level'}")
        about = inspect.getdoc(model)
        if about and key:
            parts.append(about)
        rows = list(_rows(model))
        if rows:
            parts.append("| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def sections(key: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each section below one, itself first: its key and its type."""
    yield key, model
    for name, field in model.model_fields.items():
        inner, several = _section_of(field.annotation)
        if inner is not None:
            yield from sections(f"{key}.{name}".lstrip(".") + several, inner)


def _section_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    several = "[]" if getattr(annotation, "__origin__", None) in {tuple, list} else ""
    for part in get_args(annotation):
        inner, deeper = _section_of(part)
        if inner is not None:
            return inner, several + deeper
    return None, ""


def _rows(model: type[BaseModel]) -> Iterator[str]:
    said = docstrings(model)
    types = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        if _section_of(field.annotation)[0] is not None and not said.get(name):
            continue
        default = "" if field.is_required() else _default(field.get_default(call_default_factory=True))
        meaning = " ".join(said.get(name, "").split()).replace("|", "\\|")
        yield f"| `{name}` | {_type(types[name])} | {default} | {meaning} |"


def _default(value: Any) -> str:
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    if value is None or value in ((), {}, ""):
        return "-"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`" + ", ".join(map(str, value)) + "`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        kinds = [_type(each) for each in schema["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "$ref" in schema or "allOf" in schema:
        return "section"
    kinds = {"integer": "number", "object": "mapping", "string": "text", "boolean": "`true`, `false`"}
    return kinds.get(schema.get("type", ""), schema.get("type", "any"))


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What the code says below each key, of the class and those that it extends."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or not each.__module__.startswith("gateway."):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, after in zip(body.body, body.body[1:], strict=False):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                found[field.target.id] = str(after.value.value)  # type: ignore[attr-defined]
    return found
