"""What Patients are searched by (ITI-78; IHE PDQm 3.2.0 2:3.78.4.1.2.1)."""

from typing import Final

from gateway.fhir.patient_view import KEY_LETTERS
from gateway.fhir.search_table import NAMED, Kind, ParameterTable, SearchParameter
from gateway.model.codes import FHIR_SEARCH_PARAMETER
from gateway.model.codes import MOTHERS_MAIDEN_NAME as MAIDEN_NAME

MAIDEN: Final = "mothersMaidenName"
COMMUNITIES: Final = "targetCommunityIdList"
ADDRESS_PARTS: Final = {
    "address-city": "city",
    "address-country": "country",
    "address-postalcode": "postalCode",
    "address-state": "state",
}
"""Elements of Address by parameter; `address` is any of its texts."""


def _text(name: str, expression: str, definition: str, what: str) -> SearchParameter:
    return SearchParameter(
        name,
        Kind.STRING,
        expression,
        FHIR_SEARCH_PARAMETER + definition,
        f"Start of {what}, without regard to case and accents; {KEY_LETTERS} letters or more narrow down who "
        "is looked at.",
        modifiers=NAMED,
    )


def _token(name: str, definition: str, documentation: str, *, element: str = "") -> SearchParameter:
    return SearchParameter(
        name, Kind.TOKEN, f"Patient.{element or name}", FHIR_SEARCH_PARAMETER + definition, documentation
    )


PATIENT_PARAMETERS: Final = ParameterTable(
    "Patient",
    (
        _token(
            "identifier",
            "Patient-identifier",
            "system|value, or the value alone in whatever domain. system| alone wants an identifier in the "
            "domain, and only identifiers of such domains are given; 404 where one is not known.",
        ),
        _token("_id", "Resource-id", "The id of a Patient of this server.", element="id"),
        SearchParameter(
            "_lastUpdated",
            Kind.DATE,
            "Patient.meta.lastUpdated",
            FHIR_SEARCH_PARAMETER + "Resource-lastUpdated",
            "When documents of the patient were last submitted, or what the patient manager says.",
        ),
        _token("active", "Patient-active", "true or false; true unless a source says otherwise."),
        _text("name", "Patient.name", "Patient-name", "a part of a name"),
        _text("family", "Patient.name.family", "individual-family", "the family name"),
        _text("given", "Patient.name.given", "individual-given", "a given name"),
        _token("telecom", "individual-telecom", "A number or an address, however it is set out."),
        SearchParameter(
            "birthdate",
            Kind.DATE,
            "Patient.birthDate",
            FHIR_SEARCH_PARAMETER + "individual-birthdate",
            "Every prefix and precision; a day narrows down who is looked at.",
        ),
        _text("address", "Patient.address", "individual-address", "any part of an address"),
        *(
            _text(name, f"Patient.address.{part}", f"individual-{name}", f"{part} of an address")
            for name, part in ADDRESS_PARTS.items()
        ),
        _token("gender", "individual-gender", "male, female, other or unknown."),
        _text(
            MAIDEN,
            f"Patient.extension('{MAIDEN_NAME}').value",
            "patient-extensions-Patient-mothersMaidenName",
            "the maiden name of the mother",
        ),
        SearchParameter(
            COMMUNITIES,
            Kind.URI,
            "Patient.meta.source",
            None,
            "homeCommunityIds of the communities to ask (ITI-55, with a name and the day of birth, or with "
            "an identifier); the own one alone without it.",
        ),
    ),
)
