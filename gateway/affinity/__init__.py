"""An embedded XDS.b affinity domain: Document Registry, Document Repository and Imaging Document Source.

It is the domain of a first run, of the tests and of a small site: SQLite for metadata, files for
documents, both durable before anything is acknowledged; images are DICOM files in folders. It is reached by
SOAP and DICOMweb only. Sources: ITI TF-2 3.18, 3.41, 3.42, 3.43; ITI TF-3 4; RAD TF 4.69, 4.107.
"""
