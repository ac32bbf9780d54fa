"""Two judges of FHIR that are none of ours: fhirkit-rs (plain R4) and fhir.resources (R4B).

They know elements, types and cardinality, and neither invariants nor profiles, which HAPI FHIR's validator in
`tests/interop` knows.
"""

import fhirkit
import orjson
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError


def errors_of(resource: dict | bytes) -> list[str]:
    """What either of them finds wrong; empty for a valid resource."""
    values = orjson.loads(resource) if isinstance(resource, bytes) else resource
    found = [f"fhirkit: {issue}" for issue in fhirkit.validate(values)]
    try:
        get_fhir_model_class(values["resourceType"]).model_validate(values)
    except ValidationError as error:
        found += [f"fhir.resources: {e['loc']}: {e['msg']}" for e in error.errors(include_url=False)]
    return found
