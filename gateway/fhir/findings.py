"""Collects what a reader finds wrong with a resource, each with the FHIRPath of its element."""

from gateway.fhir.issues import MOST_ISSUES, Issue, OutcomeError


class Findings:
    """Issues in the order they are found."""

    def __init__(self) -> None:
        self.errors: list[Issue] = []
        self.warnings: list[Issue] = []
        self._reported: set[tuple[str, str]] = set()

    def error(self, path: str, code: str, text: str, details: str | None = None) -> None:
        """A broken rule. `code` is an issue-type code, `details` an XDS or MHD error code.

        A second one of the same kind about the same element says nothing new and is left out. Raises
        OutcomeError where there are more than anybody would read.
        """
        if (path, code) in self._reported:
            return
        self._reported.add((path, code))
        self.errors.append(Issue("error", code, text, path, details))
        if len(self.errors) >= MOST_ISSUES:
            # looking for more would take more time than the request did, and more bytes to answer
            self.raise_errors(400)

    def add(self, issue: Issue) -> None:
        """A finding that was made elsewhere; of the same element there can be several."""
        (self.errors if issue.severity == "error" else self.warnings).append(issue)

    def warn(self, path: str, code: str, text: str, details: str | None = None) -> None:
        """Something that is accepted but was not carried out as sent."""
        self.warnings.append(Issue("warning", code, text, path, details))

    def inform(self, path: str, text: str) -> None:
        """Content that document sharing metadata has no place for."""
        self.warnings.append(Issue("information", "informational", text, path))

    def raise_errors(self, status: int, *, as_sent: bool = False) -> None:
        """Raise OutcomeError with everything found so far, if there is an error in it."""
        if self.errors:
            error = OutcomeError(status, (*self.errors, *self.warnings))
            error.as_sent = as_sent
            raise error
