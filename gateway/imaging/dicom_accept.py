"""What a DICOMweb client takes (DICOM PS3.18 8.7): media types and transfer syntaxes of Accept.

Nothing is re-encoded here. Where a client names no transfer syntax it gets each instance as it is stored,
and every part says which syntax that is.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.fhir.issues import fail
from gateway.model.oids import is_oid
from gateway.multipart import MediaType, parse_media_type

DICOM: Final = "application/dicom"
MULTIPART: Final = "multipart/related"
DICOM_JSON: Final = "application/dicom+json"
_ANY: Final = frozenset({"*/*", "*"})
_JSON: Final = frozenset({DICOM_JSON, "application/json", "application/*"}) | _ANY
# commas inside quoted parameters do not end a media range
_RANGE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_MAX_RANGES: Final = 64


@dataclass(frozen=True, slots=True)
class DicomForm:
    """How instances are sent. `transfer_syntaxes` has the preferred first; empty means as stored.

    `single` is one file as the body, which only one instance can be.
    """

    transfer_syntaxes: tuple[str, ...] = ()
    single: bool = False


def negotiate_dicom(accept: Iterable[str], *, one_instance: bool) -> DicomForm:
    """Decide from Accept values (header and `accept` parameters). Raises OutcomeError 406."""
    texts = [text for text in accept if text.strip()]
    if not texts:
        return DicomForm()
    ranges = _ranges(texts)
    syntaxes: dict[str, None] = {}
    single: bool | None = None
    anything = False
    for media in ranges:
        form = _form(media, one_instance)
        if form is None:
            continue
        single = form if single is None else single
        wanted = media.parameters.get("transfer-syntax", "*")
        if wanted == "*":
            anything = True
        elif is_oid(wanted):
            syntaxes[wanted] = None
    if single is None or not (anything or syntaxes):
        raise fail(
            406,
            "not-supported",
            'Images are sent as multipart/related; type="application/dicom", a single instance also as '
            "application/dicom, with transfer-syntax=* or a UID; the Accept header allows none of that.",
        )
    return DicomForm(() if anything else tuple(syntaxes), single)


def negotiate_json(accept: Iterable[str]) -> None:
    """Check that a client takes DICOM JSON. Raises OutcomeError 406."""
    texts = [text for text in accept if text.strip()]
    if texts and not any(media.name in _JSON for media in _ranges(texts)):
        raise fail(406, "not-supported", f"The answer is {DICOM_JSON}, which the Accept header forbids.")


def _form(media: MediaType, one_instance: bool) -> bool | None:
    """True for a single file, False for multipart, None for what is not sent."""
    inner = media.parameters.get("type", DICOM).lower()
    if media.name in {MULTIPART, "multipart/*"}:
        return False if inner in {DICOM, "application/*", *_ANY} else None
    if media.name in {DICOM, "application/*"}:
        return True if one_instance else None
    return False if media.name in _ANY else None


def _ranges(accept: Iterable[str]) -> list[MediaType]:
    """The media ranges with the preferred first; those that are refused (q=0) are left out."""
    found: list[tuple[float, MediaType]] = []
    for text in accept:
        for match in _RANGE.findall(text)[:_MAX_RANGES]:
            media = parse_media_type(match)
            weight = _quality(media.parameters.get("q", "1"))
            if media.name and weight > 0:
                found.append((weight, media))
    found.sort(key=lambda item: -item[0])
    return [media for _, media in found]


def _quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](?:\.\d{0,3})?", text) else 1.0
