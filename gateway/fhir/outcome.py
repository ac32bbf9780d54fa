"""OperationOutcome from what peers say (IHE MHD 4.2.4 2:3.65.4.2, 3.67.4.2, 3.68.4.2; FHIR R4).

A peer's own text (codeContext, fault reason) goes into `diagnostics`, since it is often all that tells a
client which element is wrong. It may name a patient, so it goes to the client only: the exceptions made here
do not show it, and logs get codes.
"""

from collections.abc import Sequence
from typing import Any

from gateway.fhir.error_table import FAULTS, PEER_ERRORS, ErrorRow, PeerRow, Use, row_of, use_of
from gateway.fhir.issues import MOST_ISSUES, Issue, OutcomeError
from gateway.model import codes
from gateway.model.errors import (
    PeerError,
    PeerFault,
    RegistryError,
    RegistryFailure,
    Severity,
)

_LONGEST_CONTEXT = 1000
_SECURITY_NAMESPACES = ("wsse:", "wst:", "oasis-200401-wss", "ws-sx/ws-trust")
_SECURITY_FAULTS = frozenset(
    {
        "FailedAuthentication",
        "FailedCheck",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "MessageExpired",
        "SecurityTokenUnavailable",
        "UnsupportedAlgorithm",
        "UnsupportedSecurityToken",
    }
)


class PeerOutcome(OutcomeError):
    """An outcome that a peer caused. Its text has peer, transaction and codes, never what the peer wrote."""

    def __init__(
        self, summary: str, status: int, issues: Sequence[Issue], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, issues, headers)
        self._summary = summary

    def __str__(self) -> str:
        return self._summary


def outcome_of_failure(failure: RegistryFailure, transaction: str | None = None) -> OutcomeError:
    """The answer to a request that a registry or repository refused.

    `transaction` is the one that failed, by default as the failure says. The status is that of the most
    telling error: what the client can change, before what may pass, before what only says that it failed.
    """
    used = transaction or failure.transaction
    errors = [e for e in failure.errors if e.severity is Severity.ERROR] or list(failure.errors)
    if not errors:
        text = f"{failure.peer} ({used}) answered Failure without an error code."
        return PeerOutcome(str(failure), 502, (Issue("error", "exception", text),))
    decisive = min((_decisive(row_of(error.code, used)) for error in errors), key=_rank)
    headers = {} if decisive.retry_after is None else {"Retry-After": str(decisive.retry_after)}
    issues = [
        _issue(error, used, f"{failure.peer} ({used}) answered ", _severity(error))
        for error in failure.errors
    ]
    return PeerOutcome(str(failure), decisive.status, issues, headers)


def means_no_match(failure: RegistryFailure) -> bool:
    """True where a failed query only says that there is nothing: the patient is not known to the domain.

    IHE MHD answers such a search with an empty searchset.
    """
    return bool(failure.errors) and all(
        row_of(e.code, failure.transaction).no_match for e in failure.errors if e.severity is Severity.ERROR
    )


def means_several_patients(failure: RegistryFailure) -> bool:
    """True where a query failed since what it names is of several patients (ITI TF-2 3.18.4.1.2.3.5)."""
    return any(error.code == "XDSResultNotSinglePatient" for error in failure.errors)


def issues_of_warnings(errors: Sequence[RegistryError], transaction: str = "ITI-18") -> tuple[Issue, ...]:
    """Warnings beside a result: of a success, and the errors of a partial success."""
    return tuple(_issue(error, transaction, "", "warning") for error in errors)


def outcome_of_peer_error(error: PeerError) -> OutcomeError:
    """The answer to a request whose peer gave no usable answer.

    Where a publish may have been carried out nevertheless, an information issue says what to do.
    """
    row = _peer_row(error)
    said = f"{_line(error.detail)}. " if row.show_detail else ""
    text = f"{error.peer} ({error.transaction}): {said}{row.advice}"
    issues = [Issue("error", row.issue, text.rstrip())]
    if not error.outcome_known and use_of(error.transaction) is Use.PUBLISH:
        issues.append(
            Issue(
                "information",
                "incomplete",
                f"{error.peer} did not say whether it stored the documents. Send the same Bundle again: "
                "nothing is stored twice.",
            )
        )
    headers = {} if row.retry_after is None else {"Retry-After": str(row.retry_after)}
    summary = f"{error.transaction} to {error.peer}: {type(error).__name__}"
    return PeerOutcome(summary, row.status, issues, headers)


def write_outcome(issues: Sequence[Issue]) -> dict[str, Any]:
    """OperationOutcome as JSON value. Raises ValueError without issues, since FHIR requires one.

    Where there are very many, the last one says how many are left out.
    """
    if not issues:
        raise ValueError("an OperationOutcome has at least one issue")
    shown = [_write_issue(issue) for issue in issues[:MOST_ISSUES]]
    if len(issues) > MOST_ISSUES:
        text = f"{len(issues) - MOST_ISSUES} more issues are not shown; correct these first."
        shown.append(_write_issue(Issue("information", "incomplete", text)))
    return {"resourceType": "OperationOutcome", "issue": shown}


def _write_issue(issue: Issue) -> dict[str, Any]:
    written: dict[str, Any] = {"severity": issue.severity, "code": issue.code}
    if issue.details_code:
        written["details"] = {"coding": [{"system": codes.XDS_ERROR_SYSTEM, "code": issue.details_code}]}
    if issue.diagnostics:
        written["diagnostics"] = issue.diagnostics
    if issue.expression:
        written["expression"] = [issue.expression]
    return written


def _issue(error: RegistryError, transaction: str, start: str, severity: str) -> Issue:
    row = row_of(error.code, transaction)
    written = row.written or row.code
    context = " ".join(error.context.split())[:_LONGEST_CONTEXT]
    parts = [f"{start}{written}{f': {context}' if context else ''}".rstrip("."), row.advice.rstrip(".")]
    return Issue(
        severity, row.issue, "".join(f"{part}. " for part in parts if part).rstrip(), details_code=written
    )


def _severity(error: RegistryError) -> str:
    return "error" if error.severity is Severity.ERROR else "warning"


def _decisive(row: ErrorRow) -> ErrorRow:
    """A code that is a warning by nature, sent as the error of a failure, is a failure of the peer."""
    return row if row.status >= 400 else ErrorRow(row.code, 502, row.issue, generic=True)


def _rank(row: ErrorRow) -> int:
    if row.generic:
        return 3
    if row.retry_after is not None:
        return 1
    return 0 if row.status < 500 else 2


def _peer_row(error: PeerError) -> PeerRow:
    if not isinstance(error, PeerFault):
        return next(row for row in PEER_ERRORS if isinstance(error, row.kind))
    name = error.code.rpartition(":")[2]
    if any(_is_about_security(code) for code in (error.code, *error.subcodes)):
        name = "security"
    return FAULTS.get(name, FAULTS["Receiver"])


def _is_about_security(code: str) -> bool:
    return code.rpartition(":")[2].rpartition("}")[2] in _SECURITY_FAULTS or any(
        mark in code for mark in _SECURITY_NAMESPACES
    )


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_CONTEXT].rstrip(".: ")
