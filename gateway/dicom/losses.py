"""What a manifest of the model has and a key object document cannot carry, or not as it is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway.model.imaging import Severity

_WARNING, _NOTE = Severity.WARNING, Severity.INFORMATION

KOS_LOSSES: Final[Mapping[str, tuple[Severity, str]]] = MappingProxyType(
    {
        "title-replaced": (_NOTE, "A MADO manifest has one title; that of the manifest was replaced by it."),
        "count-restated": (_NOTE, "The count was stated anew: that of what is listed."),
        "person-id": (_WARNING, "A person name (PN) has no identifier; it was left out."),
        "person-degree": (
            _NOTE,
            "A person name (PN) has no degree of its own; it was written with the suffix.",
        ),
        "name-delimiters": (
            _WARNING,
            "The name has ^, = or &, which delimit its parts; blanks were written.",
        ),
        "characters-replaced": (
            _WARNING,
            "The text has a backslash or control characters; they were replaced.",
        ),
        "longer-than-allowed": (
            _WARNING,
            "The text is longer than its element allows; it was written whole.",
        ),
        "cut": (_WARNING, "The text is longer than its element can hold; it was cut."),
        "zone-converted": (_NOTE, "A document has one time zone offset; the time was converted to it."),
        "zone-not-kept": (
            _WARNING,
            "A document has one time zone offset; the time is of another or an unknown zone and was kept.",
        ),
        "series-uid-derived": (
            _NOTE,
            "The document's Series Instance UID was derived from its instance UID.",
        ),
        "created-missing": (
            _WARNING,
            "The manifest has no time of creation, which the document has to have.",
        ),
        "sex-left-out": (_WARNING, "The sex is none of M, F and O; it was left out."),
        "location-empty": (_NOTE, "A location has neither UID nor URL; it was left out."),
        "request-missing": (_NOTE, "There is no request; an empty one stands in its place."),
        "issuer-without-value": (
            _WARNING,
            "The issuer has neither namespace nor universal id; it was left out.",
        ),
        "more-findings": (_WARNING, "There are more losses than are listed."),
    }
)
"""Severity and text by the rule that a finding of the writer names."""
