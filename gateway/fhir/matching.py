"""Does a registry object meet a search parameter? The exact FHIR meaning, applied to the registry's answer.

Each criterion is one parameter of a request; its values are alternatives. What is compared is what the
DocumentReference or List of the object shows (IHE MHD 4.2.4 mapping; FHIR R4 search 3.1.1.4).
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from gateway.fhir.document_ids import made_as
from gateway.fhir.search_dates import DateCondition, Interval
from gateway.model import codes
from gateway.model.metadata import Author, AvailabilityStatus, Code, Cx, DocumentEntry, Person, ReferenceId
from gateway.model.object_ids import unmarked
from gateway.model.oids import bare_oid


class Registered(Protocol):
    """What DocumentEntry, SubmissionSet and Folder have in common."""

    @property
    def entry_uuid(self) -> str: ...
    @property
    def unique_id(self) -> str: ...
    @property
    def patient_id(self) -> Cx | None: ...
    @property
    def status(self) -> AvailabilityStatus: ...


T = TypeVar("T", bound=Registered)
_T_contra = TypeVar("_T_contra", contravariant=True)


class Criterion(Protocol[_T_contra]):
    """One parameter of a search."""

    def matches(self, item: _T_contra, /) -> bool:
        """True where the object meets the parameter."""


@dataclass(frozen=True, slots=True)
class Elements(Generic[T]):
    """Where the values of search parameters stand in registry objects of one type.

    `codes` and `intervals` are by the name of the parameter; an object without the value gives nothing.
    `persons` are those whose names are compared; `presence` says of further parameters whether there is a
    value.
    """

    codes: Mapping[str, Callable[[T], tuple[Code, ...]]]
    intervals: Mapping[str, Callable[[T], Interval | None]]
    persons: Callable[[T], Iterable[Person]]
    presence: Mapping[str, Callable[[T], bool]] = field(default_factory=dict)

    def presence_of(self, name: str) -> Callable[[T], bool]:
        """Says whether an object has the element of a parameter."""
        if name in self.codes:
            read_codes = self.codes[name]
            return lambda item: bool(read_codes(item))
        if name in self.intervals:
            read_interval = self.intervals[name]
            return lambda item: read_interval(item) is not None
        return self.presence[name]


def persons_of(authors: Iterable[Author]) -> Iterator[Person]:
    """The persons among authors."""
    return (author.person for author in authors if author.person is not None)


@dataclass(frozen=True, slots=True)
class CodeToken:
    """`code` None is any code; `schemes` None is any scheme, else bare scheme names."""

    code: str | None
    schemes: frozenset[str] | None

    def fits(self, code: Code) -> bool:
        """True where the coded value is the one asked for. Codes are compared with their case."""
        return (self.code is None or code.code == self.code) and (
            self.schemes is None or bare_oid(code.scheme) in self.schemes
        )


@dataclass(frozen=True, slots=True)
class HasCode(Generic[T]):
    """Token parameter over coded values; `negated` is the modifier `:not`."""

    read: Callable[[T], tuple[Code, ...]]
    tokens: tuple[CodeToken, ...]
    negated: bool = False

    def matches(self, item: T) -> bool:
        """True where one of the codes is asked for; with `:not`, where none is."""
        held = self.read(item)
        return any(token.fits(code) for token in self.tokens for code in held) is not self.negated


@dataclass(frozen=True, slots=True)
class HasDisplay(Generic[T]):
    """Token parameter with the modifier `:text`: the display name starts with one of `starts` (folded)."""

    read: Callable[[T], tuple[Code, ...]]
    starts: tuple[str, ...]

    def matches(self, item: T) -> bool:
        """True where a display name starts as asked."""
        return any(folded(code.display).startswith(self.starts) for code in self.read(item) if code.display)


@dataclass(frozen=True, slots=True)
class IsMissing(Generic[T]):
    """Modifier `:missing`: `present` says whether the entry has the element."""

    present: Callable[[T], bool]
    missing: bool

    def matches(self, item: T) -> bool:
        """True where the element is absent, or present, as asked."""
        return self.present(item) is not self.missing


@dataclass(frozen=True, slots=True)
class HasStatus:
    """Status parameter, all of them taken together."""

    statuses: frozenset[AvailabilityStatus]

    def matches(self, item: Registered) -> bool:
        """True where the status is one of those asked for."""
        return item.status in self.statuses


@dataclass(frozen=True, slots=True)
class IsOfPatient:
    """The patient of the affinity domain."""

    patient: Cx

    def matches(self, item: Registered) -> bool:
        """True where the entry is this patient's."""
        return item.patient_id == self.patient


@dataclass(frozen=True, slots=True)
class IsInTime(Generic[T]):
    """Date parameter; a document without the time matches no prefix."""

    read: Callable[[T], Interval | None]
    conditions: tuple[DateCondition, ...]

    def matches(self, item: T) -> bool:
        """True where the time meets one of the conditions."""
        held = self.read(item)
        return held is not None and any(c.matches(held.start, held.end) for c in self.conditions)


def folded(text: str) -> str:
    """Text without case, accents and surplus blanks, for comparison of names."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(plain.casefold().split())


def family_names(person: Person) -> Iterator[str]:
    """HumanName.family."""
    if person.family:
        yield person.family


def given_names(person: Person) -> Iterator[str]:
    """HumanName.given: the first one, and the further ones as a whole and one by one."""
    if person.given:
        yield person.given
    if person.further_given:
        yield person.further_given
        yield from person.further_given.split()


NAMES: Mapping[str, Callable[[Person], Iterator[str]]] = MappingProxyType(
    {"family": family_names, "given": given_names}
)
"""Where the names of a string parameter stand, by the last part of its name."""


@dataclass(frozen=True, slots=True)
class HasName(Generic[T]):
    """String parameter over names of persons. `mode` is starts, exact or contains.

    `values` are folded unless the mode is exact.
    """

    persons: Callable[[T], Iterable[Person]]
    read: Callable[[Person], Iterator[str]]
    values: tuple[str, ...]
    mode: str = "starts"

    def matches(self, item: T) -> bool:
        """True where a name is as asked."""
        return any(self._fits(name) for person in self.persons(item) for name in self.read(person))

    def _fits(self, name: str) -> bool:
        if self.mode == "exact":
            return name in self.values
        plain = folded(name)
        if self.mode == "contains":
            return any(value in plain for value in self.values)
        return plain.startswith(self.values)


@dataclass(frozen=True, slots=True)
class IdentifierToken:
    """What names a document: its uniqueId, its entryUUID, or the extension of a uniqueId `root^extension`.

    With `lasting` the entryUUID is that of the first version, the logicalID, and `made_as` is the MIME type
    of the translation that is asked for; without it, it is the registered document.
    """

    unique_id: str | None = None
    entry_uuid: str | None = None
    extension: str | None = None
    lasting: bool = False
    made_as: str | None = None

    def fits(self, item: Registered) -> bool:
        """True where the entry has the identifier."""
        if self.unique_id is not None and self.unique_id in (item.unique_id, bare_oid(item.unique_id)):
            return True
        if self.entry_uuid is not None and self._names(item):
            return True
        return self.extension is not None and item.unique_id.partition("^")[2] == self.extension

    def _names(self, item: Registered) -> bool:
        if not self.lasting:
            # an identifier says the entryUUID, whatever community it is of
            return self.entry_uuid in (item.entry_uuid, unmarked(item.entry_uuid)[0])
        if not isinstance(item, DocumentEntry):
            return self.entry_uuid == item.entry_uuid
        return self.entry_uuid == (item.logical_id or item.entry_uuid) and self.made_as == made_as(item)


@dataclass(frozen=True, slots=True)
class HasIdentifier:
    """`identifier` and `_id`."""

    tokens: tuple[IdentifierToken, ...]

    def matches(self, item: Registered) -> bool:
        """True where one of the identifiers is the entry's."""
        return any(token.fits(item) for token in self.tokens)


@dataclass(frozen=True, slots=True)
class RelatedToken:
    """One value of `related:identifier`.

    `ids` are spellings of the value, empty for any. `authorities` None is any; an empty set is none, that is
    a globally unique id, which a Study Instance UID is in any case.
    """

    ids: frozenset[str]
    authorities: frozenset[str] | None

    def fits(self, reference: ReferenceId) -> bool:
        """True where the value of referenceIdList is the one asked for."""
        if self.ids and reference.id not in self.ids:
            return False
        if self.authorities is None:
            return True
        if not self.authorities:
            return reference.authority is None or reference.type == codes.REFERENCE_STUDY
        return reference.authority in self.authorities


@dataclass(frozen=True, slots=True)
class IsRelated:
    """`related`: any value of referenceIdList, encounter ids too, as IHE MHD maps the parameter.

    `kinds` are the types that a value has to be of, None for all.
    """

    tokens: tuple[RelatedToken, ...]
    kinds: frozenset[str] | None = None

    def matches(self, entry: DocumentEntry) -> bool:
        """True where one of the references is asked for."""
        return any(
            token.fits(reference)
            for reference in entry.reference_ids
            if self.kinds is None or reference.type in self.kinds
            for token in self.tokens
        )
