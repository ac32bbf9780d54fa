"""The contract with XDS.b peers, as `wsdl/` states it: transactions, their messages and packaging.

The WSDLs are the one place that says operation, Action, element and packaging (ITI TF-2 3.18, 3.41, 3.42,
3.43 and Appendix V). They are read once, at start-up, with zeep, which also builds requests and reads small
answers; libxml2 validates messages against the schemas that the WSDLs import.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_LCM, NS_QUERY, NS_RIM, NS_RS, NS_XDS
from gateway.safe_xml import parse_xml
from gateway.soap.schemas import MessageSchema, SchemaInvalid
from gateway.soap.wsdl import (
    Operation,
    Wsdl,
    declared_actions,
    read_wsdl,
    use_own_schemas,
)

__all__ = [
    "Contract",
    "ContractError",
    "Packaging",
    "SchemaInvalid",
    "Transaction",
    "check_peer_wsdl",
    "load_contract",
]

_PREFIXES: Final = {"rim": NS_RIM, "rs": NS_RS, "lcm": NS_LCM, "query": NS_QUERY, "xds": NS_XDS}


class ContractError(ValueError):
    """Content that does not fit the contract, or a contract that cannot be used."""


class Packaging(StrEnum):
    """How a message travels (ITI TF-2 V.3.6 and V.8): the answer in the packaging of the request."""

    SIMPLE = "simple SOAP"
    MTOM = "MTOM/XOP"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One IHE transaction: WS-Addressing Actions, body elements as Clark names, packaging."""

    id: str
    operation: str
    action: str
    response_action: str
    request: str
    response: str
    packaging: Packaging


class Contract:
    """The table of transactions with what zeep and libxml2 know about their messages."""

    def __init__(
        self, transactions: Mapping[str, Transaction], types: Mapping[str, Any], schema: MessageSchema
    ):
        self.transactions: Mapping[str, Transaction] = MappingProxyType(dict(transactions))
        self._by_action = {transaction.action: transaction for transaction in transactions.values()}
        self._types = dict(types)
        self._schema = schema

    def __getitem__(self, transaction_id: str) -> Transaction:
        """The transaction with an id such as `ITI-18`. Raises KeyError."""
        return self.transactions[transaction_id]

    def by_action(self, action: str) -> Transaction | None:
        """The transaction that a request Action asks for; white space around it is of no account."""
        return self._by_action.get(action.strip())

    def validate(self, body: _Element) -> None:
        """Raise SchemaInvalid unless the body element is valid under the schemas of ebXML and XDS.b.

        An xop:Include as the only content of a Document stands for its base64 content.
        """
        self._schema.validate(body)

    def build(self, transaction_id: str, **content: Any) -> _Element:
        """The request body of a transaction, built by zeep from attributes and child elements by name.

        A member of a RegistryObjectList is given in its list `_value_1` as `{"ExtrinsicObject": {...}}`.
        Raises ContractError where zeep cannot place a value and SchemaInvalid where the result is not valid.
        """
        from zeep.exceptions import Error

        transaction = self[transaction_id]
        holder = etree.Element("holder", nsmap=_PREFIXES)
        try:
            element = self._types[transaction_id].get_element(transaction.request)
            element.render(holder, element(**content))
        except (Error, TypeError) as error:
            raise ContractError(f"{transaction_id} request: {error}") from error
        except (ValueError, AttributeError) as error:
            # these texts may quote a value
            raise ContractError(f"{transaction_id} request: {type(error).__name__} in zeep") from None
        body: _Element = holder[0]
        holder.remove(body)
        self.validate(body)
        return body

    def read(self, transaction_id: str, answer: _Element) -> Any:
        """A small answer as zeep's object, with documents as bytes.

        Raises ContractError where it is not the answer of this transaction or does not have its structure.
        """
        from zeep.exceptions import Error

        transaction = self[transaction_id]
        if answer.tag != transaction.response:
            raise ContractError(f"{transaction_id} answer: expected {transaction.response}")
        types = self._types[transaction_id]
        try:
            return types.get_element(transaction.response).parse(answer, types)
        except (Error, ValueError, TypeError) as error:
            raise ContractError(f"{transaction_id} answer: {type(error).__name__} in zeep") from error


@cache
def load_contract(folder: Path | None = None) -> Contract:
    """The contract in a folder, by default the one that comes with the gateway. Raises ContractError."""
    place = default_folder() if folder is None else folder
    transactions: dict[str, Transaction] = {}
    types: dict[str, Any] = {}
    for path in sorted(place.glob("*.wsdl")):
        try:
            wsdl = read_wsdl(parse_xml(path.read_bytes()), place)
            for operation in wsdl.operations:
                transaction = _transaction(operation)
                if transaction.id in transactions:
                    raise ContractError(f"{transaction.id} is declared twice")
                transactions[transaction.id] = transaction
                types[transaction.id] = wsdl.schema
        except ValueError as error:
            raise ContractError(f"{path.name}: {error}") from error
        if wsdl.dropped:
            raise ContractError(f"{path.name}: {wsdl.dropped[0]}")
    if not transactions:
        raise ContractError(f"no WSDL in {place}")
    try:
        schema = MessageSchema(place / "xsd" / "all.xsd")
    except (etree.XMLSchemaParseError, OSError) as error:
        raise ContractError(f"all.xsd: {error}") from error
    return Contract(transactions, types, schema)


def default_folder() -> Path:
    """Where the WSDLs are: beside the package in a wheel, else `wsdl/` of the checkout."""
    here = Path(__file__).resolve()
    packed = here.parents[1] / "_data" / "wsdl"
    return packed if packed.is_dir() else here.parents[2] / "wsdl"


def _transaction(operation: Operation) -> Transaction:
    missing = [
        name
        for name in ("transaction", "action", "response_action", "request", "response")
        if getattr(operation, name) is None
    ]
    if not operation.soap12:
        missing.append("SOAP 1.2")
    if not operation.document_literal:
        missing.append("document/literal")
    if missing:
        raise ContractError(f"operation {operation.name} lacks {', '.join(missing)}")
    return Transaction(
        id=str(operation.transaction),
        operation=operation.name,
        action=str(operation.action),
        response_action=str(operation.response_action),
        request=str(operation.request),
        response=str(operation.response),
        packaging=Packaging.MTOM if operation.mtom else Packaging.SIMPLE,
    )


def check_peer_wsdl(document: bytes) -> list[str]:
    """What in a peer's own WSDL does not fit the contract; empty where it fits.

    Only operations that share an Action or the elements of a transaction are looked at. The peer's schemas
    are not fetched: its messages are resolved against ours. A missing packaging policy is no finding, since
    published IHE WSDLs have none.
    """
    contract, folder = load_contract(), default_folder()
    try:
        root = parse_xml(document)
        use_own_schemas(root, folder)
        wsdl = read_wsdl(root, folder)
    except ValueError as error:
        return [f"the WSDL cannot be read: {error}"]
    problems = [
        problem
        for operation in wsdl.operations
        for transaction in contract.transactions.values()
        if _meant(operation, transaction)
        for problem in _differences(operation, transaction)
    ]
    problems += _not_offered(contract, root, wsdl)
    return list(dict.fromkeys(problems))


def _meant(operation: Operation, transaction: Transaction) -> bool:
    if operation.action is not None:
        return operation.action == transaction.action
    return (operation.request, operation.response) == (transaction.request, transaction.response)


def _differences(operation: Operation, transaction: Transaction) -> list[str]:
    at = f"operation {operation.name} ({transaction.id})"
    problems = []
    if not operation.soap12:
        problems.append(f"{at}: bound to SOAP 1.1, the transaction asks for SOAP 1.2")
    if not operation.document_literal:
        problems.append(f"{at}: must be document/literal")
    if operation.mtom and transaction.packaging is Packaging.SIMPLE:
        problems.append(f"{at}: demands MTOM, the transaction is {transaction.packaging}")
    for what in ("action", "response_action", "request", "response"):
        offered, wanted = getattr(operation, what), getattr(transaction, what)
        if offered != wanted and not (what == "response_action" and offered is None):
            problems.append(f"{at}: {what.replace('_', ' ')} is {offered or 'missing'}, must be {wanted}")
    return problems


def _not_offered(contract: Contract, root: _Element, wsdl: Wsdl) -> list[str]:
    resolved = {operation.name for operation in wsdl.operations}
    declared = dict(declared_actions(root))
    problems = [
        f"operation {name} ({transaction.id}): its messages or its binding cannot be resolved"
        for name, action in declared.items()
        if name not in resolved and (transaction := contract.by_action(action))
    ]
    known = any(
        _meant(operation, transaction)
        for operation in wsdl.operations
        for transaction in contract.transactions.values()
    )
    if not known and not problems:
        problems.append(f"no operation of {', '.join(contract.transactions)} is offered")
    return problems
