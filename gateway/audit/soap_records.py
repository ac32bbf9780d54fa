"""Records of one SOAP exchange, of either role (ITI TF-2 3.20.4.1.1: one for each patient, and of a partial
success two, one of what there was and one of what failed)."""

from collections.abc import Iterator

from lxml.etree import _Element

from gateway.audit.record import AuditRecord, Document, Outcome, Party, Side
from gateway.audit.soap_subjects import About, Ended, about, ended, given_documents
from gateway.audit.trail import record_id
from gateway.audit.transactions import TRANSACTIONS
from gateway.model import Cx
from gateway.model.claims import Claims


def soap_records(
    transaction: str,
    side: Side,
    parties: tuple[Party, Party],
    messages: tuple[_Element | None, _Element | None],
    *,
    recorded: float,
    failure: str | None = None,
    actor: Claims | None = None,
    patient: Cx | None = None,
    request_id: str = "",
    traceparent: str = "",
) -> list[AuditRecord]:
    """`parties` are client and server, `messages` the body elements of request and answer; `failure` says why
    there is no answer, or that it did not get through. `patient` is whom the exchange is about where its
    messages do not say it. A transaction that is not known has no record."""
    if transaction not in TRANSACTIONS:
        return []
    request, reply = messages
    what = about(transaction, request, reply, served=side == "server")
    end = Ended(Outcome.SERIOUS, failure or "no answer") if reply is None else ended(transaction, reply)
    if failure is not None and reply is not None:
        end = Ended(Outcome.SERIOUS, failure)
    records = []
    for documents, outcome in _outcomes(what, end, reply):
        for of_patient in what.patients or (patient,):
            records.append(
                AuditRecord(
                    id=record_id(recorded),
                    recorded=recorded,
                    transaction=transaction,
                    side=side,
                    client=parties[0],
                    server=parties[1],
                    outcome=outcome.outcome,
                    outcome_text=outcome.text,
                    actor=actor,
                    patient=of_patient,
                    query=what.query,
                    documents=documents,
                    studies=what.studies,
                    submission_set=what.submission_set,
                    home_community_id=what.home_community_id,
                    request_id=request_id,
                    traceparent=traceparent,
                )
            )
    return records


def _outcomes(
    what: About, end: Ended, reply: _Element | None
) -> Iterator[tuple[tuple[Document, ...], Ended]]:
    if not end.partial or reply is None:
        yield what.documents, end
        return
    if not what.documents:
        yield (), Ended()
        yield (), end
        return
    given = given_documents(reply)
    there = tuple(document for document in what.documents if document.unique_id in given)
    missing = tuple(document for document in what.documents if document.unique_id not in given)
    if there:
        yield there, Ended()
    if missing or not there:
        yield missing, end
