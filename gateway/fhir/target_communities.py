"""Which communities a search is for: `targetCommunityIdList` (IHE MHD 4.2.4, Target Communities Option)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from msgspec import structs

from gateway.fhir.search_values import SearchProblem, shown, unescape
from gateway.model.metadata import DocumentEntry, Folder, SubmissionSet
from gateway.model.oids import bare_oid, is_oid
from gateway.model.query import StoredQuery

Q = TypeVar("Q", bound=StoredQuery)


class ReachedCommunities(Protocol):
    """The communities that a server reaches; ids are `urn:oid:...`."""

    @property
    def homes(self) -> tuple[str, ...]:
        """One homeCommunityId of each, the own one first where it has one."""

    @property
    def own_home(self) -> str | None:
        """The own homeCommunityId."""

    def is_known(self, home: str) -> bool:
        """True for a homeCommunityId that can be asked for."""


class OwnCommunityAlone:
    """No other community is reached."""

    def __init__(self, own_home: str | None = None) -> None:
        self.own_home = own_home

    @property
    def homes(self) -> tuple[str, ...]:
        """See `ReachedCommunities`."""
        return () if self.own_home is None else (self.own_home,)

    def is_known(self, home: str) -> bool:
        """See `ReachedCommunities`."""
        return home == self.own_home


@dataclass(frozen=True, slots=True)
class IsOfCommunities:
    """The object is of one of the communities; what names none is of the own one."""

    homes: frozenset[str]
    own_home: str | None

    def matches(self, item: object) -> bool:
        """True for an object of one of them."""
        home = item.home_community_id if isinstance(item, DocumentEntry | SubmissionSet | Folder) else None
        return (home or self.own_home) in self.homes


def read_communities(values: Iterable[str], reached: ReachedCommunities) -> frozenset[str]:
    """The homeCommunityIds that a parameter names. Raises SearchProblem for one that is not reached."""
    homes = set()
    for value in values:
        text = unescape(value.strip())
        bare = bare_oid(text)
        if not is_oid(bare):
            raise SearchProblem(
                "value",
                "targetCommunityIdList: a homeCommunityId is urn:oid: and an OID, as urn:oid:2.999.1.",
            )
        if not reached.is_known(f"urn:oid:{bare}"):
            raise SearchProblem(
                "not-found",
                f"targetCommunityIdList: {shown(text)} is not a community that this server reaches "
                "(XDSUnknownCommunity). Leave it out to search all that it reaches.",
            )
        homes.add(f"urn:oid:{bare}")
    return frozenset(homes)


def addressed(queries: Iterable[Q], homes: Iterable[str]) -> tuple[Q, ...]:
    """The queries for these communities; without any, as they are."""
    targets = tuple(homes)
    return (
        tuple(structs.replace(q, target_communities=targets) for q in queries) if targets else tuple(queries)
    )
