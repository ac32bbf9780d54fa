"""The search parameters of List (ITI-66, IHE MHD 4.2.4 2:3.66.4.1.2; FHIR R4), as one table."""

from gateway.fhir.search_table import (
    CODED,
    DATED,
    Kind,
    ParameterTable,
    SearchParameter,
    identifier_parameters,
    patient_parameters,
    person_parameters,
)
from gateway.model.codes import (
    EXT_DESIGNATION_TYPE,
    EXT_SOURCE_ID,
    FHIR_SEARCH_PARAMETER,
    MHD_SEARCH_PARAMETER,
)

LIST_PARAMETERS = ParameterTable(
    "List",
    (
        *patient_parameters("List"),
        SearchParameter(
            "code",
            Kind.TOKEN,
            "List.code",
            FHIR_SEARCH_PARAMETER + "clinical-code",
            "submissionset or folder; both are searched where it is not sent.",
            modifiers=frozenset({"not"}),
        ),
        SearchParameter(
            "status",
            Kind.TOKEN,
            "List.status",
            FHIR_SEARCH_PARAMETER + "List-status",
            "current; superseded, retired and entered-in-error are taken, but no List has them.",
            modifiers=frozenset({"not", "missing"}),
        ),
        SearchParameter(
            "date",
            Kind.DATE,
            "List.date",
            FHIR_SEARCH_PARAMETER + "clinical-date",
            "submissionTime or lastUpdateTime. Every prefix and precision.",
            modifiers=DATED,
            sortable=True,
        ),
        SearchParameter(
            "designationType",
            Kind.TOKEN,
            f"List.extension('{EXT_DESIGNATION_TYPE}').value.ofType(CodeableConcept)",
            MHD_SEARCH_PARAMETER + "List-DesignationType",
            "contentTypeCode of a SubmissionSet, codeList of a Folder; asked of the registry where system "
            "and code are given.",
            modifiers=CODED,
        ),
        *person_parameters("List", "source", "an author of a SubmissionSet"),
        SearchParameter(
            "sourceId",
            Kind.TOKEN,
            f"List.extension('{EXT_SOURCE_ID}').value.ofType(Identifier)",
            MHD_SEARCH_PARAMETER + "List-SourceId",
            "OID of the source of a SubmissionSet, bare or as urn:oid:. As source.given and source.family it "
            "is left out with a warning where Folders alone are searched, which have no source.",
        ),
        *identifier_parameters("List", "List.identifier", "The same as date."),
    ),
)
