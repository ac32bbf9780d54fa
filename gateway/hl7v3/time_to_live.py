"""How long an answer of patient discovery may be kept: CorrelationTimeToLive in the SOAP header (ITI TF-2
3.55.4.1.2.4 and 3.55.4.2.2.6). An answer without it is better not kept."""

import re
from typing import Final

from lxml import etree
from lxml.etree import _Element

_NAME: Final = "{urn:ihe:iti:xcpd:2009}CorrelationTimeToLive"
_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})Y)?(?:(\d{1,6})M)?(?:(\d{1,6})D)?"
    r"(?:T(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,10})(?:\.\d{1,9})?S)?)?"
)
_SECONDS: Final = (31_536_000, 2_592_000, 86_400, 3_600, 60, 1)
"""Of a year and so on; those that have no fixed length are taken for 365 and 30 days."""


def read_time_to_live(header: _Element | None) -> float | None:
    """Seconds; None where the header does not say. What is no xs:duration, or a negative one, is none."""
    block = None if header is None else header.find(_NAME)
    if block is None:
        return None
    found = _DURATION.fullmatch((block.text or "").strip())
    if found is None:
        return 0.0
    parts = zip(_SECONDS, found.groups("0"), strict=True)
    return float(sum(seconds * int(count) for seconds, count in parts))


def write_time_to_live(seconds: float) -> _Element:
    """The header block."""
    block = etree.Element(_NAME, nsmap={"xcpd": "urn:ihe:iti:xcpd:2009"})
    block.text = f"PT{int(seconds)}S"
    return block


__all__ = ["read_time_to_live", "write_time_to_live"]
