"""Transfer syntaxes in which instances are stored and sent (DICOM PS3.6 Annex A), as bare UIDs."""

from typing import Final

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"

_JPEG: Final = "1.2.840.10008.1.2.4."

ANY: Final = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED,
    EXPLICIT_BIG_ENDIAN,
    RLE_LOSSLESS,
    *(_JPEG + last for last in ("50", "51", "57", "70")),  # JPEG: baseline, extended, lossless
    *(_JPEG + last for last in ("80", "81")),  # JPEG-LS
    *(_JPEG + last for last in ("90", "91", "201", "202", "203")),  # JPEG 2000, HTJ2K
    *(_JPEG + last for last in ("100", "101", "102", "103", "104", "105", "106", "107", "108")),  # MPEG, HEVC
)
"""What a request lists that takes instances as they are stored: RAD-69 has no wildcard. The JPIP syntaxes are
left out, they put a URL in the place of the pixel data."""
