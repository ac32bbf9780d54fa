"""WSDL 1.1 read with zeep: operations with the addressing and packaging that zeep leaves out.

zeep resolves messages to schema elements and reads the Action of requests; the Action of answers
(WS-Addressing 1.0 Metadata 4.4), the packaging policy and the transaction mark are read beside it. Nothing
is fetched: documents come from one folder, DTDs and outside references are refused.
"""

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree
from lxml.etree import _Element

_WSDL: Final = "http://schemas.xmlsoap.org/wsdl/"
_XSD: Final = "http://www.w3.org/2001/XMLSchema"
_WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_ACTION: Final = (
    "{http://www.w3.org/2007/05/addressing/metadata}Action",
    "{http://www.w3.org/2006/05/addressing/wsdl}Action",
)
_POLICY: Final = ("{http://www.w3.org/ns/ws-policy}", "{http://schemas.xmlsoap.org/ws/2004/09/policy}")
_MTOM: Final = (
    "{http://schemas.xmlsoap.org/ws/2004/09/policy/optimizedmimeserialization}OptimizedMimeSerialization",
    "{http://www.w3.org/2007/08/soap12-mtom-policy}MTOM",
)
_TRANSACTION: Final = "{urn:mhd-xds-gateway:contract}transaction"


class WsdlUnreadable(ValueError):
    """A WSDL that breaks the rules of its format, or refers to something outside its folder."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one binding. Elements are Clark names; `transaction` is the mark of our own WSDLs."""

    name: str
    transaction: str | None
    action: str | None
    response_action: str | None
    request: str | None
    response: str | None
    mtom: bool
    soap12: bool
    document_literal: bool


@dataclass(frozen=True, slots=True)
class Wsdl:
    """A WSDL as zeep understands it: its operations, what was dropped and why, and the zeep schema."""

    operations: tuple[Operation, ...]
    dropped: tuple[str, ...]
    schema: Any


class _Folder:
    """What zeep asks for documents: files below one folder, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def load(self, url: str) -> bytes:
        path = Path(url).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise WsdlUnreadable("refers to a document outside the folder of the contract")
        return path.read_bytes()


def read_wsdl(root: _Element, folder: Path) -> Wsdl:
    """Read one WSDL whose schema locations are relative to `folder`. Raises WsdlUnreadable."""
    from zeep.exceptions import Error
    from zeep.settings import Settings
    from zeep.wsdl import Document

    transport: Any = _Folder(folder)
    settings = Settings(forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False)
    with warnings.catch_warnings(record=True) as dropped:
        warnings.simplefilter("always")
        try:
            document = Document(
                io.BytesIO(etree.tostring(root)), transport, str(folder / "own.wsdl"), settings
            )
        except WsdlUnreadable:
            raise
        except (Error, LookupError, TypeError, ValueError, AttributeError) as error:
            raise WsdlUnreadable(f"zeep cannot read it ({type(error).__name__}: {error})") from error
    return Wsdl(
        operations=tuple(_operations(document, root)),
        dropped=tuple(str(warning.message) for warning in dropped),
        schema=document.types,
    )


def use_own_schemas(root: _Element, folder: Path) -> None:
    """Replace the types of a foreign WSDL by the contract's own, so that nothing has to be fetched."""
    types = root.find(f"{{{_WSDL}}}types")
    if types is None:
        types = etree.Element(f"{{{_WSDL}}}types")
        root.insert(0, types)
    for child in list(types):
        types.remove(child)
    schema = etree.SubElement(types, f"{{{_XSD}}}schema")
    for path in sorted((folder / "xsd").glob("*.xsd")):
        namespace = etree.parse(path).getroot().get("targetNamespace") or ""
        etree.SubElement(schema, f"{{{_XSD}}}import", namespace=namespace, schemaLocation=f"xsd/{path.name}")


def declared_actions(root: _Element) -> Iterator[tuple[str, str]]:
    """Operation name and request Action of every port type, read without resolving anything."""
    for operation in root.iterfind(f"{{{_WSDL}}}portType/{{{_WSDL}}}operation"):
        action = _action(operation.find(f"{{{_WSDL}}}input"))
        if action:
            yield operation.get("name", ""), action


def _operations(document: Any, root: _Element) -> Iterator[Operation]:
    from zeep.wsdl.bindings import Soap11Binding, Soap12Binding

    for binding in document.bindings.values():
        if not isinstance(binding, Soap11Binding | Soap12Binding):
            continue
        bound = _named(root, "binding", etree.QName(binding.name).localname)
        port_type = _named(root, "portType", etree.QName(binding.port_name).localname)
        operations: dict[str, Any] = binding.all()  # type: ignore[no-untyped-call]
        for operation in operations.values():
            marks = _named(bound, "operation", operation.name)
            declared = _named(port_type, "operation", operation.name)
            mark = marks.find(_TRANSACTION) if marks is not None else None
            yield Operation(
                name=operation.name,
                transaction=None if mark is None else mark.get("id"),
                action=operation.abstract.wsa_action,
                response_action=_action(None if declared is None else declared.find(f"{{{_WSDL}}}output")),
                request=_body(operation.input),
                response=_body(operation.output),
                mtom=any(_optimised(root, scope) for scope in (bound, marks) if scope is not None),
                soap12=isinstance(binding, Soap12Binding),
                document_literal=operation.style == "document" and _literal(marks),
            )


def _named(parent: _Element | None, kind: str, name: str) -> _Element | None:
    if parent is None:
        return None
    return next((el for el in parent.iterfind(f"{{{_WSDL}}}{kind}") if el.get("name") == name), None)


def _action(message: _Element | None) -> str | None:
    if message is None:
        return None
    return next((value for name in _ACTION if (value := message.get(name))), None)


def _body(message: Any) -> str | None:
    body = None if message is None else message.body
    return None if body is None else str(body.qname)


def _literal(marks: _Element | None) -> bool:
    bodies = [] if marks is None else [el for el in marks.iter("{*}body") if el.get("use") is not None]
    return all(el.get("use") == "literal" for el in bodies)


def _optimised(root: _Element, scope: _Element) -> bool:
    """True where a policy on this place, inline or by reference, asks for MTOM and not as an option."""
    for policy in _policies(root, scope):
        for name in _MTOM:
            for assertion in policy.iter(name):
                if not any(assertion.get(f"{ns}Optional") in {"true", "1"} for ns in _POLICY):
                    return True
    return False


def _policies(root: _Element, scope: _Element) -> Iterator[_Element]:
    for namespace in _POLICY:
        yield from scope.iterfind(f"{namespace}Policy")
        for reference in scope.iterfind(f"{namespace}PolicyReference"):
            wanted = (reference.get("URI") or "").removeprefix("#")
            for policy in root.iterfind(f"{namespace}Policy"):
                if wanted and wanted in {policy.get(f"{{{_WSU}}}Id"), policy.get("Name")}:
                    yield policy
