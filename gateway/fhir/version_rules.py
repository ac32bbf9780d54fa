"""The kinds of difference between FHIR R4 and R5, each carried out in both directions.

A rule reads what it claims of one object and writes it into the object of the other release; what no rule of
a type claims is the same in both. What has no place in the other release is left out and reported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from gateway.fhir.datatypes import Json
from gateway.model import codes

Lost = Callable[[str], None]
"""Told the element that is left out, by its path in the type."""


class Rule(Protocol):
    """One difference. `r4` and `r5` are the properties that it claims of either release."""

    @property
    def r4(self) -> tuple[str, ...]: ...
    @property
    def r5(self) -> tuple[str, ...]: ...
    def up(self, given: Json, made: Json, lost: Lost) -> None: ...
    def down(self, given: Json, made: Json, lost: Lost) -> None: ...


def same(value: Any, _: Lost) -> Any:
    """A value that is alike in both releases."""
    return value


@dataclass(frozen=True, slots=True)
class Shape:
    """How the value of an element differs; a function that returns None leaves the element out."""

    up: Callable[[Any, Lost], Any] = same
    down: Callable[[Any, Lost], Any] = same


SAME = Shape()


def _first(items: Sequence[Any], lost: Lost) -> Any:
    if len(items) > 1:
        lost("all but the first")
    return items[0] if items else None


def _coding_of(concept: Json, lost: Lost) -> Json | None:
    """The one coding that R4 has: of DICOM, else the first."""
    codings: Sequence[Json] = concept.get("coding") or ()
    if len(codings) > 1 or concept.get("text"):
        lost("text and further codings")
    of_dicom = (coding for coding in codings if coding.get("system") == codes.DICOM_CODE_SYSTEM)
    return next(of_dicom, codings[0] if codings else None)


def _concept_of(reference: Json, lost: Lost) -> Json | None:
    if "reference" in reference:
        lost("reference")
    concept: Json | None = reference.get("concept")
    return concept


def _reference_of(reference: Json, lost: Lost) -> Json | None:
    if "concept" in reference:
        lost("concept")
    found: Json | None = reference.get("reference")
    return found


def _each(one: Callable[[Any, Lost], Any]) -> Callable[[Any, Lost], Any]:
    def of_list(items: Iterable[Any], lost: Lost) -> Any:
        return [made for made in (one(item, lost) for item in items) if made is not None] or None

    return of_list


def each(shape: Shape) -> Shape:
    """The same of every item of a list."""
    return Shape(_each(shape.up), _each(shape.down))


def chain(first: Shape, second: Shape) -> Shape:
    """One difference after the other."""

    def down(value: Any, lost: Lost) -> Any:
        between = second.down(value, lost)
        return None if between is None else first.down(between, lost)

    return Shape(lambda value, lost: second.up(first.up(value, lost), lost), down)


LIST = Shape(lambda value, _: [value], _first)
"""One in R4, any number in R5."""
CODING_CONCEPT = Shape(lambda coding, _: {"coding": [coding]}, _coding_of)
"""Coding in R4, CodeableConcept in R5."""
CONCEPT = Shape(lambda concept, _: {"concept": concept}, _concept_of)
"""CodeableConcept in R4, CodeableReference in R5."""
REFERENCE = Shape(lambda reference, _: {"reference": reference}, _reference_of)
"""Reference in R4, CodeableReference in R5."""


def coded(system: str) -> Shape:
    """A code in R4 that is a CodeableConcept of `system` in R5."""

    def down(concept: Json, lost: Lost) -> Any:
        codings = concept.get("coding") or ()
        found = next((c.get("code") for c in codings if c.get("system") == system), None)
        if found is None:
            lost("a code of another system")
        return found

    return Shape(lambda code, _: {"coding": [{"system": system, "code": code}]}, down)


def renamed_elements(names: dict[str, str]) -> Shape:
    """A backbone element of which some elements have other names in R5; others are alike."""
    back = {new: old for old, new in names.items()}

    def rename(item: Any, table: dict[str, str]) -> Any:
        return {table.get(name, name): value for name, value in item.items()}

    return Shape(
        up=lambda items, _: [rename(item, names) for item in items],
        down=lambda items, _: [rename(item, back) for item in items],
    )


def inside(name: str) -> Shape:
    """One in R4 that in R5 is the element `name` of a backbone element."""

    def down(items: Iterable[Json], lost: Lost) -> Any:
        found = [item[name] for item in items if name in item]
        if any(item.keys() - {name} for item in items):
            lost(f"what is beside {name}")
        return found or None

    return Shape(up=lambda items, _: [{name: item} for item in items], down=down)


@dataclass(frozen=True, slots=True)
class Moved:
    """An element under another name or of another shape."""

    old: str
    new: str
    shape: Shape = SAME

    @property
    def r4(self) -> tuple[str, ...]:
        """Properties of R4."""
        return (self.old,)

    @property
    def r5(self) -> tuple[str, ...]:
        """Properties of R5."""
        return (self.new,)

    def up(self, given: Json, made: Json, lost: Lost) -> None:
        """R4 to R5."""
        self._move(given, made, self.shape.up, lost, names=(self.old, self.new))

    def down(self, given: Json, made: Json, lost: Lost) -> None:
        """R5 to R4."""
        self._move(given, made, self.shape.down, lost, names=(self.new, self.old))

    @staticmethod
    def _move(
        given: Json, made: Json, shape: Callable[[Any, Lost], Any], lost: Lost, *, names: tuple[str, str]
    ) -> None:
        source, target = names
        value = given.get(source)
        if value is None:
            return
        shaped = shape(value, lambda part: lost(f"{source} ({part})"))
        if shaped is not None:
            made[target] = shaped


def find(given: Any, path: str) -> Any:
    """What is at a path of properties; None where nothing is."""
    for name in path.split("."):
        if not isinstance(given, dict):
            return None
        given = given.get(name)
    return given


@dataclass(frozen=True, slots=True)
class Split:
    """Two elements of R4, of concepts and of references, that are one of CodeableReferences in R5."""

    concepts: str
    references: str
    new: str

    @property
    def r4(self) -> tuple[str, ...]:
        """Properties of R4."""
        return self.concepts, self.references

    @property
    def r5(self) -> tuple[str, ...]:
        """Properties of R5."""
        return (self.new,)

    def up(self, given: Json, made: Json, lost: Lost) -> None:
        """R4 to R5."""
        both = [{"concept": concept} for concept in given.get(self.concepts) or ()]
        both += [{"reference": reference} for reference in given.get(self.references) or ()]
        if both:
            made[self.new] = both

    def down(self, given: Json, made: Json, lost: Lost) -> None:
        """R5 to R4; which concept went with which reference is lost."""
        for item in given.get(self.new) or ():
            if "concept" in item and "reference" in item:
                lost(f"{self.new} (which concept and reference belong together)")
        for name, part in ((self.concepts, "concept"), (self.references, "reference")):
            found = [item[part] for item in given.get(self.new) or () if part in item]
            if found:
                made[name] = found


REASONS: Final = Split("reasonCode", "reasonReference", "reason")
"""As most types have them."""


@dataclass(frozen=True, slots=True)
class Native:
    """An element that R4 has as extension. `urls` are those that are read, the first is written.

    `value` is the property of the extension (`valueString`), or where R5 has a CodeableReference `concept`,
    which is an extension inside.
    """

    urls: tuple[str, ...]
    new: str
    value: str
    repeats: bool = False
    r4: tuple[str, ...] = ()

    @property
    def r5(self) -> tuple[str, ...]:
        """Properties of R5."""
        return (self.new,)

    def up(self, given: Json, made: Json, lost: Lost) -> None:
        """R4 to R5."""
        found = [self._read(item) for item in given.get("extension") or () if item.get("url") in self.urls]
        values = [value for value in found if value is not None]
        if values:
            made[self.new] = values if self.repeats else values[0]

    def _read(self, extension: Json) -> Any:
        if self.value != "concept":
            return extension.get(self.value)
        inner = next((e for e in extension.get("extension") or () if e.get("url") == "concept"), None)
        return None if inner is None else {"concept": inner.get("valueCodeableConcept")}

    def down(self, given: Json, made: Json, lost: Lost) -> None:
        """R5 to R4."""
        value = given.get(self.new)
        for item in () if value is None else value if self.repeats else (value,):
            written = self._write(item, lost)
            if written is not None:
                made["extension"] = [*made.get("extension", ()), written]

    def _write(self, value: Any, lost: Lost) -> Json | None:
        if self.value != "concept":
            return {"url": self.urls[0], self.value: value}
        concept = _concept_of(value, lambda part: lost(f"{self.new}.{part}"))
        if concept is None:
            return None
        return {
            "url": self.urls[0],
            "extension": [{"url": "concept", "valueCodeableConcept": concept}],
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """An element that R5 has as an extension `url`, whose property is `value` (`valueReference`)."""

    old: str
    url: str
    value: str
    repeats: bool = False
    r5: tuple[str, ...] = ()

    @property
    def r4(self) -> tuple[str, ...]:
        """Properties of R4."""
        return (self.old,)

    def up(self, given: Json, made: Json, lost: Lost) -> None:
        """R4 to R5."""
        value = given.get(self.old)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if values:
            written = [{"url": self.url, self.value: item} for item in values]
            made["extension"] = [*made.get("extension", ()), *written]

    def down(self, given: Json, made: Json, lost: Lost) -> None:
        """R5 to R4."""
        listed = [item for item in given.get("extension") or () if item.get("url") == self.url]
        found = [item[self.value] for item in listed if self.value in item]
        if found:
            made[self.old] = found if self.repeats else found[0]


@dataclass(frozen=True, slots=True)
class Gone:
    """Elements that only one of the releases has, and that are left out in the other."""

    r4: tuple[str, ...] = ()
    r5: tuple[str, ...] = ()

    def up(self, given: Json, made: Json, lost: Lost) -> None:
        """R4 to R5."""
        for name in self.r4:
            if name in given:
                lost(name)

    def down(self, given: Json, made: Json, lost: Lost) -> None:
        """R5 to R4."""
        for name in self.r5:
            if name in given:
                lost(name)


Step = Callable[[Json, Json, Lost], None]


@dataclass(frozen=True, slots=True)
class Own:
    """A difference that is of one element alone."""

    r4: tuple[str, ...]
    r5: tuple[str, ...]
    up: Step
    down: Step


class Differences:
    """What differs in a type: its rules, and the types of the elements below that differ.

    `r4_extensions` and `r5_extensions` are URLs of extensions that are elements in the other release and that
    the rules read; those of `Native` rules need not be named.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...] = (),
        inside: Mapping[str, str] = MappingProxyType({}),
        *,
        r4_extensions: frozenset[str] = frozenset(),
        r5_extensions: frozenset[str] = frozenset(),
    ) -> None:
        natives = (rule for rule in rules if isinstance(rule, Native))
        self.rules = rules
        self.inside = inside
        self.r5_extensions = r5_extensions.union(rule.url for rule in rules if isinstance(rule, Kept))
        self.native_r4 = r4_extensions.union(*(rule.urls for rule in natives))
        self.claimed_r4 = frozenset(name for rule in rules for name in rule.r4)
        self.claimed_r5 = frozenset(name for rule in rules for name in rule.r5)
