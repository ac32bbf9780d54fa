"""Find Document References (ITI-67) as Registry Stored Query (ITI-18) plus an exact filter.

`queries()` asks the registry for at least what the search means, `matches()` keeps exactly that (IHE MHD
4.2.4 2:3.67.4.1.2; ITI TF-2 3.18.4.1.2.3.7; FHIR R4 search). Nothing is dropped in silence: what neither can
do is an error, or a warning where leaving it out makes the answer larger and never smaller.
"""

from collections.abc import Sequence

from gateway.fhir.search_parser import SearchParser
from gateway.fhir.search_request import DocumentSearch, SearchContext

__all__ = ["DocumentSearch", "SearchContext", "parse_document_search"]


def parse_document_search(
    params: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> DocumentSearch:
    """Understand the decoded parameters of URL and form.

    Repeated parameters are AND, values separated by comma are OR. `strict` is `Prefer: handling=strict`:
    what would be a warning is an error then. Raises OutcomeError 400 with every problem.
    """
    parser = SearchParser(ctx, strict=strict)
    for name, value in params:
        parser.add(name, value)
    return parser.finish()
