"""What the answers of another community have to say about where they come from (ITI TF-2 3.38.4.1.3 and
3.39.4.1.3, IHE RAD TF 4.75).

Every DocumentEntry, SubmissionSet, Folder, ObjectRef and document carries the homeCommunityId of its
community, and errors have it as their location; on Associations it may be left out. Where it is missing
nobody could retrieve what was found, and where it is another one a community would speak for others: such
an answer is an error of the community.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from msgspec import structs

from gateway.ebxml.retrieve import RetrieveAnswer
from gateway.model import QueryResult, RegistryError
from gateway.model.errors import PeerProtocolError

_OBJECTS = ("entries", "submission_sets", "folders", "object_refs", "associations")
_MAY_LACK_HOME = frozenset({"associations"})


class _Homed(Protocol):
    @property
    def home_community_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class HomeRules:
    """Of one community. `home` and `further` are its homeCommunityIds (`urn:oid:...`), `peer` its name.

    With `assume` objects and documents that name no community are taken as those of `home`.
    """

    peer: str
    home: str
    further: frozenset[str] = frozenset()
    assume: bool = False

    def of_query(self, transaction: str, result: QueryResult) -> QueryResult:
        """The answer to a query. Raises PeerProtocolError."""
        changes: dict[str, Any] = {}
        for name in _OBJECTS:
            held = getattr(result, name)
            self._check(transaction, "registry object", held, required=name not in _MAY_LACK_HOME)
            if any(item.home_community_id is None for item in held):
                changes[name] = tuple(
                    item if item.home_community_id else structs.replace(item, home_community_id=self.home)
                    for item in held
                )
        return structs.replace(result, errors=self._located(result.errors), **changes)

    def of_retrieve(self, transaction: str, answer: RetrieveAnswer) -> RetrieveAnswer:
        """The answer to a retrieve. Raises PeerProtocolError."""
        self._check(transaction, "document", (document.header for document in answer.documents))
        documents = tuple(
            document
            if document.header.home_community_id
            else replace(document, header=structs.replace(document.header, home_community_id=self.home))
            for document in answer.documents
        )
        return replace(answer, errors=self._located(answer.errors), documents=documents)

    def _check(self, transaction: str, what: str, items: Iterable[_Homed], *, required: bool = True) -> None:
        for item in items:
            home = item.home_community_id
            if home is None and required and not self.assume:
                raise PeerProtocolError(
                    self.peer, transaction, f"in the answer a {what} has no homeCommunityId"
                )
            if home is not None and home != self.home and home not in self.further:
                raise PeerProtocolError(
                    self.peer, transaction, f"in the answer a {what} has another community's homeCommunityId"
                )

    def _located(self, errors: Iterable[RegistryError]) -> tuple[RegistryError, ...]:
        return tuple(e if e.location else structs.replace(e, location=self.home) for e in errors)
