"""What the reader of FHIR manifests tolerates, by name: one table of rules with severity and text.

The texts hold no value of the document, so that a finding can be logged and shown. Rules that key object
documents have too bear the same names there.
"""

from typing import Final

from gateway.model.imaging import Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.INFORMATION

RULES: Final[dict[str, tuple[Severity, str]]] = {
    # JSON
    "wrong-type": (_WARNING, "The value is of another type than FHIR gives it; it was left out."),
    "text-as-number": (_NOTE, "A number stands where text has to be; it was taken as text."),
    "number-as-text": (_NOTE, "Text stands where a number has to be; it was read as number."),
    "number-invalid": (_WARNING, "The number is negative or too large; it was left out."),
    "list-as-one": (_NOTE, "A list stands where one value has to be; the first one was read."),
    "one-as-list": (_NOTE, "One value stands where a list has to be; it was read as the only one."),
    # document
    "bundle-type": (_NOTE, "The Bundle is no document."),
    "no-bundle": (_NOTE, "There is an ImagingStudy alone, without the Bundle of a manifest."),
    "no-composition": (_NOTE, "The Bundle has no Composition."),
    "document-id-missing": (_WARNING, "The document has no identifier; one was derived from its study."),
    "document-id-uuid": (_NOTE, "The identifier of the document is a UUID; its OID below 2.25 was taken."),
    "document-id-derived": (_WARNING, "The identifier of the document is no OID; one was derived from it."),
    "document-id-differs": (
        _WARNING,
        "Bundle and Composition differ in their identifiers; the Bundle counts.",
    ),
    "document-type": (_WARNING, "The type of the document is none of an imaging study."),
    "document-type-legacy": (_NOTE, "The type of the document is the one of manifests before MADO."),
    "profile-legacy": (_NOTE, "The resource claims a profile under its former canonical."),
    "category-legacy": (_NOTE, "The category of the document is of the former code system."),
    "time-missing": (_WARNING, "The document does not say when it was made."),
    # references
    "reference-unresolved": (_WARNING, "The reference names nothing in the document."),
    "reference-type": (_WARNING, "The reference names a resource of another type than it has to."),
    "study-unreferenced": (_NOTE, "The Composition does not refer to the ImagingStudy."),
    "order-unreferenced": (
        _NOTE,
        "The study is not based on the ServiceRequest; it was taken as one of its requests.",
    ),
    # identifiers and codes
    "uid-prefix": (_NOTE, "The UID is written with or without urn:oid: against the rule; it was read."),
    "uid-invalid": (_WARNING, "The value is no valid UID (DICOM PS3.5 section 9.1); it was taken as it is."),
    "uid-missing": (_ERROR, "The UID is missing; what it names was left out."),
    "uid-system": (_NOTE, "The identifier of the study has another system than urn:dicom:uid; it was read."),
    "uid-type": (_NOTE, "The identifier of the study has no type (DCM 110180); its system tells."),
    "sop-class-missing": (_WARNING, "The SOP class of the instance is missing."),
    "sop-class-system": (_NOTE, "The SOP class has another system than urn:ietf:rfc:3986; it was read."),
    "identifier-untyped": (_WARNING, "The identifier has no type; it was taken as the accession number."),
    "issuer-empty": (_NOTE, "The system of the identifier is empty; it was taken as absent."),
    "issuer-not-a-uri": (_NOTE, "The system of the identifier is a bare OID; it was read."),
    "accession-differs": (
        _WARNING,
        "The study gives another accession number than its request; the request counts.",
    ),
    "accession-in-study": (
        _NOTE,
        "The accession number is an identifier of the study; it was taken as a request.",
    ),
    "code-incomplete": (_WARNING, "The code has no value or no system."),
    "procedure-without-code": (
        _NOTE,
        "The procedure has text and no code; the text has no place beside the description.",
    ),
    "procedure-as-description": (_NOTE, "The text of the procedure was taken as description of the study."),
    "r5-element": (_NOTE, "The element has the form of FHIR R5; it was read."),
    # times
    "date-invalid": (_WARNING, "The value is no date or time of FHIR; it was left out."),
    "date-partial": (_WARNING, "The date has no day, which DICOM needs; it was left out."),
    "time-zone-missing": (_WARNING, "The time has no zone: it was not taken for UTC."),
    "fraction-cut": (_NOTE, "The fraction of the second is finer than a microsecond; it was cut."),
    # study, series, instances
    "patient-missing": (_WARNING, "The subject of the study is not in the document."),
    "sex-invalid": (_NOTE, "The gender has no counterpart in Patient's Sex; it was left out."),
    "name-as-text": (_NOTE, "The name is not divided into its parts; it was taken as family name."),
    "series-count-missing": (_NOTE, "The number of series is not stated."),
    "series-count-differs": (_WARNING, "The number of series stated is not that of the series listed."),
    "instance-count-missing": (_NOTE, "The number of instances is not stated."),
    "instance-count-differs": (
        _WARNING,
        "The number of instances stated is not that of the instances listed.",
    ),
    "no-series": (_ERROR, "The study lists no series."),
    "series-empty": (_WARNING, "The series has no instances."),
    "series-repeated": (_WARNING, "The series is listed twice; both were kept."),
    "instance-repeated": (_WARNING, "The instance is listed twice in its series; both were kept."),
    "modality-missing": (_WARNING, "The series has no modality."),
    "several-body-sites": (_NOTE, "The series has more than one body site."),
    # endpoints
    "location-missing": (_WARNING, "The series has no endpoint that says where it can be retrieved."),
    "location-uid-missing": (_NOTE, "The endpoint has no Retrieve Location UID."),
    "location-uid-invalid": (_WARNING, "The Retrieve Location UID is no UID; it was taken as it is."),
    "location-uid-prefix": (_NOTE, "The Retrieve Location UID has a prefix; it was taken without."),
    "location-at-study": (
        _NOTE,
        "The endpoint stands at the study; it was taken for the series without one.",
    ),
    "connection-type": (
        _WARNING,
        "The connection type of the endpoint is not dicom-wado-rs; it was read as such.",
    ),
    "placeholder-address": (_NOTE, "The address of the endpoint is a placeholder; it was taken as absent."),
    "several-viewers": (_NOTE, "The study has more than one viewer; the first one was read."),
}
