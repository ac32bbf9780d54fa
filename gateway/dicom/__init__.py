"""DICOM key-object manifests <-> model, DICOMweb formats."""
