"""The search parameters of ImagingSelection, which only FHIR R5 has (FHIR R5 ImagingSelection, search).

What is searched is the Basic that stands for it, see `gateway.fhir.imaging_selections`; it can be searched by
the same elements in R4, where no definition names them.
"""

from collections.abc import Iterator
from typing import Final

from gateway.fhir.imaging_selections import BASIC, SELECTION
from gateway.fhir.search_table import CODED, DATED, Kind, ParameterTable, SearchParameter, patient_parameters
from gateway.model.codes import EXT_R5, FHIR_SEARCH_PARAMETER

_MISSING: Final = frozenset({"missing"})
_INNER: Final = (
    ("status", Kind.TOKEN, "status", "Status of an ImagingSelection."),
    ("study-uid", Kind.TOKEN, "studyUid", "Study Instance UID of an ImagingSelection."),
    ("derived-from", Kind.REFERENCE, "derivedFrom", "The study of an ImagingSelection: Type/id."),
    ("based-on", Kind.REFERENCE, "basedOn", "An order of an ImagingSelection: Type/id."),
)


def inner_parameters(*, defined: bool) -> Iterator[SearchParameter]:
    """Those of the elements that a Basic has in its extension; `defined` by R5."""
    for name, kind, element, text in _INNER:
        yield SearchParameter(
            name,
            kind,
            f"{BASIC}.extension('{EXT_R5}{SELECTION}').extension('{element}').value",
            f"{FHIR_SEARCH_PARAMETER}{SELECTION}-{name}" if defined else None,
            text,
            modifiers=_MISSING,
        )


def _row(
    name: str, kind: Kind, element: str, definition: str, text: str, *, modifiers: frozenset[str] = _MISSING
) -> SearchParameter:
    return SearchParameter(
        name,
        kind,
        f"{BASIC}.{element}",
        FHIR_SEARCH_PARAMETER + definition,
        text,
        modifiers=modifiers,
        sortable=kind is Kind.DATE,
    )


SELECTION_PARAMETERS: Final = ParameterTable(
    SELECTION,
    (
        *patient_parameters(SELECTION),
        _row("_id", Kind.TOKEN, "id", "Resource-id", "The id; needs the patient.", modifiers=frozenset()),
        _row(
            "_lastUpdated",
            Kind.DATE,
            "meta.lastUpdated",
            "Resource-lastUpdated",
            "When the document was made.",
            modifiers=DATED,
        ),
        _row("identifier", Kind.TOKEN, "identifier", "clinical-identifier", "system|value, or the value."),
        _row("code", Kind.TOKEN, "code", "clinical-code", "What the images are for.", modifiers=CODED),
        *inner_parameters(defined=True),
    ),
    resource_types=(BASIC,),
)
