"""An embedded XDS.b affinity domain: Document Registry, Document Repository, Imaging Document Source,
and a patient manager beside them.

It is the domain of a first run, of the tests and of a small site: SQLite for metadata, files for
documents, both durable before anything is acknowledged; images are DICOM files in folders, patients FHIR
resources. It is reached by SOAP and DICOMweb only, the patient manager by FHIR. Sources: ITI TF-2 3.18, 3.41,
3.42, 3.43; ITI TF-3 4; RAD TF 4.69, 4.107; IHE PIXm 3.1.0, IHE PDQm 3.2.0.
"""
