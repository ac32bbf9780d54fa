"""The two formats of FHIR that servers of IHE MHD speak (IHE MHD 4.2.4 3.65.4.1; ITI TF-2 Appendix Z.6).

Everything in this package works on FHIR JSON. XML is read into it and written from it, and only where a
client asks for XML.
"""

from enum import StrEnum

import orjson

from gateway.fhir.datatypes import Json
from gateway.fhir.strict_json import read_json
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml


class FhirFormat(StrEnum):
    """A format by its media type."""

    JSON = "application/fhir+json"
    XML = "application/fhir+xml"


def read_resource(raw: bytes, wire_format: FhirFormat, root: str) -> Json:
    """The resource in a request body. `root` names it in findings. Raises OutcomeError 400."""
    return read_xml(raw) if wire_format is FhirFormat.XML else read_json(raw, root)


def write_resource(resource: bytes, wire_format: FhirFormat, *, pretty: bool = False) -> bytes:
    """A resource of this server, which is held as JSON, as the client wants to see it."""
    if wire_format is FhirFormat.XML:
        return write_xml(orjson.loads(resource), pretty=pretty)
    return orjson.dumps(orjson.loads(resource), option=orjson.OPT_INDENT_2) if pretty else resource
