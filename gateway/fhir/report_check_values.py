"""Rules that several profiles of the report guide share: mandatory elements, fixed codes, accession numbers
and Study Instance UIDs (HL7 Europe Imaging Report 1.0.0-ballot).
"""

from collections.abc import Iterable

from gateway.fhir.manifest_read_values import has_type
from gateway.fhir.report_terms import ReleaseTerms
from gateway.fhir.tolerant import Element
from gateway.model import codes
from gateway.model import imaging_codes as imaging

_CATEGORY_SYSTEMS = (imaging.EU_PRIORITY_CATEGORIES, imaging.LEGACY_EU_PRIORITY_CATEGORIES)


def has(element: Element, name: str) -> bool:
    """True where an element is there; one that says why its value is absent is."""
    held = element.value.get(name)
    if held not in (None, "", [], {}):
        return True
    beside = element.value.get(f"_{name}")
    return bool(beside and isinstance(beside, dict) and beside.get("extension"))


def require(element: Element, rules: Iterable[tuple[str, str]]) -> None:
    """Report each mandatory element that is missing; `rules` are its name and that of its rule."""
    for name, rule in rules:
        if not has(element, name):
            element.report(rule, name)


def coded(concept: Element | None, system: str, code: str) -> bool:
    """True where one of the codings of a concept is the given one."""
    return concept is not None and any(
        coding.value.get("system") == system and coding.value.get("code") == code
        for coding in concept.many("coding")
    )


def any_coded(element: Element, name: str, system: str, code: str) -> bool:
    """True where one of the concepts of a repeating element has the given coding."""
    return any(coded(concept, system, code) for concept in element.many(name))


def check_categories(element: Element, terms: ReleaseTerms) -> None:
    """The two fixed categories of Composition and DiagnosticReport, each once."""
    held = list(element.many("category"))
    of_report = [c for c in held if coded(c, imaging.LOINC_SYSTEM, imaging.LOINC_IMAGING_REPORT)]
    of_area = {s: [c for c in held if coded(c, s, imaging.MEDICAL_IMAGING)] for s in _CATEGORY_SYSTEMS}
    if not of_report:
        element.report("category-report", "category")
    if not of_area[terms.category_system]:
        other = any(of_area.values())
        element.report("category-system" if other else "category-imaging", "category")
    for found in (of_report, of_area[terms.category_system]):
        if len(found) > 1:
            found[1].report("category-repeated")


def check_orders(element: Element) -> None:
    """References to orders, each with the accession number beside it."""
    for reference in element.many("basedOn"):
        named, literal = reference.one("identifier"), reference.value.get("reference")
        kind = reference.value.get("type") or (str(literal).rsplit("/", 2)[-2:-1] or [""])[0]
        if kind in ("CarePlan", "ImmunizationRecommendation", "MedicationRequest", "NutritionOrder", "Task"):
            continue
        if named is None:
            reference.report("accession-missing", "identifier")
        else:
            check_accession(named)


def check_accession(identifier: Element) -> None:
    """An identifier that has to be an accession number."""
    if not has_type(identifier, codes.V2_IDENTIFIER_TYPE, imaging.V2_ACCESSION):
        identifier.report("accession-type", "type")
    require(identifier, (("system", "accession-system"), ("value", "accession-value")))


def check_study_uid(identifier: Element) -> None:
    """An identifier that has to be a Study Instance UID."""
    if not has_type(identifier, codes.DICOM_CODE_SYSTEM, imaging.STUDY_INSTANCE_UID):
        identifier.report("study-uid-type", "type")
    if identifier.value.get("system") != codes.DICOM_UID_SYSTEM:
        identifier.report("study-uid-system", "system")
    require(identifier, (("value", "study-uid-value"),))
    check_prefix(identifier)


def check_prefix(identifier: Element) -> None:
    """The form of a UID in the system of DICOM UIDs, which the guide only warns about."""
    value = identifier.text("value")
    if value is not None and not value.startswith("urn:oid:"):
        identifier.report("study-uid-prefix", "value")
