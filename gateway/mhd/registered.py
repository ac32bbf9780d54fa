"""Objects as the registry has them, which knows nothing of the translations that this gateway offers."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from gateway.fhir.matching import Registered
from gateway.model import DocumentEntry

T = TypeVar("T", bound=Registered)


def registered(item: T) -> T:
    """The object under the entryUUID that the registry knows: of a translation that of its original."""
    if isinstance(item, DocumentEntry) and item.made_of is not None:
        return replace(item, entry_uuid=item.made_of.entry_uuid)
    return item


def registered_uuids(items: Iterable[Registered]) -> tuple[str, ...]:
    """entryUUIDs that a registry can be asked for, each once."""
    return tuple(dict.fromkeys(registered(item).entry_uuid for item in items))
