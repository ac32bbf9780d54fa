"""What a reader of key object documents tolerates, by name: one table of rules with severity and text.

The texts hold no value of the document, so that a finding can be logged and shown.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.model.imaging import Finding, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.INFORMATION

RULES: Final[Mapping[str, tuple[Severity, str]]] = MappingProxyType(
    {
        # the file (PS3.10) and its elements (PS3.5)
        "no-preamble": (
            _NOTE,
            "The file has no preamble of 128 bytes and DICM; it is read from its first byte.",
        ),
        "no-file-meta": (_WARNING, "The file has no file meta information; the encoding was found by trial."),
        "transfer-syntax": (
            _WARNING,
            "The data set is not encoded as its transfer syntax says; it was read as it is encoded.",
        ),
        "file-meta-differs": (
            _WARNING,
            "File meta information names another SOP instance than the data set.",
        ),
        "truncated": (_ERROR, "The value is longer than what holds it; what is there was read."),
        "trailing-bytes": (_WARNING, "A few bytes that are no element follow; they were ignored."),
        "no-item": (
            _ERROR,
            "Something other than an item stands in the sequence; the rest of it was ignored.",
        ),
        "stray-delimiter": (
            _WARNING,
            "A delimiter without its item or sequence; what follows it was ignored.",
        ),
        "unreadable-element": (_ERROR, "The element cannot be read; what follows it here was ignored."),
        "wrong-vr": (
            _WARNING,
            "The value representation is not that of the element; it was read by the dictionary.",
        ),
        "implicit-element": (_WARNING, "The element has no value representation in an explicit VR data set."),
        "odd-length": (_NOTE, "The value has an odd length."),
        "duplicate-element": (_WARNING, "The element occurs twice; the first one counts."),
        "element-order": (_NOTE, "The elements are not in ascending order."),
        "more-findings": (_WARNING, "There are more findings than are listed."),
        # values
        "character-set-unknown": (
            _WARNING,
            "The character set is not known; what is not ASCII was read as UTF-8 or replaced.",
        ),
        "character-set-undeclared": (
            _WARNING,
            "The text has characters outside its character set; it was read as UTF-8 or Latin-1.",
        ),
        "text-undecodable": (_WARNING, "The text has bytes that are no characters; they were replaced."),
        "several-values": (
            _WARNING,
            "There is more than one value where one is allowed; the first one counts.",
        ),
        "several-items": (
            _WARNING,
            "There is more than one item where one is allowed; the first one counts.",
        ),
        "uid-missing": (_ERROR, "The UID is missing."),
        "uid-prefix": (_NOTE, "The UID has the prefix of a URN; it was taken without."),
        "uid-invalid": (_WARNING, "The value is no valid UID (PS3.5 section 9.1); it was taken as it is."),
        "date-invalid": (_WARNING, "The value is no date (YYYYMMDD); it was left out."),
        "time-invalid": (_WARNING, "The value is no time (HHMMSS.F); it was left out."),
        "time-format": (_NOTE, "The date or time has separators, as before DICOM; they were taken out."),
        "time-without-date": (_WARNING, "There is a time without a date; it was left out."),
        "offset-invalid": (_WARNING, "The time zone offset is none (+HHMM or -HHMM); it was left out."),
        "number-invalid": (_WARNING, "The value is no whole number; it was left out."),
        "count-as-text": (_NOTE, "The number is given as text (TEXT) instead of as number (NUM)."),
        "sex-invalid": (_WARNING, "The value is none of M, F and O; it was left out."),
        "code-incomplete": (_WARNING, "The code has no value or no coding scheme."),
        "issuer-type": (_WARNING, "The universal id has no type; it is an OID and was taken as ISO."),
        "issuer-not-an-oid": (_WARNING, "The universal id is of type ISO and no OID; it was taken as it is."),
        "issuer-empty": (_NOTE, "The issuer has no content; it was taken as absent."),
        # patient, study and requests
        "patient-id-missing": (_WARNING, "There is no Patient ID."),
        "time-zone-missing": (_NOTE, "There is no time zone offset: the zone of the times is not known."),
        "study-uid-differs": (
            _ERROR,
            "The Study Instance UID is not that of the evidence; the evidence counts.",
        ),
        "other-study": (_ERROR, "The evidence names a further study; it was left out."),
        "request-study-differs": (_WARNING, "The request names another study; it was kept."),
        "request-empty": (_NOTE, "The request has no number, procedure or code; it was left out."),
        "request-repeated": (_NOTE, "The request repeats an earlier one; it was left out."),
        "no-request": (
            _NOTE,
            "There is no Referenced Request Sequence; the accession number is that of the study.",
        ),
        "accession-differs": (
            _WARNING,
            "The accession number of the study is in none of its requests; it was added to them.",
        ),
        "accession-issuer-differs": (
            _WARNING,
            "The accession number has another issuer in the study than in its request; the request counts.",
        ),
        "accession-missing": (_WARNING, "No request has an accession number."),
        # evidence
        "evidence-missing": (
            _ERROR,
            "There is no evidence sequence; series and instances are those of the image library, if any.",
        ),
        "evidence-elsewhere": (
            _WARNING,
            "The study is in Pertinent Other Evidence instead of Current Requested Procedure Evidence.",
        ),
        "no-series": (_ERROR, "The evidence lists no series."),
        "series-repeated": (_NOTE, "The series is listed again with another location; both were kept."),
        "series-split": (
            _WARNING,
            "The series is listed again with other instances; they were put together.",
        ),
        "series-empty": (_WARNING, "The series has no instances."),
        "instance-repeated": (_WARNING, "The instance is listed twice in its series; it was kept once."),
        "instance-in-two-series": (_WARNING, "The instance is listed in more than one series."),
        "self-reference": (_WARNING, "The manifest lists itself; it was left out."),
        "uid-reused": (_WARNING, "The same UID identifies different things of the manifest."),
        "location-missing": (_WARNING, "The series has no Retrieve Location UID."),
        "viewer-differs": (_WARNING, "The two Display URIs differ; the standard one counts."),
        "viewer-scheme": (
            _WARNING,
            "The Display URI is no address of the web (http, https); it was left out.",
        ),
        "viewer-block-unreserved": (
            _WARNING,
            "A Display URI stands in a private block that nobody reserved.",
        ),
        # content tree (TID 2010 and 1600)
        "no-image-library": (
            _NOTE,
            "There is no image library (TID 1600): the manifest lists and does not describe.",
        ),
        "content-wrapped": (_WARNING, "The image library is not directly under the root of the content."),
        "library-repeated": (_WARNING, "There is more than one image library; they were read as one."),
        "group-outside-library": (_WARNING, "A group of the image library is not inside a library."),
        "group-without-series": (_WARNING, "A group of the image library names no series that is listed."),
        "group-repeated": (
            _WARNING,
            "A second group of the same series; what the first one lacks was taken.",
        ),
        "series-without-group": (_WARNING, "The image library does not describe a series that is listed."),
        "group-series-by-instance": (
            _WARNING,
            "The group has no Series Instance UID; its instances tell the series.",
        ),
        "entry-unknown": (
            _WARNING,
            "The image library has an instance that is not listed in the series.",
        ),
        "entry-missing": (_WARNING, "The image library lacks an instance of the series that is listed."),
        "entry-class-differs": (_WARNING, "The SOP class differs between evidence and image library."),
        "entry-repeated": (_WARNING, "The image library describes an instance twice; the first one counts."),
        "instance-attribute-sibling": (
            _NOTE,
            "What describes an instance stands beside its entry instead of inside; it was taken for it.",
        ),
        "key-object-at-group": (
            _NOTE,
            "Title or description of a key object stands at the group of its series.",
        ),
        "reference-unlisted": (
            _WARNING,
            "The content refers to an instance that the evidence does not list.",
        ),
        "reference-missing": (_NOTE, "The content does not refer to each instance that the evidence lists."),
        "study-start-differs": (
            _WARNING,
            "The study started at another time in the image library; it was ignored.",
        ),
        "series-count-differs": (_WARNING, "The number of series stated is not that of the series listed."),
        "instance-count-differs": (
            _WARNING,
            "The number of instances stated is not that of the instances listed.",
        ),
        "modality-derived": (
            _NOTE,
            "The series has no modality; it was derived from the SOP class of its instances.",
        ),
        "modality-unknown": (_WARNING, "The series has no modality, and its SOP classes do not tell one."),
        "region-scheme": (
            _NOTE,
            "The region has a SNOMED CT code under another coding scheme; it was corrected.",
        ),
        "region-missing": (_NOTE, "No target region is given for the study."),
        "value-repeated": (_WARNING, "The concept occurs twice with different values; the first one counts."),
    }
)
"""Severity and text by rule."""

MOST: Final = 200
"""Findings that are listed for one document."""


class Findings:
    """Findings in the order in which they were made, each rule and place once."""

    def __init__(self, rules: Mapping[str, tuple[Severity, str]] = RULES) -> None:
        self._rules = rules
        self._found: dict[tuple[str, str], None] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, rule: str, place: str) -> None:
        """Note that `rule` was broken at `place`, the path of an element."""
        if len(self._found) < MOST:
            self._found[rule, place] = None
        elif len(self._found) == MOST:
            self._found["more-findings", "file"] = None

    def all(self) -> tuple[Finding, ...]:
        """The findings."""
        return tuple(
            Finding(rule=rule, place=place, text=self._rules[rule][1], severity=self._rules[rule][0])
            for rule, place in self._found
        )
