"""Findings about a FHIR request, as values that become OperationOutcome.issue.

A reader collects `Issue`s and raises one `OutcomeError` with all of them, so that a client sees every
mistake at once.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

MOST_ISSUES: Final = 200
"""Of one OperationOutcome."""


class Issue(Struct, frozen=True):
    """One OperationOutcome.issue (FHIR R4).

    `severity` is error, warning or information; `code` is from the FHIR issue-type code system
    (`required`, `value`, `invalid`, `business-rule`, `not-found`, ...); `diagnostics` names the element,
    the rule and what to do, without patient data; `expression` is the FHIRPath of the element;
    `details_code` is an XDS error code or a code of IHE MHD; `rule` is the name of a rule about the content
    of a document.
    """

    severity: str
    code: str
    diagnostics: str
    expression: str | None = None
    details_code: str | None = None
    rule: str | None = None


class OutcomeError(Exception):
    """A request that ends with an OperationOutcome. `status` is the HTTP status.

    `as_sent` is true where paths of elements are those of the release of FHIR that the request is of, and
    false where they are those of R4.
    """

    as_sent = False

    def __init__(self, status: int, issues: Sequence[Issue], headers: dict[str, str] | None = None) -> None:
        super().__init__("; ".join(i.diagnostics for i in issues[:MOST_ISSUES]))
        self.status = status
        self.issues = tuple(issues)
        self.headers = headers or {}


def fail(
    status: int,
    code: str,
    diagnostics: str,
    *,
    expression: str | None = None,
    details_code: str | None = None,
) -> OutcomeError:
    """An OutcomeError with one error issue, ready to raise."""
    return OutcomeError(status, (Issue("error", code, diagnostics, expression, details_code),))
