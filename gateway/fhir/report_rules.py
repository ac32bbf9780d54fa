"""What the guide asks of an imaging report, by name: one table of rules with severity and text
(HL7 Europe Imaging Report 1.0.0-ballot and the base rules of FHIR that it builds on).

An error is what a profile or invariant of the guide makes mandatory, a warning what it expects beyond that.
The texts hold no value of the report, so that a finding can be logged and shown.
"""

from typing import Final

from gateway.model.imaging import Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.INFORMATION

_BUNDLE: Final[dict[str, tuple[Severity, str]]] = {
    "bundle-type": (
        _ERROR,
        "A report with a Composition is a Bundle of type document, one with a DiagnosticReport alone is of "
        "type collection.",
    ),
    "bundle-identifier": (_ERROR, "The document has no identifier with system and value."),
    "bundle-timestamp": (_ERROR, "The document has no timestamp (bdl-10)."),
    "bundle-total": (_ERROR, "The Bundle of a report has no total."),
    "bundle-link": (_ERROR, "A report with minimal metadata has no link."),
    "entry-resource": (_ERROR, "An entry of a report has a resource."),
    "entry-not-in-report": (_ERROR, "An entry of a report has no link, search, request and response."),
    "full-url-missing": (_ERROR, "Every entry of a report has a fullUrl."),
    "full-url-repeated": (_ERROR, "Another entry has the same fullUrl."),
    "full-url-invalid": (_ERROR, "A fullUrl is an absolute URI."),
    "full-url-id": (_WARNING, "The fullUrl does not end with the type and the id of its resource."),
    "composition-first": (_ERROR, "The first entry of a document is its Composition (bdl-11)."),
    "composition-repeated": (_ERROR, "A report has one Composition."),
    "diagnostic-report-missing": (_ERROR, "A report has a DiagnosticReport."),
    "diagnostic-report-repeated": (_ERROR, "A report has one DiagnosticReport."),
    "patient-missing": (_ERROR, "A report with sections has a Patient among its entries."),
    "patient-repeated": (_ERROR, "A report has one Patient."),
    "imaging-study-missing": (_ERROR, "A report with sections has an ImagingStudy among its entries."),
    "imaging-study-repeated": (_ERROR, "A report with minimal metadata has at most one ImagingStudy."),
    "entry-unrelated": (
        _ERROR,
        "No reference leads from the Composition to this entry, nor from it to the Composition; a document "
        "holds nothing else.",
    ),
    "reference-dangling": (_ERROR, "The reference names nothing in the report."),
    "reference-outside": (_WARNING, "The reference names a resource outside of the report."),
    "reference-by-id": (
        _NOTE,
        "The reference fits an entry by type and id, and not by its fullUrl; it was followed.",
    ),
    "reference-contained": (_ERROR, "The reference names a contained resource that is not there."),
    "attachment-dangling": (_ERROR, "The url of the attachment names nothing in the report."),
    "attachment-outside": (_WARNING, "The url of the attachment leads out of the report."),
    "profile-missing": (_NOTE, "The Bundle does not claim the profile of a report."),
    "profile-legacy": (_NOTE, "The resource claims a profile under its former canonical."),
    "profile-differs": (_WARNING, "The Bundle claims the profile of the other format of reports."),
}

_SHARED: Final[dict[str, tuple[Severity, str]]] = {
    "accession-missing": (
        _ERROR,
        "A reference to the order has the accession number as identifier.",
    ),
    "accession-type": (_ERROR, "The identifier of an order has the type ACSN of v2-0203."),
    "accession-system": (_ERROR, "An accession number has its issuer as system."),
    "accession-value": (_ERROR, "An accession number has a value."),
    "study-uid-missing": (
        _ERROR,
        "A study has one identifier of type DCM 110180 in the system urn:dicom:uid.",
    ),
    "study-uid-repeated": (_ERROR, "A study has no second Study Instance UID."),
    "study-uid-type": (_ERROR, "A Study Instance UID has the type DCM 110180."),
    "study-uid-system": (_ERROR, "A Study Instance UID has the system urn:dicom:uid."),
    "study-uid-value": (_ERROR, "A Study Instance UID has a value."),
    "study-uid-prefix": (_WARNING, "A Study Instance UID is written with urn:oid: (im-imagingstudy-01)."),
    "study-uid-invalid": (_WARNING, "The Study Instance UID is no valid UID; it was taken as it is."),
    "category-report": (_ERROR, "The category LOINC 85430-7 is missing."),
    "category-imaging": (_ERROR, "The category Medical-Imaging is missing."),
    "category-system": (
        _WARNING,
        "The category Medical-Imaging is of the code system of the other release; it was read.",
    ),
    "category-repeated": (_ERROR, "A category that the guide fixes is there more than once."),
}

_COMPOSITION: Final[dict[str, tuple[Severity, str]]] = {
    "composition-status": (_ERROR, "A Composition has a status."),
    "composition-type": (_ERROR, "A Composition has a type."),
    "composition-type-loinc": (_NOTE, "The type of a report is preferably a code of LOINC."),
    "composition-date": (_ERROR, "A Composition has a date."),
    "composition-author": (_ERROR, "A Composition has an author."),
    "composition-title": (_ERROR, "A Composition has a title."),
    "composition-identifier": (_ERROR, "The Composition of a report has an identifier."),
    "composition-subject": (_ERROR, "The Composition of a report has a subject."),
    "composition-subject-patient": (_ERROR, "The subject of a report is a Patient among its entries."),
    "attester-time": (_ERROR, "An attester of mode legal or professional has a time."),
    "section-imagingstudy": (_ERROR, "The section of the imaging study (LOINC 18726-0) is missing."),
    "section-order": (_ERROR, "The section of the order (LOINC 55115-0) is missing."),
    "section-history": (_ERROR, "The section of the history (LOINC 11329-0) is missing."),
    "section-procedure": (_ERROR, "The section of the procedure (LOINC 55111-9) is missing."),
    "section-repeated": (_ERROR, "The guide has this section once."),
    "section-code": (_ERROR, "A section has a code."),
    "section-study-entry": (_ERROR, "The section of the imaging study has an ImagingStudy as entry."),
    "section-empty": (
        _ERROR,
        "A section without entries, sub-sections and note has an emptyReason (eu-imaging-composition-1).",
    ),
    "section-content": (
        _ERROR,
        "A section has text, entries or sub-sections (eu-imaging-composition-2).",
    ),
    "section-not-empty": (_ERROR, "A section with entries has no emptyReason (cmp-2)."),
    "section-text": (_WARNING, "The section has entries and no text that shows them."),
    "section-entry-type": (_NOTE, "The guide has entries of another type in this section."),
}

_REPORT: Final[dict[str, tuple[Severity, str]]] = {
    "report-identifier": (_ERROR, "The DiagnosticReport has an identifier."),
    "report-status": (_ERROR, "A DiagnosticReport has a status."),
    "report-code": (_ERROR, "A DiagnosticReport has a code."),
    "report-subject": (_ERROR, "The DiagnosticReport has a subject."),
    "report-composition": (
        _ERROR,
        "The DiagnosticReport refers to its Composition (R4: extension DiagnosticReport.composition).",
    ),
    "report-composition-target": (_ERROR, "What the DiagnosticReport names is not its Composition."),
    "report-composition-minimal": (_ERROR, "A report with minimal metadata has no Composition."),
    "report-result": (_ERROR, "In FHIR R5 the guide demands a result."),
    "report-result-of-sections": (
        _ERROR,
        "An Observation of a section is a result of the DiagnosticReport, or a member of one (dgr-1).",
    ),
    "order-both": (_ERROR, "An order is named by reference or by identifier here, not by both."),
    "order-neither": (_ERROR, "An order is named by reference or by its accession number."),
    "study-both": (_ERROR, "A study is named by reference or by identifier here, not by both."),
    "study-neither": (_ERROR, "A study is named by reference or by its Study Instance UID."),
    "pdf-missing": (_ERROR, "A report with minimal metadata has a PDF as presentedForm."),
    "pdf-empty": (_ERROR, "The PDF has neither data nor url."),
    "identifiers-differ": (_ERROR, "Composition and DiagnosticReport have no identifier in common."),
    "subjects-differ": (_ERROR, "Composition and DiagnosticReport have different subjects."),
    "organizations-differ": (
        _ERROR,
        "The organizations among the performers of the DiagnosticReport are those among the authors of the "
        "Composition (dr-comp-author-org).",
    ),
    "categories-differ": (_WARNING, "Composition and DiagnosticReport have different categories."),
    "studies-differ": (_WARNING, "Composition and DiagnosticReport name different studies."),
    "types-differ": (_WARNING, "The type of the Composition is not the code of the DiagnosticReport."),
}

_CONTENT: Final[dict[str, tuple[Severity, str]]] = {
    "patient-name": (_ERROR, "A Patient has a name (EU Core)."),
    "patient-birth-date": (_ERROR, "A Patient has a birthDate (EU Core)."),
    "practitioner-name": (_WARNING, "A Practitioner has a name (EU Core)."),
    "organization-name": (_WARNING, "An Organization has a name (EU Core)."),
    "study-status": (_ERROR, "An ImagingStudy has a status."),
    "study-subject": (_ERROR, "An ImagingStudy has a subject."),
    "study-endpoint": (
        _WARNING,
        "A report says which images there are, not where; its studies have no endpoint.",
    ),
    "series-uid": (_ERROR, "A series has a uid."),
    "series-modality": (_ERROR, "A series has a modality."),
    "instance-uid": (_ERROR, "An instance has a uid."),
    "instance-sop-class": (_ERROR, "An instance has a sopClass."),
    "order-category": (_ERROR, "An imaging order has the category SNOMED CT 363679005."),
    "order-status": (_ERROR, "An imaging order has a status."),
    "order-intent": (_ERROR, "An imaging order has an intent."),
    "order-subject": (_ERROR, "An imaging order has a subject."),
    "procedure-status": (_ERROR, "An imaging procedure has a status."),
    "procedure-code": (_ERROR, "An imaging procedure has a code."),
    "procedure-subject": (_ERROR, "An imaging procedure has a subject."),
    "procedure-function": (_ERROR, "A performer of an imaging procedure has a function."),
    "observation-status": (_ERROR, "An Observation has a status."),
    "observation-code": (_ERROR, "An Observation has a code."),
    "observation-uid-type": (
        _ERROR,
        "The SOP Instance UID of an Observation has the type 00080018 of the guide's code system.",
    ),
    "dose-code": (_ERROR, "A radiation dose has the code LOINC 73569-6."),
    "dose-subject": (_ERROR, "A radiation dose has a subject."),
    "dose-value": (_ERROR, "A radiation dose has a valueString."),
    "dose-study": (_ERROR, "A radiation dose is derived from one ImagingStudy."),
    "device-category": (_ERROR, "An imaging device has the category SNOMED CT 314789007."),
    "device-status": (_ERROR, "An imaging device has a status."),
    "selection-content": (_ERROR, "A Basic that stands for an ImagingSelection has its extension."),
    "selection-status": (_ERROR, "An ImagingSelection has a status."),
    "selection-code": (_ERROR, "An ImagingSelection has a code."),
    "selection-study": (_ERROR, "An ImagingSelection is derived from one ImagingStudy."),
    "sr-instance-identifier": (
        _ERROR,
        "A selected DICOM SR has its SOP Instance UID as identifier: type 00080018, system urn:dicom:uid.",
    ),
    "sr-instance-study": (_ERROR, "A selected DICOM SR has a studyUid."),
    "sr-instance-series": (_ERROR, "A selected DICOM SR has a seriesUid."),
    "sr-instance-instance": (_ERROR, "A selected DICOM SR is one instance with a uid."),
    "key-image-category": (_ERROR, "A key image has the category LOINC 55113-5."),
    "key-image-subject": (_ERROR, "A key image has a subject."),
    "key-image-modality": (_ERROR, "A key image has a modality."),
    "key-image-content": (
        _ERROR,
        "A key image has one content with url that is marked as no thumbnail.",
    ),
}

_READING: Final[dict[str, tuple[Severity, str]]] = {
    "wrong-type": (_WARNING, "The value is of another type than FHIR gives it; it was left out."),
    "text-as-number": (_NOTE, "A number stands where text has to be; it was taken as text."),
    "list-as-one": (_NOTE, "A list stands where one value has to be; the first one was read."),
    "one-as-list": (_NOTE, "One value stands where a list has to be; it was read as the only one."),
    "code-incomplete": (_WARNING, "The code has no system."),
    "r5-element": (_NOTE, "The element has the form of FHIR R5; it was read."),
    "issuer-empty": (_NOTE, "The system of the identifier is empty; it was taken as absent."),
    "issuer-not-a-uri": (_NOTE, "The system of the identifier is a bare OID; it was read."),
    "name-as-text": (_NOTE, "The name is not divided into its parts; it was taken as family name."),
    "date-invalid": (_WARNING, "The value is no date or time of FHIR; it was left out."),
    "date-partial": (_WARNING, "The date has no day; it was left out."),
    "fraction-cut": (_NOTE, "The fraction of the second is finer than a microsecond; it was cut."),
    "time-zone-missing": (_WARNING, "The time has no zone; its date was taken."),
}

RULES: Final[dict[str, tuple[Severity, str]]] = {
    **_BUNDLE,
    **_SHARED,
    **_COMPOSITION,
    **_REPORT,
    **_CONTENT,
    **_READING,
}
