"""Elements of the types of FHIR R4 and R5: order, type and repetition, from the models of fhir.resources.

FHIR XML needs them: it has a fixed order, writes every primitive alike and does not mark lists (FHIR R4
2.6.1). R4B models have the elements of R4 for the resources of this gateway.
"""

from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Final, get_args, get_origin

from fhir.resources import get_fhir_model_class as r5_model_class
from fhir.resources.R4B import get_fhir_model_class as r4_model_class
from fhir.resources.R4B.resource import Resource as R4Resource
from fhir.resources.resource import Resource as R5Resource
from fhir_core.fhirabstractmodel import FHIRAbstractModel
from fhir_core.types import Xhtml
from msgspec import Struct

from gateway.model.releases import FhirRelease


class Kind(Enum):
    """How the value of an element stands in JSON."""

    TEXT = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    XHTML = "xhtml"
    COMPLEX = "object"
    RESOURCE = "resource"


_NUMBERS: Final = {bool: Kind.BOOLEAN, int: Kind.INTEGER, Decimal: Kind.DECIMAL}


class ElementType(Struct, frozen=True):
    """One element of a type. `position` is its place in XML; `model` is set where it is an object."""

    name: str
    position: int
    repeats: bool
    kind: Kind
    model: Any = None

    @property
    def is_primitive(self) -> bool:
        """True where `_name` in JSON holds its id and extensions."""
        return self.kind not in (Kind.COMPLEX, Kind.RESOURCE)


class TypeDefinition(Struct, frozen=True):
    """A resource or data type. In `attributes` are the elements that XML writes as attributes."""

    name: str
    elements: dict[str, ElementType]
    attributes: frozenset[str]


@lru_cache(maxsize=1024)
def type_of_model(model: type[FHIRAbstractModel]) -> TypeDefinition:
    """The definition of the type that a model class of fhir.resources stands for."""
    name = model.get_resource_type()
    attributes: set[str] = set()
    if not issubclass(model, R4Resource | R5Resource):
        attributes = {"id", "url"} if name == "Extension" else {"id"}
    aliases = model.get_alias_mapping()
    elements = {
        element: _element(element, position, model.model_fields[aliases[element]].annotation)
        for position, element in enumerate(model.elements_sequence())
        if element not in attributes
    }
    return TypeDefinition(name, elements, frozenset(attributes))


@lru_cache(maxsize=256)
def model_of_resource(name: str, release: FhirRelease = FhirRelease.R4) -> type[FHIRAbstractModel] | None:
    """The model class of a resource type by its name; None where the release has no such resource."""
    if not name.isalpha() or name in ("Resource", "DomainResource", "CanonicalResource", "MetadataResource"):
        return None
    try:
        model: type[FHIRAbstractModel] = _model(name, release)
    except (KeyError, ValueError):
        return None
    return model if issubclass(model, R4Resource | R5Resource) else None


@lru_cache(maxsize=256)
def type_of_resource(name: str, release: FhirRelease = FhirRelease.R4) -> TypeDefinition | None:
    """The definition of a resource type by its name; None where the release has no such resource."""
    model = model_of_resource(name, release)
    return None if model is None else type_of_model(model)


@lru_cache(maxsize=2)
def extension_type(release: FhirRelease = FhirRelease.R4) -> TypeDefinition:
    """The definition of Extension, which elements of primitive type hold too."""
    return type_of_model(_model("Extension", release))


def _model(name: str, release: FhirRelease) -> Any:
    return r4_model_class(name) if release is FhirRelease.R4 else r5_model_class(name)


def _element(name: str, position: int, annotation: Any) -> ElementType:
    repeats, leaf = _unwrap(annotation, False)
    if hasattr(leaf, "get_model_klass"):
        if leaf.__name__ == "ResourceType":
            return ElementType(name, position, repeats, Kind.RESOURCE)
        return ElementType(name, position, repeats, Kind.COMPLEX, leaf.get_model_klass())
    value, *marks = get_args(leaf) if get_origin(leaf) is Annotated else (leaf,)
    if any(isinstance(mark, Xhtml) for mark in marks):
        return ElementType(name, position, repeats, Kind.XHTML)
    return ElementType(name, position, repeats, _NUMBERS.get(value, Kind.TEXT))


def _unwrap(annotation: Any, repeats: bool) -> tuple[bool, Any]:
    """Whether a list is around the type, and the type without list and None."""
    origin = get_origin(annotation)
    if origin is None or origin is Annotated:
        return repeats, annotation
    (inner,) = (a for a in get_args(annotation) if a is not type(None))
    return _unwrap(inner, repeats or origin is list)
