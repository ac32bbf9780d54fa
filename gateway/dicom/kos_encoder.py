"""Parts that recur in a key object document: codes, content items, issuers, names, references, times."""

from datetime import datetime, timedelta
from typing import Final

from gateway.dicom import tags
from gateway.dicom.coding_schemes import designator_of, introduced
from gateway.dicom.concepts import Concept, Dialect
from gateway.dicom.encoding import TextEncoder, element, joined, plain, sequence
from gateway.dicom.findings import Findings
from gateway.model.imaging import Issuer, LocalTime
from gateway.model.metadata import Code, Organization, Person
from gateway.model.oids import is_oid

_ACQUISITION: Final = "HAS ACQ CONTEXT"
_LONGEST_CODE: Final = 16
_CONTROLS: Final = dict.fromkeys(range(32), " ")
_OF_PERSON: Final = {**_CONTROLS, **dict.fromkeys(map(ord, "^=\\"), " ")}
_OF_ORGANIZATION: Final = {**_CONTROLS, **dict.fromkeys(map(ord, "^&\\"), " ")}
_MINUTES: Final = "%Y%m%d%H%M"


class KosEncoder(TextEncoder):
    """Encodes parts of one document in a dialect. `offset` is the one time zone of the document."""

    def __init__(self, losses: Findings, dialect: Dialect, offset: str | None) -> None:
        super().__init__(losses)
        self._dialect = dialect
        self._offset = offset
        self._codes: dict[Code, bytes] = {}
        self._names: dict[Concept, bytes] = {}
        self._introduced: dict[str, str] = {}

    # --- codes ------------------------------------------------------------------------------------------

    def code(self, code: Code) -> bytes:
        """A coded entry (PS3.3 8.8). The meaning is required; where there is none the code stands for it."""
        if (known := self._codes.get(code)) is not None:
            return known
        designator = designator_of(code.code, code.scheme)
        if designator is None:
            self._introduced = introduced([*self._introduced, code.scheme])
            designator = self._introduced[code.scheme]
        urn = code.code.startswith("urn:") or "://" in code.code
        value = designation = b""
        if len(code.code) <= _LONGEST_CODE and not urn:
            value = self.text(tags.CODE_VALUE, code.code)
        else:
            designation = self.text(tags.URN_CODE_VALUE if urn else tags.LONG_CODE_VALUE, code.code)
        made = self._codes[code] = joined(
            value,
            self.text(tags.CODING_SCHEME_DESIGNATOR, designator),
            self.text(tags.CODE_MEANING, code.display or code.code),
            designation,
        )
        return made

    def coding_schemes(self) -> bytes:
        """Coding Scheme Identification Sequence for the schemes that have no designator of their own."""
        if not self._introduced:
            return b""
        return sequence(
            tags.CODING_SCHEME_IDENTIFICATION,
            [self._scheme(scheme, designator) for scheme, designator in self._introduced.items()],
        )

    def _scheme(self, scheme: str, designator: str) -> bytes:
        named = plain(tags.CODING_SCHEME_DESIGNATOR, designator)
        if is_oid(scheme):
            return joined(named, plain(tags.CODING_SCHEME_UID, scheme))
        resource = joined(
            plain(tags.CODING_SCHEME_URL_TYPE, "FHIR"), self.text(tags.CODING_SCHEME_URL, scheme)
        )
        return joined(named, sequence(tags.CODING_SCHEME_RESOURCES, [resource]))

    # --- content items ----------------------------------------------------------------------------------

    def concept(self, concept: Concept) -> bytes:
        """Concept Name Code Sequence, in the dialect of the document."""
        if (known := self._names.get(concept)) is not None:
            return known
        value, scheme, meaning = concept.value.coded(self._dialect)
        item = joined(
            plain(tags.CODE_VALUE, value),
            plain(tags.CODING_SCHEME_DESIGNATOR, scheme),
            plain(tags.CODE_MEANING, meaning),
        )
        made = self._names[concept] = sequence(tags.CONCEPT_NAME, [item])
        return made

    def _item(self, concept: Concept, value_type: str, value: bytes, relationship: str) -> bytes:
        return joined(
            plain(tags.RELATIONSHIP_TYPE, relationship),
            plain(tags.VALUE_TYPE, value_type),
            self.concept(concept),
            value,
        )

    def code_item(self, concept: Concept, code: Code, relationship: str = _ACQUISITION) -> bytes:
        """CODE."""
        return self._item(concept, "CODE", sequence(tags.CONCEPT_CODE, [self.code(code)]), relationship)

    def text_item(self, concept: Concept, text: str) -> bytes:
        """TEXT."""
        return self._item(concept, "TEXT", self.text(tags.TEXT_VALUE, text), _ACQUISITION)

    def uid_item(self, concept: Concept, uid: str) -> bytes:
        """UIDREF."""
        return self._item(concept, "UIDREF", self.text(tags.UID, uid), _ACQUISITION)

    def number_item(self, concept: Concept, number: int, unit: str) -> bytes:
        """NUM, with a unit of UCUM in braces: a count of things."""
        units = joined(
            plain(tags.CODE_VALUE, f"{{{unit}}}"),
            plain(tags.CODING_SCHEME_DESIGNATOR, "UCUM"),
            plain(tags.CODE_MEANING, unit),
        )
        measured = joined(sequence(tags.MEASUREMENT_UNITS, [units]), plain(tags.NUMERIC_VALUE, str(number)))
        return self._item(concept, "NUM", sequence(tags.MEASURED_VALUE, [measured]), _ACQUISITION)

    def moment_items(self, date: Concept, time: Concept, moment: LocalTime, place: str) -> list[bytes]:
        """DATE and, where it is known, TIME."""
        moment = self.in_zone(moment, place)
        found = [self._item(date, "DATE", self.text(tags.DATE, moment.date), _ACQUISITION)]
        if moment.time is not None:
            found.append(self._item(time, "TIME", self.text(tags.TIME, moment.time), _ACQUISITION))
        return found

    def container(self, concept: Concept, content: list[bytes]) -> bytes:
        """CONTAINER."""
        return joined(
            plain(tags.RELATIONSHIP_TYPE, "CONTAINS"),
            plain(tags.VALUE_TYPE, "CONTAINER"),
            self.concept(concept),
            plain(tags.CONTINUITY_OF_CONTENT, "SEPARATE"),
            sequence(tags.CONTENT, content) if content else b"",
        )

    # --- identifiers, names, times ----------------------------------------------------------------------

    def issuer(self, tag: int, issuer: Issuer | None, *, namespace: bool = True) -> bytes:
        """A sequence with the Hierarchic Designator macro; left out where there is nothing to say.

        `namespace` is False where the namespace has an element of its own.
        """
        if issuer is None:
            return b""
        if issuer.namespace is None and issuer.universal_id is None:
            self.report("issuer-without-value", tags.name(tag))
            return b""
        parts = joined(
            self.present(tags.LOCAL_NAMESPACE, issuer.namespace) if namespace else b"",
            self.present(tags.UNIVERSAL_ENTITY_ID, issuer.universal_id),
            self.present(tags.UNIVERSAL_ENTITY_ID_TYPE, issuer.universal_id_type)
            if issuer.universal_id is not None
            else b"",
        )
        return sequence(tag, [parts]) if parts else b""

    def person(self, tag: int, *groups: Person | None) -> bytes:
        """A person name; `groups` are the alphabetic, ideographic and phonetic one."""
        text = "=".join(self._name(tag, group) for group in groups).rstrip("=")
        return element(tag, b"PN", self.fitting(tag, text, any(len(group) > 64 for group in text.split("="))))

    def _name(self, tag: int, person: Person | None) -> str:
        if person is None:
            return ""
        if person.id is not None:
            self.report("person-id", tags.name(tag))
        suffix = person.suffix
        if person.degree:
            self.report("person-degree", tags.name(tag))
            suffix = f"{suffix} {person.degree}" if suffix else person.degree
        given = (person.family, person.given, person.further_given, person.prefix, suffix)
        parts = [self._without(_OF_PERSON, tag, part or "") for part in given]
        return "^".join(parts).rstrip("^")

    def _without(self, delimiters: dict[int, str], tag: int, text: str) -> str:
        kept = text.translate(delimiters)
        if kept != text:
            self.report("name-delimiters", tags.name(tag))
        return kept

    def organization(self, tag: int, organization: Organization | None) -> bytes:
        """Institution Name; an HL7 v2 XON where there is an identifier."""
        if organization is None or organization == Organization():
            return b""
        name = self._without(_OF_ORGANIZATION, tag, organization.name or "")
        identifier = self._without(_OF_ORGANIZATION, tag, organization.id or "")
        authority = f"&{organization.authority}&ISO" if organization.authority else ""
        return self.text(tag, "^".join((name, "", "", "", "", authority, "", "", "", identifier)).rstrip("^"))

    def in_zone(self, moment: LocalTime, place: str) -> LocalTime:
        """The time in the zone of the document."""
        if moment.offset == self._offset:
            return moment
        converted = _converted(moment, self._offset)
        self.report("zone-converted" if converted else "zone-not-kept", place)
        return converted or moment


def _converted(moment: LocalTime, offset: str | None) -> LocalTime | None:
    """The same instant under another offset; None where the time is not known to the minute."""
    if moment.time is None or len(moment.time) < 4 or moment.offset is None or offset is None:
        return None
    try:
        minutes = datetime.strptime(moment.date + moment.time[:4], _MINUTES)
        shifted = minutes + timedelta(minutes=_minutes(offset) - _minutes(moment.offset))
    except (ValueError, OverflowError):
        return None
    text = f"{shifted.year:04d}" + shifted.strftime("%m%d%H%M")
    return LocalTime(text[:8], text[8:] + moment.time[4:], offset)


def _minutes(offset: str) -> int:
    sign = -1 if offset.startswith("-") else 1
    return sign * (int(offset[1:3]) * 60 + int(offset[3:5]))
