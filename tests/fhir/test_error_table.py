"""Every XDS error code has its HTTP status and issue; every way in which a peer fails is told apart."""

import json
from pathlib import Path

import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from gateway.fhir.error_table import TABLE, Use, error_table_markdown, known_code, row_of, use_of
from gateway.fhir.issues import Issue
from gateway.fhir.outcome import (
    issues_of_warnings,
    means_no_match,
    outcome_of_failure,
    outcome_of_peer_error,
    write_outcome,
)
from gateway.model import RegistryError, RegistryFailure, Severity, codes
from gateway.model.errors import (
    PeerBusy,
    PeerCircuitOpen,
    PeerDisconnected,
    PeerError,
    PeerFault,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
    PeerUnsupported,
)

# ITI TF-3 Table 4.2.4.1-2 and supplements, IHE MHD 4.2.4: code, a transaction, HTTP status, issue code
EXPECTED = [
    ("XDSRegistryMetadataError", "ITI-41", 422, "invalid"),
    ("XDSRepositoryMetadataError", "ITI-41", 422, "invalid"),
    ("XDSMissingDocument", "ITI-41", 500, "structure"),
    ("XDSMissingDocument", "ITI-43", 404, "not-found"),
    ("XDSMissingDocument", "RAD-69", 404, "not-found"),
    ("XDSMissingDocumentMetadata", "ITI-41", 500, "structure"),
    ("InvalidDocumentContent", "ITI-41", 422, "invalid"),
    ("UnresolvedReferenceException", "ITI-41", 422, "not-found"),
    ("XDSPatientIdDoesNotMatch", "ITI-41", 422, "business-rule"),
    ("XDSUnknownPatientId", "ITI-41", 422, "not-found"),
    ("XDSUnknownPatientId", "ITI-18", 404, "not-found"),
    ("XDSDuplicateUniqueIdInRegistry", "ITI-41", 409, "duplicate"),
    ("XDSRegistryDuplicateUniqueIdInMessage", "ITI-41", 422, "duplicate"),
    ("XDSRepositoryDuplicateUniqueIdInMessage", "ITI-41", 422, "duplicate"),
    ("XDSNonIdenticalHash", "ITI-41", 409, "conflict"),
    ("XDSNonIdenticalSize", "ITI-41", 409, "conflict"),
    ("XDSRegistryDeprecatedDocumentError", "ITI-41", 409, "conflict"),
    ("XDSReplaceFailed", "ITI-41", 409, "conflict"),
    ("XDSRegistryBusy", "ITI-18", 503, "transient"),
    ("XDSRepositoryBusy", "ITI-43", 503, "transient"),
    ("XDSRegistryNotAvailable", "ITI-41", 503, "transient"),
    ("XDSUnavailableCommunity", "ITI-38", 503, "transient"),
    ("XDSRegistryOutOfResources", "ITI-18", 503, "throttled"),
    ("XDSRepositoryOutOfResources", "ITI-41", 503, "throttled"),
    ("XDSRegistryError", "ITI-18", 502, "exception"),
    ("XDSRepositoryError", "ITI-43", 502, "exception"),
    ("XDSStoredQueryMissingParam", "ITI-18", 500, "required"),
    ("XDSStoredQueryParamNumber", "ITI-18", 500, "invalid"),
    ("XDSUnknownStoredQuery", "ITI-18", 501, "not-supported"),
    ("XDSTooManyResults", "ITI-18", 400, "too-costly"),
    ("XDSResultNotSinglePatient", "ITI-18", 400, "multiple-matches"),
    ("XDSUnknownCommunity", "ITI-38", 404, "not-found"),
    ("XDSMissingHomeCommunityId", "ITI-38", 500, "required"),
    ("XDSUnknownRepositoryId", "ITI-43", 404, "not-found"),
    ("XDSDocumentUniqueIdError", "ITI-43", 404, "not-found"),
    ("XDSIRequestError", "RAD-69", 500, "invalid"),
    ("XDSIUnknownIdsUid", "RAD-69", 404, "not-found"),
    ("urn:dicom:wado:0006", "RAD-69", 406, "not-supported"),
    ("urn:dicom:wado:0007", "RAD-69", 406, "not-supported"),
    ("urn:dicom:wado:0012", "RAD-69", 406, "not-supported"),
    ("urn:dicom:wado:0014", "RAD-69", 406, "not-supported"),
    ("XDSMetadataUpdateError", "ITI-57", 409, "conflict"),
    ("XDSMetadataUpdateOperationError", "ITI-57", 422, "business-rule"),
    ("XDSMetadataVersionError", "ITI-57", 409, "conflict"),
    ("XDSPatientIDReconciliationError", "ITI-57", 422, "business-rule"),
    ("XDSMetadataIdentifierError", "ITI-57", 422, "business-rule"),
    ("XDSObjectTypeError", "ITI-57", 422, "business-rule"),
    ("UnmodifiableMetadataError", "ITI-57", 422, "business-rule"),
    ("LocalPolicyRestrictionError", "ITI-57", 422, "business-rule"),
    ("XDSRemoveDocumentsError", "ITI-86", 409, "conflict"),
    ("ReferencesExistException", "ITI-62", 409, "conflict"),
    ("XDSUnreferencedObjectException", "ITI-62", 409, "conflict"),
    ("XDSInvalidRequestException", "ITI-62", 409, "conflict"),
    ("UnknownRecipient", "ITI-65", 422, "not-found"),
    ("UnavailableRecipient", "ITI-65", 422, "transient"),
    ("FHIRDocumentNotSupported", "ITI-65", 422, "not-supported"),
    ("XDSExtraMetadataNotSaved", "ITI-41", 200, "not-supported"),
    ("DocumentQueued", "ITI-41", 200, "informational"),
    ("PartialFolderContentNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialReplaceContentNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialAppendContentNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialTransformNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialTransformContentNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialTransformReplaceNotProcessed", "ITI-41", 200, "incomplete"),
    ("PartialRelationshipContentNotProcessed", "ITI-41", 200, "incomplete"),
]


@pytest.mark.parametrize(("code", "transaction", "status", "issue"), EXPECTED)
def test_a_code_has_its_row(code, transaction, status, issue):
    row = row_of(code, transaction)
    assert (row.code, row.status, row.issue) == (code, status, issue)
    assert (row.retry_after is not None) is (status == 503)


def test_the_table_has_no_row_that_is_not_expected():
    assert {row.code for row in TABLE} == {code for code, *_ in EXPECTED}
    assert len({(row.code, row.use) for row in TABLE}) == len(TABLE)


def test_the_published_table_is_that_of_the_code():
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    assert text.split("<!-- errors:begin -->\n")[1].split("<!-- errors:end -->")[0] == error_table_markdown()


def test_every_issue_code_is_one_of_fhir():
    for row in TABLE:
        outcome = write_outcome([Issue("error", row.issue, "x")])
        OperationOutcome.model_validate(outcome)


def test_a_transaction_publishes_queries_or_retrieves():
    assert use_of("ITI-41") is Use.PUBLISH
    assert use_of("ITI-43") is Use.RETRIEVE
    assert use_of("ITI-18") is Use.QUERY


def test_a_code_with_a_urn_in_front_is_known():
    assert row_of("urn:oasis:names:tc:ebxml-regrep:XDSRegistryBusy", "ITI-18").status == 503
    assert row_of("http://x#XDSRegistryBusy", "ITI-18").status == 503


@pytest.mark.parametrize("spelling", ["xdsregistrybusy", "XDSRegistryBUSY", " urn:x:XdsRegistryBusy"])
def test_a_code_is_known_in_any_letter_case_and_shown_in_the_standards(spelling):
    assert row_of(spelling, "ITI-18").status == 503
    assert known_code(spelling) == "XDSRegistryBusy"
    assert failed(spelling).issues[0].details_code == "XDSRegistryBusy"


def failed(*errors, transaction="ITI-41"):
    built = tuple(e if isinstance(e, RegistryError) else RegistryError(e) for e in errors)
    return outcome_of_failure(RegistryFailure("repo-a", transaction, built))


def test_a_failure_names_peer_code_and_what_the_peer_said():
    outcome = failed(RegistryError("XDSRegistryMetadataError", "typeCode is\n unknown."))
    assert outcome.status == 422
    (issue,) = outcome.issues
    assert issue.severity == "error"
    assert issue.details_code == "XDSRegistryMetadataError"
    assert issue.diagnostics.startswith(
        "repo-a (ITI-41) answered XDSRegistryMetadataError: typeCode is unknown."
    )


def test_what_a_peer_wrote_stays_out_of_the_exception_text():
    outcome = failed(RegistryError("XDSUnknownPatientId", "patient Jane Doe is unknown"))
    assert "Jane" in outcome.issues[0].diagnostics
    assert "Jane" not in str(outcome)
    assert "XDSUnknownPatientId" in str(outcome)
    fault = outcome_of_peer_error(PeerFault("repo-a", "ITI-41", "Receiver", (), "Jane Doe"))
    assert "Jane" in fault.issues[0].diagnostics
    assert "Jane" not in str(fault)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (["XDSRepositoryError", "XDSDuplicateUniqueIdInRegistry"], 409),
        (["XDSRegistryBusy", "XDSRegistryError"], 503),
        (["XDSRegistryBusy", "XDSUnknownPatientId"], 422),
        (["XDSMissingDocument", "XDSRegistryError"], 500),
        (["NobodyDefinedThis"], 502),
        (["DocumentQueued"], 502),
        ([], 502),
    ],
)
def test_the_most_telling_error_decides_the_status(found, status):
    outcome = failed(*found)
    assert outcome.status == status
    assert len(outcome.issues) == max(len(found), 1)
    assert "repo-a" in outcome.issues[0].diagnostics


def test_a_warning_in_a_failure_does_not_decide():
    outcome = failed(
        RegistryError("XDSUnknownPatientId", severity=Severity.WARNING), RegistryError("XDSRegistryError")
    )
    assert outcome.status == 502
    assert [i.severity for i in outcome.issues] == ["warning", "error"]


def test_busy_says_when_to_come_back():
    assert int(failed("XDSRegistryBusy").headers["Retry-After"]) > 0
    assert "Retry-After" not in failed("XDSRegistryBusy", "XDSRegistryMetadataError").headers


def test_warnings_beside_a_result_are_warnings_even_where_the_peer_said_error():
    issues = issues_of_warnings(
        [RegistryError("XDSRegistryError", "half"), RegistryError("PartialTransformNotProcessed", "x")]
    )
    assert [i.severity for i in issues] == ["warning", "warning"]
    assert [i.details_code for i in issues] == ["XDSRegistryError", "PartialTransformContentNotProcessed"]
    assert issues_of_warnings([]) == ()


@pytest.mark.parametrize(
    ("found", "transaction", "expected"),
    [
        (["XDSUnknownPatientId"], "ITI-18", True),
        (["XDSUnknownPatientId"], "ITI-41", False),
        (["XDSUnknownPatientId", "XDSRegistryError"], "ITI-18", False),
        ([], "ITI-18", False),
    ],
)
def test_an_unknown_patient_in_a_query_is_an_empty_result(found, transaction, expected):
    failure = RegistryFailure("reg", transaction, tuple(map(RegistryError, found)))
    assert means_no_match(failure) is expected


TRANSPORT = [
    (PeerTimeout("reg", "ITI-18", "read"), 504, "timeout", False),
    (PeerUnreachable("reg", "ITI-18", "refused"), 502, "transient", False),
    (PeerDisconnected("reg", "ITI-18", "half"), 502, "incomplete", False),
    (PeerProtocolError("reg", "ITI-18", "not XML"), 502, "structure", False),
    (PeerBusy("reg", "ITI-18", "full"), 503, "throttled", True),
    (PeerCircuitOpen("reg", "ITI-18", "open"), 503, "transient", True),
    (PeerFault("reg", "ITI-18", "Receiver", (), "down"), 502, "exception", False),
    (PeerFault("reg", "ITI-18", "Sender", (), "bad"), 500, "processing", False),
    (PeerFault("reg", "ITI-18", "MustUnderstand"), 502, "not-supported", False),
    (PeerFault("reg", "ITI-18", "Sender", ("wsse:InvalidSecurity",)), 403, "forbidden", False),
    (PeerFault("reg", "ITI-18", "Sender", ("FailedAuthentication",)), 403, "forbidden", False),
    (PeerUnsupported("reg", "ITI-18", "x"), 501, "not-supported", False),
    (PeerError("reg", "ITI-18", "odd"), 502, "exception", False),
]


@pytest.mark.parametrize(("error", "status", "code", "retry"), TRANSPORT)
def test_each_way_to_fail_is_told_apart_and_names_the_peer(error, status, code, retry):
    outcome = outcome_of_peer_error(error)
    assert outcome.status == status
    assert outcome.issues[0].code == code
    assert "reg (ITI-18)" in outcome.issues[0].diagnostics
    assert ("Retry-After" in outcome.headers) is retry
    OperationOutcome.model_validate(write_outcome(outcome.issues))


@pytest.mark.parametrize(
    ("error", "advised"),
    [
        (PeerTimeout("repo", "ITI-41", "read"), True),
        (PeerDisconnected("repo", "ITI-41", "half"), True),
        (PeerFault("repo", "ITI-41", "Receiver"), True),
        (PeerUnreachable("repo", "ITI-41", "refused"), False),
        (PeerBusy("repo", "ITI-41", "full"), False),
        (PeerTimeout("repo", "ITI-43", "read"), False),
    ],
)
def test_a_publish_of_unknown_outcome_says_to_send_the_bundle_again(error, advised):
    issues = outcome_of_peer_error(error).issues
    assert (
        any(i.severity == "information" and "same Bundle again" in i.diagnostics for i in issues) is advised
    )


def test_an_outcome_is_written_with_the_code_in_its_system():
    outcome = write_outcome(
        [
            Issue("error", "invalid", "text", "Bundle.entry[0]", "XDSRegistryMetadataError"),
            Issue("warning", "value", "t"),
        ]
    )
    OperationOutcome.model_validate(json.loads(json.dumps(outcome)))
    assert outcome["issue"] == [
        {
            "severity": "error",
            "code": "invalid",
            "details": {"coding": [{"system": codes.XDS_ERROR_SYSTEM, "code": "XDSRegistryMetadataError"}]},
            "diagnostics": "text",
            "expression": ["Bundle.entry[0]"],
        },
        {"severity": "warning", "code": "value", "diagnostics": "t"},
    ]


def test_an_outcome_without_issues_is_a_mistake():
    with pytest.raises(ValueError, match="at least one"):
        write_outcome([])


@pytest.mark.parametrize(
    ("code", "logged"),
    [
        ("XDSRegistryBusy", "XDSRegistryBusy"),
        ("XDSDocumentUniqueIdError", "XDSDocumentUniqueIdError"),
        ("Patient Eva Muster is unknown", "other"),
        ("", "other"),
    ],
)
def test_only_codes_of_the_standard_are_named_in_logs(code, logged):
    assert known_code(code) == logged
