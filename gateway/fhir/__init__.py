"""FHIR R4 <-> model: resources, search parameters, outcomes, capability statement; pure functions."""
