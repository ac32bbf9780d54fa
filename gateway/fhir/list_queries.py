"""What a search of ITI-66 asks of the registry: FindSubmissionSets and FindFolders, or the Get queries for
what is named by its ids (ITI TF-2 3.18.4.1.2.3.7).
"""

from collections.abc import Collection, Iterable, Sequence

from gateway.fhir.lists import FOLDER, SUBMISSION_SET
from gateway.fhir.matching import IdentifierToken
from gateway.fhir.search_dates import Limits
from gateway.fhir.search_queries import Asked, named_objects, shortest
from gateway.model.metadata import Cx
from gateway.model.query import (
    APPROVED,
    FindFolders,
    FindSubmissionSets,
    GetFolders,
    GetSubmissionSetAndContents,
    StoredQuery,
)

_MOST_AUTHOR_QUERIES = 4


def find_lists(kinds: Collection[str], patient: Cx, asked: Asked, date: Limits) -> tuple[StoredQuery, ...]:
    """The queries for the Lists of a patient, which are always Approved.

    $XDSSubmissionSetAuthorPerson takes one pattern, so a few alternatives are a query each; more are left
    to the filter.
    """
    queries: list[StoredQuery] = []
    if SUBMISSION_SET in kinds:
        authors = shortest(asked.authors)
        for author in authors if 0 < len(authors) <= _MOST_AUTHOR_QUERIES else (None,):
            queries.append(
                FindSubmissionSets(
                    patient_id=patient,
                    status=APPROVED,
                    source_id=shortest(asked.sources),
                    submission_time_from=date.start_from,
                    submission_time_to=date.start_to,
                    author_person=author,
                    content_type=shortest(asked.codes["designationType"]),
                )
            )
    if FOLDER in kinds:
        queries.append(
            FindFolders(
                patient_id=patient,
                status=APPROVED,
                last_update_time_from=date.start_from,
                last_update_time_to=date.start_to,
                code_list=tuple(asked.codes["designationType"]),
            )
        )
    return tuple(queries)


def get_lists(
    kinds: Collection[str], groups: Iterable[Sequence[IdentifierToken]]
) -> tuple[StoredQuery, ...] | None:
    """The queries for one of the OR lists of identifiers; None where none of them is enough to ask with."""
    named = named_objects(groups)
    if named is None:
        return None
    queries: list[StoredQuery] = []
    if SUBMISSION_SET in kinds:
        queries += [GetSubmissionSetAndContents(entry_uuid=uuid) for uuid in named.entry_uuids]
        queries += [GetSubmissionSetAndContents(unique_id=unique_id) for unique_id in named.unique_ids]
    if FOLDER in kinds:
        if named.entry_uuids:
            queries.append(GetFolders(entry_uuids=named.entry_uuids))
        if named.unique_ids:
            queries.append(GetFolders(unique_ids=named.unique_ids))
    return tuple(queries)
