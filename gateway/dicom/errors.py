"""What ends the reading of a DICOM document; anything less is a finding (`gateway.dicom.findings`)."""


class DicomError(Exception):
    """The bytes cannot be read as DICOM. The text names the rule and has no patient data."""


class NotAManifest(DicomError):
    """DICOM, but no key object document that could be the manifest of a study."""
