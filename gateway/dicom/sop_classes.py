"""Storage SOP classes (DICOM PS3.4 B.5): the modality that makes one, and how content refers to it."""

from collections.abc import Iterable
from typing import Final

from gateway.model.imaging_codes import KOS_SOP_CLASS

KEY_OBJECT_SELECTION: Final = KOS_SOP_CLASS

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

_MODALITIES: Final[dict[str, str]] = {
    "1": "CR",
    "1.1": "DX",
    "1.1.1": "DX",
    "1.2": "MG",
    "1.2.1": "MG",
    "1.3": "IO",
    "1.3.1": "IO",
    "2": "CT",
    "2.1": "CT",
    "2.2": "CT",
    "3": "US",
    "3.1": "US",
    "6": "US",
    "6.1": "US",
    "6.2": "US",
    "4": "MR",
    "4.1": "MR",
    "4.2": "MR",
    "4.3": "MR",
    "4.4": "MR",
    "5": "NM",
    "20": "NM",
    "12.1": "XA",
    "12.1.1": "XA",
    "12.2": "RF",
    "12.2.1": "RF",
    "13.1.1": "XA",
    "13.1.2": "DX",
    "13.1.3": "MG",
    "14.1": "IVOCT",
    "14.2": "IVOCT",
    "77.1.1": "ES",
    "77.1.1.1": "ES",
    "77.1.2": "GM",
    "77.1.2.1": "GM",
    "77.1.3": "SM",
    "77.1.6": "SM",
    "77.1.4": "XC",
    "77.1.4.1": "XC",
    "77.1.5.1": "OP",
    "77.1.5.2": "OP",
    "77.1.5.4": "OPT",
    "78.1": "LEN",
    "78.2": "AR",
    "78.3": "KER",
    "78.4": "SRF",
    "78.8": "IOL",
    "80.1": "OPV",
    "9.1.1": "ECG",
    "9.1.2": "ECG",
    "9.1.3": "ECG",
    "9.2.1": "HD",
    "9.3.1": "EPS",
    "11.1": "PR",
    "11.2": "PR",
    "11.3": "PR",
    "11.4": "PR",
    "66.1": "REG",
    "66.3": "REG",
    "66.4": "SEG",
    "66.2": "FID",
    "67": "RWV",
    "88.11": "SR",
    "88.22": "SR",
    "88.33": "SR",
    "88.34": "SR",
    "88.35": "SR",
    "88.40": "SR",
    "88.50": "SR",
    "88.65": "SR",
    "88.67": "SR",
    "88.68": "SR",
    "88.59": "KO",
    "128": "PT",
    "128.1": "PT",
    "130": "PT",
    "104.3": "M3D",
    "481.1": "RTIMAGE",
    "481.2": "RTDOSE",
    "481.3": "RTSTRUCT",
    "481.5": "RTPLAN",
    "481.4": "RTRECORD",
    "481.6": "RTRECORD",
    "481.7": "RTRECORD",
    "481.8": "RTPLAN",
    "481.9": "RTRECORD",
}
"""Only classes that one modality makes; secondary captures, encapsulated documents, raw data are any's."""

_NO_IMAGES: Final = (
    "9.",
    "11.",
    "66",
    "67",
    "68.",
    "78.",
    "79.",
    "80.",
    "88.",
    "104.",
    "200.",
    "4.2",
    "481.",
)
_WAVEFORMS: Final = "9."
_STILL_IMAGES: Final = frozenset({"481.1", "481.2", "66.4"})


def modality_of(sop_class_uid: str) -> str | None:
    """The modality (DICOM CID 29) whose instances have the class; None where several do."""
    return _MODALITIES.get(sop_class_uid[len(_STORAGE) :]) if sop_class_uid.startswith(_STORAGE) else None


def common_modality(sop_class_uids: Iterable[str]) -> str | None:
    """The modality of a series whose instances have these classes; None where that is not certain."""
    made_by = {modality_of(uid) for uid in sop_class_uids}
    return made_by.pop() if len(made_by) == 1 else None


def value_type_of(sop_class_uid: str) -> str:
    """How a content item refers to an instance: IMAGE, WAVEFORM or COMPOSITE (PS3.3 C.17.3.2.1)."""
    if not sop_class_uid.startswith(_STORAGE):
        return "COMPOSITE"
    kind = sop_class_uid[len(_STORAGE) :]
    if kind.startswith(_WAVEFORMS):
        return "WAVEFORM"
    return "COMPOSITE" if kind.startswith(_NO_IMAGES) and kind not in _STILL_IMAGES else "IMAGE"
