"""Values of data elements as those of the model: texts, UIDs, codes, names, dates (DICOM PS3.5 6.2)."""

import re
from typing import Final, NamedTuple

from gateway.dicom import tags
from gateway.dicom.charsets import Decode, decoder
from gateway.dicom.coding_schemes import scheme_of
from gateway.dicom.elements import Dataset
from gateway.dicom.findings import Findings
from gateway.model.imaging import Issuer, LocalTime
from gateway.model.metadata import Code, Organization, Person
from gateway.model.oids import is_oid

_PADDING: Final = " \0"
_UID: Final = re.compile(r"(?=.{1,64}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_UID_PREFIX: Final = re.compile(r"(?:urn:)?oid:", re.IGNORECASE)
_DATE: Final = re.compile(r"[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])")
_TIME: Final = re.compile(r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?")


class _Form(NamedTuple):
    """How a date or time is written, which separators older writers put in, and what is broken otherwise."""

    wanted: re.Pattern[str]
    separators: dict[int, None]
    rule: str


_DATE_FORM: Final = _Form(_DATE, dict.fromkeys(b".-/"), "date-invalid")
_TIME_FORM: Final = _Form(_TIME, dict.fromkeys(b":"), "time-invalid")
_OFFSET: Final = re.compile(r"[+-](?:0[0-9]|1[0-4])[0-5][0-9]")
_WHOLE: Final = re.compile(r"[+]?([0-9]{1,9})(?:\.0*)?")
"""DS of a count: `50`, and `50.0` as some writers have it."""

NOTHING: Final[tuple[Dataset, ...]] = ()


class Values:
    """Reads values of one document: its character set, its coding schemes, its findings."""

    def __init__(self, document: Dataset, findings: Findings) -> None:
        self._findings = findings
        terms = document.get(tags.SPECIFIC_CHARACTER_SET, b"")
        spelled = terms.decode("ascii", "replace").strip(_PADDING) if isinstance(terms, bytes) else ""
        self._decode: Decode = decoder(
            spelled.split("\\") if spelled else (), findings, tags.name(tags.SPECIFIC_CHARACTER_SET)
        )
        self._uids: dict[bytes, str] = {}
        self._codes: dict[tuple[bytes, bytes, bytes], Code] = {}
        self._schemes = self._identified(document)

    def report(self, rule: str, place: str) -> None:
        """Note a finding."""
        self._findings.add(rule, place)

    def _identified(self, document: Dataset) -> dict[str, str]:
        """Schemes that the document itself identifies: designator -> OID or URI."""
        found: dict[str, str] = {}
        place = tags.name(tags.CODING_SCHEME_IDENTIFICATION)
        for item in items(document, tags.CODING_SCHEME_IDENTIFICATION):
            designator = self.text(item, tags.CODING_SCHEME_DESIGNATOR, place)
            uid = self.uid(item, tags.CODING_SCHEME_UID, place)
            if uid is None:
                for resource in items(item, tags.CODING_SCHEME_RESOURCES):
                    uid = uid or self.text(resource, tags.CODING_SCHEME_URL, place)
            if designator and uid:
                found.setdefault(designator, uid)
        return found

    def text(self, dataset: Dataset, tag: int, place: str) -> str | None:
        """Text of a value without its padding; None where there is none."""
        raw = dataset.get(tag)
        if not raw or not isinstance(raw, bytes):
            return None
        return self._decode(raw, f"{place}.{tags.name(tag)}").strip(_PADDING) or None

    def single(self, dataset: Dataset, tag: int, place: str) -> str | None:
        """Text of an element that has one value, of those VRs where a backslash separates values."""
        text = self.text(dataset, tag, place)
        if text is None or "\\" not in text:
            return text
        self.report("several-values", f"{place}.{tags.name(tag)}")
        return next((part for part in (p.strip(_PADDING) for p in text.split("\\")) if part), None)

    def uids(self, dataset: Dataset, tag: int, place: str) -> tuple[str, ...]:
        """UIDs of an element, bare. What is no UID is reported and taken as it is."""
        raw = dataset.get(tag)
        if not raw or not isinstance(raw, bytes):
            return ()
        text = raw.decode("ascii", "replace").strip(_PADDING)
        if _UID.fullmatch(text):
            self._uids[raw] = text
            return (text,)
        return tuple(
            self._odd_uid(part, f"{place}.{tags.name(tag)}")
            for part in (p.strip(_PADDING + "\t\r\n") for p in text.split("\\"))
            if part
        )

    def _odd_uid(self, text: str, place: str) -> str:
        if prefix := _UID_PREFIX.match(text):
            self.report("uid-prefix", place)
            text = text[prefix.end() :]
        if not _UID.fullmatch(text):
            self.report("uid-invalid", place)
        return text

    def uid(self, dataset: Dataset, tag: int, place: str) -> str | None:
        """The UID of an element that has one."""
        raw = dataset.get(tag)
        if isinstance(raw, bytes) and (known := self._uids.get(raw)) is not None:
            return known
        found = self.uids(dataset, tag, place)
        if len(found) > 1:
            self.report("several-values", f"{place}.{tags.name(tag)}")
        return (found[0] or None) if found else None

    def item(self, dataset: Dataset, tag: int, place: str) -> Dataset | None:
        """The item of a sequence that has one."""
        found = items(dataset, tag)
        if len(found) > 1:
            self.report("several-items", f"{place}.{tags.name(tag)}")
        return found[0] if found else None

    def code(self, dataset: Dataset, tag: int, place: str, *, scheme: str = "") -> Code | None:
        """The code of a code sequence that has one item; `scheme` is that of codes without."""
        item = self.item(dataset, tag, place)
        return None if item is None else self._coded(item, f"{place}.{tags.name(tag)}", scheme)

    def codes(self, dataset: Dataset, tag: int, place: str) -> tuple[Code, ...]:
        """All codes of a code sequence."""
        place = f"{place}.{tags.name(tag)}"
        found = (self._coded(item, place, "") for item in items(dataset, tag))
        return tuple(code for code in found if code is not None)

    def _coded(self, item: Dataset, place: str, scheme: str) -> Code | None:
        """A coded entry (PS3.3 section 8.8). A meaning that repeats the code says nothing and is left out."""
        key = (
            leaf(item, tags.CODE_VALUE),
            leaf(item, tags.CODING_SCHEME_DESIGNATOR),
            leaf(item, tags.CODE_MEANING),
        )
        if key[0] and (known := self._codes.get(key)) is not None:
            return known
        before = len(self._findings)
        value = (
            self.text(item, tags.CODE_VALUE, place)
            or self.text(item, tags.LONG_CODE_VALUE, place)
            or self.text(item, tags.URN_CODE_VALUE, place)
        )
        designator = self.text(item, tags.CODING_SCHEME_DESIGNATOR, place)
        if value is None or (designator is None and tags.URN_CODE_VALUE not in item):
            self.report("code-incomplete", place)
        if value is None:
            return None
        meaning = self.text(item, tags.CODE_MEANING, place)
        code = Code(
            value,
            scheme_of(designator, self._schemes) if designator else scheme,
            meaning if meaning != value else None,
        )
        if key[0] and key[1] and len(self._findings) == before:
            self._codes[key] = code
        return code

    def number(self, dataset: Dataset, tag: int, place: str) -> int | None:
        """A whole number of an IS or DS value."""
        text = self.single(dataset, tag, place)
        if text is None:
            return None
        if match := _WHOLE.fullmatch(text.strip()):
            return int(match[1])
        self.report("number-invalid", f"{place}.{tags.name(tag)}")
        return None

    def date(self, dataset: Dataset, tag: int, place: str) -> str | None:
        """A date, YYYYMMDD."""
        return self._moment(dataset, tag, place, _DATE_FORM)

    def time(self, dataset: Dataset, tag: int, place: str) -> str | None:
        """A time, HH[MM[SS[.F]]]."""
        return self._moment(dataset, tag, place, _TIME_FORM)

    def _moment(self, dataset: Dataset, tag: int, place: str, form: _Form) -> str | None:
        text = self.single(dataset, tag, place)
        if text is None or form.wanted.fullmatch(text):
            return text
        plain = text.translate(form.separators)
        if form.wanted.fullmatch(plain):
            self.report("time-format", f"{place}.{tags.name(tag)}")
            return plain
        self.report(form.rule, f"{place}.{tags.name(tag)}")
        return None

    def moment(
        self, dataset: Dataset, date: int, time: int, offset: str | None, place: str
    ) -> LocalTime | None:
        """Date and time of two elements."""
        day, clock = self.date(dataset, date, place), self.time(dataset, time, place)
        return self.joined(day, clock, offset, f"{place}.{tags.name(time)}")

    def joined(self, date: str | None, time: str | None, offset: str | None, place: str) -> LocalTime | None:
        """Date and time; None, and a finding if there is a time, where there is no date."""
        if date is None:
            if time is not None:
                self.report("time-without-date", place)
            return None
        return LocalTime(date, time, offset)

    def offset(self, document: Dataset, place: str) -> str | None:
        """Time zone offset of a document, +HHMM or -HHMM."""
        text = self.single(document, tags.TIMEZONE_OFFSET, place)
        if text is None:
            return None
        plain = text.replace(":", "")
        if not _OFFSET.fullmatch(plain):
            self.report("offset-invalid", f"{place}.{tags.name(tags.TIMEZONE_OFFSET)}")
            return None
        return plain

    def issuer(self, item: Dataset | None, namespace: str | None, place: str) -> Issuer | None:
        """Issuer from the Hierarchic Designator macro (PS3.3 10.14) and a namespace known from elsewhere."""
        universal = kind = None
        if item is not None:
            namespace = namespace or self.text(item, tags.LOCAL_NAMESPACE, place)
            universal = self.text(item, tags.UNIVERSAL_ENTITY_ID, place)
            kind = self.text(item, tags.UNIVERSAL_ENTITY_ID_TYPE, place)
            if namespace is None and universal is None:
                self.report("issuer-empty", place)
        if universal is not None:
            universal, kind = self._universal(universal, kind, place)
        if namespace is None and universal is None:
            return None
        return Issuer(namespace, universal, kind if universal is not None else None)

    def _universal(self, universal: str, kind: str | None, place: str) -> tuple[str, str | None]:
        bare = _UID_PREFIX.sub("", universal, count=1)
        if is_oid(bare):
            if kind is None:
                self.report("issuer-type", place)
                kind = "ISO"
            if kind == "ISO":
                return bare, kind
        elif kind == "ISO":
            self.report("issuer-not-an-oid", place)
        return universal, kind

    def person_groups(self, dataset: Dataset, tag: int, place: str) -> tuple[Person | None, ...]:
        """Alphabetic, ideographic and phonetic name of a PN value (PS3.5 6.2.1)."""
        text = self.single(dataset, tag, place)
        groups = text.split("=") if text else []
        found = [_person(group) for group in groups[:3]]
        return tuple(found + [None] * (3 - len(found)))


def items(dataset: Dataset, tag: int) -> tuple[Dataset, ...]:
    """Items of a sequence; none where there is no such sequence."""
    found = dataset.get(tag)
    return found if isinstance(found, tuple) else NOTHING


def leaf(dataset: Dataset, tag: int) -> bytes:
    """Raw bytes of a value; empty where there is none."""
    found = dataset.get(tag)
    return found if isinstance(found, bytes) else b""


def _person(group: str) -> Person | None:
    """`family^given^middle^prefix^suffix`."""
    parts = [part.strip(_PADDING) or None for part in group.split("^")]
    parts += [None] * (5 - len(parts))
    person = Person(family=parts[0], given=parts[1], further_given=parts[2], prefix=parts[3], suffix=parts[4])
    return person if person != Person() else None


def organization(text: str) -> Organization:
    """Institution Name, which MADO recommends as HL7 v2 XON: `name^^^^^&oid&ISO^^^^id`, without escapes."""
    if "^" not in text:
        return Organization(name=text)
    parts = text.split("^")
    parts += [""] * (10 - len(parts))
    authority = parts[5].split("&")
    universal = authority[1] if len(authority) > 1 and authority[1] else authority[0]
    return Organization(
        name=parts[0] or None,
        id=parts[9] or parts[2] or None,
        authority=_UID_PREFIX.sub("", universal) or None,
    )
