"""The FHIR side's use cases, one module per transaction of IHE MHD."""
