"""Coding scheme designators of DICOM and the OIDs of the model (DICOM PS3.16 section 8).

A designator that is not listed here may be identified by the document itself, in Coding Scheme
Identification Sequence (0008,0110). Otherwise it stays what it is: `99ACME`.
"""

import re
from collections.abc import Iterable
from typing import Final

from gateway.model.imaging_codes import DCM, DCMUID, LOINC, SNOMED
from gateway.model.oids import is_oid

_DESIGNATORS: Final[dict[str, str]] = {
    "DCM": DCM,
    "SCT": SNOMED,
    "SRT": SNOMED,
    "SNM3": "2.16.840.1.113883.6.51",
    "99SDM": "2.16.840.1.113883.6.53",
    "DCMUID": DCMUID,
    "LN": LOINC,
    "UCUM": "2.16.840.1.113883.6.8",
    "ACR": "2.16.840.1.113883.6.76",
    "RADLEX": "2.16.840.1.113883.6.256",
    "FMA": "2.16.840.1.113883.6.119",
    "UMLS": "2.16.840.1.113883.6.86",
    "I10": "2.16.840.1.113883.6.3",
    "C4": "2.16.840.1.113883.6.12",
}
_OTHER_SPELLINGS: Final = {"SNOMED-CT": "SCT", "LOINC": "LN", "RadLex": "RADLEX"}
_OIDS: Final = {oid: designator for designator, oid in _DESIGNATORS.items() if designator != "SRT"}

_LOCAL: Final = "99GW"
_PLAIN: Final = re.compile(rf"(?!{_LOCAL}\d)[^\\:\x00-\x1f\x7f-\U0010ffff]{{0,16}}")
"""A scheme that can stand as designator: SH, and none of those that a writer introduces."""


def scheme_of(designator: str, identified: dict[str, str]) -> str:
    """The scheme of the model: an OID where the designator or the document's own `identified` has one."""
    known = _DESIGNATORS.get(_OTHER_SPELLINGS.get(designator, designator)) or identified.get(designator)
    if known:
        return known
    for prefix in ("urn:oid:", "oid:"):
        if designator.lower().startswith(prefix) and is_oid(designator[len(prefix) :]):
            return designator[len(prefix) :]
    return designator


def designator_of(code: str, scheme: str) -> str | None:
    """The designator for a code of the scheme; None where the document has to introduce one.

    Codes of SNOMED RT (`T-D3000`) live under the OID of SNOMED CT and have a designator of their own.
    """
    if scheme == SNOMED:
        return "SCT" if code.isdigit() else "SRT"
    if known := _OIDS.get(scheme):
        return known
    return scheme if _PLAIN.fullmatch(scheme) and not is_oid(scheme) else None


def introduced(schemes: Iterable[str]) -> dict[str, str]:
    """Designators for schemes that have none, in order: `99GW1`, `99GW2`."""
    return {scheme: f"{_LOCAL}{number}" for number, scheme in enumerate(dict.fromkeys(schemes), start=1)}
