"""Why there are no images, as OperationOutcomes with the status that DICOMweb gives them (PS3.18 8.5)."""

from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.outcome import outcome_of_failure, outcome_of_peer_error
from gateway.imaging.plan import NoSuchImage
from gateway.imaging.retrieve import OTHER_SYNTAX, UNREACHABLE, NoImages
from gateway.model.errors import PeerError

_OTHER_SYNTAX = frozenset({OTHER_SYNTAX, "HTTP 406", "urn:dicom:wado:0007"})


def no_such_image(error: NoSuchImage) -> OutcomeError:
    """404: the manifest does not list it, whatever a source may hold."""
    return fail(404, "not-found", f"The manifest of the study lists no such {error.level}.")


def no_images(error: NoImages) -> OutcomeError:
    """404, 406, or what the source that failed stands for (502, 503, 504)."""
    codes = {e.code for e in error.errors}
    if codes and codes <= _OTHER_SYNTAX:
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
