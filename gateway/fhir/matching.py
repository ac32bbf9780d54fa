"""Does a DocumentEntry meet a search parameter? The exact FHIR meaning, applied after the registry's answer.

Each criterion is one parameter of a request; its values are alternatives. What is compared is what the
DocumentReference of the entry shows (IHE MHD 4.2.4 mapping; FHIR R4 search 3.1.1.4).
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from gateway.fhir.search_dates import NEVER, DateCondition, Interval, dtm_interval
from gateway.model import codes
from gateway.model.metadata import AvailabilityStatus, Code, Cx, DocumentEntry, Person, ReferenceId
from gateway.model.oids import bare_oid


class Criterion(Protocol):
    """One parameter of a search."""

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the entry meets the parameter."""


CodeReader = Callable[[DocumentEntry], tuple[Code, ...]]
IntervalReader = Callable[[DocumentEntry], Interval | None]


def _single(code: Code | None) -> tuple[Code, ...]:
    return () if code is None else (code,)


CODES: Mapping[str, CodeReader] = MappingProxyType(
    {
        "category": lambda e: _single(e.class_code),
        "type": lambda e: _single(e.type_code),
        "setting": lambda e: _single(e.practice_setting),
        "facility": lambda e: _single(e.facility_type),
        "format": lambda e: _single(e.format_code),
        "event": lambda e: e.event_codes,
        "security-label": lambda e: e.confidentiality,
    }
)
"""Where the codes of a token parameter stand."""


def _period(entry: DocumentEntry) -> Interval | None:
    """context.period; an absent or unreadable end is open."""
    start, stop = dtm_interval(entry.service_start_time), dtm_interval(entry.service_stop_time)
    if start is None and stop is None:
        return None
    return Interval(-1 if start is None else start.start, NEVER + 1 if stop is None else stop.end)


INTERVALS: Mapping[str, IntervalReader] = MappingProxyType(
    {"creation": lambda e: dtm_interval(e.creation_time), "period": _period}
)
"""Where the time of a date parameter stands."""


def presence_of(name: str) -> Callable[[DocumentEntry], bool]:
    """Says whether an entry has the element of a coded or date parameter, or of `related`."""
    if name in CODES:
        read_codes = CODES[name]
        return lambda entry: bool(read_codes(entry))
    if name in INTERVALS:
        read_interval = INTERVALS[name]
        return lambda entry: read_interval(entry) is not None
    return lambda entry: bool(entry.reference_ids)


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
class HasCode:
    """Token parameter over coded values; `negated` is the modifier `:not`."""

    read: CodeReader
    tokens: tuple[CodeToken, ...]
    negated: bool = False

    def matches(self, entry: DocumentEntry) -> bool:
        """True where one of the codes is asked for; with `:not`, where none is."""
        held = self.read(entry)
        return any(token.fits(code) for token in self.tokens for code in held) is not self.negated


@dataclass(frozen=True, slots=True)
class HasDisplay:
    """Token parameter with the modifier `:text`: the display name starts with one of `starts` (folded)."""

    read: CodeReader
    starts: tuple[str, ...]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where a display name starts as asked."""
        return any(folded(code.display).startswith(self.starts) for code in self.read(entry) if code.display)


@dataclass(frozen=True, slots=True)
class IsMissing:
    """Modifier `:missing`: `present` says whether the entry has the element."""

    present: Callable[[DocumentEntry], bool]
    missing: bool

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the element is absent, or present, as asked."""
        return self.present(entry) is not self.missing


@dataclass(frozen=True, slots=True)
class HasStatus:
    """Status parameter, all of them taken together."""

    statuses: frozenset[AvailabilityStatus]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the status is one of those asked for."""
        return entry.status in self.statuses


@dataclass(frozen=True, slots=True)
class IsOfPatient:
    """The patient of the affinity domain."""

    patient: Cx

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the entry is this patient's."""
        return entry.patient_id == self.patient


@dataclass(frozen=True, slots=True)
class IsInTime:
    """Date parameter; a document without the time matches no prefix."""

    read: IntervalReader
    conditions: tuple[DateCondition, ...]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the time meets one of the conditions."""
        held = self.read(entry)
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
    {"author.family": family_names, "author.given": given_names}
)
"""Where the names of a string parameter stand."""


@dataclass(frozen=True, slots=True)
class HasAuthor:
    """String parameter over the persons among the authors. `mode` is starts, exact or contains.

    `values` are folded unless the mode is exact.
    """

    read: Callable[[Person], Iterator[str]]
    values: tuple[str, ...]
    mode: str = "starts"

    def matches(self, entry: DocumentEntry) -> bool:
        """True where a name of an author is as asked."""
        return any(self._fits(name) for name in self._names(entry))

    def _names(self, entry: DocumentEntry) -> Iterable[str]:
        for author in entry.authors:
            if author.person is not None:
                yield from self.read(author.person)

    def _fits(self, name: str) -> bool:
        if self.mode == "exact":
            return name in self.values
        plain = folded(name)
        if self.mode == "contains":
            return any(value in plain for value in self.values)
        return plain.startswith(self.values)


@dataclass(frozen=True, slots=True)
class IdentifierToken:
    """What names a document: its uniqueId, its entryUUID, or the extension of a uniqueId `root^extension`."""

    unique_id: str | None = None
    entry_uuid: str | None = None
    extension: str | None = None

    def fits(self, entry: DocumentEntry) -> bool:
        """True where the entry has the identifier."""
        if self.unique_id is not None and entry.unique_id == self.unique_id:
            return True
        if self.entry_uuid is not None and entry.entry_uuid == self.entry_uuid:
            return True
        return self.extension is not None and entry.unique_id.partition("^")[2] == self.extension


@dataclass(frozen=True, slots=True)
class HasIdentifier:
    """`identifier` and `_id`."""

    tokens: tuple[IdentifierToken, ...]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where one of the identifiers is the entry's."""
        return any(token.fits(entry) for token in self.tokens)


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
    """`related`: any value of referenceIdList, encounter ids too, as IHE MHD maps the parameter."""

    tokens: tuple[RelatedToken, ...]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where one of the references is asked for."""
        return any(token.fits(reference) for token in self.tokens for reference in entry.reference_ids)
