"""Why there are no images, as OperationOutcomes with the status that DICOMweb gives them (PS3.18 8.5)."""

from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.outcome import outcome_of_failure, outcome_of_peer_error
from gateway.imaging.plan import NoSuchImage
from gateway.imaging.retrieve import OTHER_SYNTAX, UNREACHABLE, NoImages
from gateway.model.errors import PeerError, RegistryFailure

_WADO_SYNTAX = "urn:dicom:wado:0007"
_NOT_LET_IN = "HTTP 403"
_OTHER_SYNTAX = frozenset({OTHER_SYNTAX, "HTTP 406", _WADO_SYNTAX})


def no_such_image(error: NoSuchImage) -> OutcomeError:
    """404: the manifest does not list it, whatever a source may hold."""
    return fail(404, "not-found", f"The manifest of the study lists no such {error.level}.")


def no_images(error: NoImages) -> OutcomeError:
    """404, 406, or what the source that failed stands for (403, 502, 503, 504)."""
    codes = {e.code for e in error.errors}
    refused = error.failures and all(map(_refuses_syntax, error.failures))
    if refused or (codes and codes <= _OTHER_SYNTAX):
        return fail(
            406,
            "not-supported",
            "No instance is stored in one of the transfer syntaxes that were asked for, and nothing is "
            "re-encoded here. Ask for transfer-syntax=*.",
        )
    for failure in error.failures:
        return (
            outcome_of_peer_error(failure) if isinstance(failure, PeerError) else outcome_of_failure(failure)
        )
    if _NOT_LET_IN in codes:
        return fail(
            403,
            "forbidden",
            "The source of the images does not let this gateway have them (HTTP 403); an operator can "
            "have it given the right there.",
        )
    if codes == {UNREACHABLE}:
        return fail(
            404,
            "not-found",
            "The manifest names no location that this gateway reaches; an operator can add it to the setting "
            "imaging.locations.",
            details_code="XDSUnknownRepositoryId",
        )
    return fail(
        404,
        "not-found",
        "The manifest lists the images, but their source does not give one of them.",
        details_code="XDSDocumentUniqueIdError",
    )


def _refuses_syntax(failure: PeerError | RegistryFailure) -> bool:
    """True for a source that has the instances in other transfer syntaxes only.

    Sources say it by the code of DICOM PS3.18, or in the text of an XDSRepositoryError.
    """
    return isinstance(failure, RegistryFailure) and all(
        e.code == _WADO_SYNTAX or _WADO_SYNTAX in e.context for e in failure.errors
    )
