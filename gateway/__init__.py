"""Async gateway between FHIR (IHE MHD) and the SOAP world of XDS.b and XDS-I.b."""

__version__ = "0.1.0"
