"""What a SOAP exchange is recorded as: read from its messages, one record for each patient and outcome."""

import pytest

from gateway.audit.record import Document, Outcome
from gateway.audit.soap_records import soap_records
from gateway.model import Cx
from tests.audit.samples import (
    CLIENT,
    DOCUMENTS,
    GATEWAY,
    PATIENT,
    RECORDED,
    SOAP,
    refused,
    retrieve_answer,
    soap_messages,
    soap_sample,
)


@pytest.mark.parametrize("transaction", ["ITI-18", "ITI-38"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_query_names_the_patient_and_is_kept_whole(transaction, side):
    (record,) = soap_sample(transaction, side)
    assert (record.outcome, record.patient) == (Outcome.SUCCESS, PATIENT)
    assert record.query.id == "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
    assert b"AdhocQueryRequest" in record.query.content
    assert record.home_community_id == "urn:oid:2.999.60.2"


@pytest.mark.parametrize("transaction", ["ITI-39", "ITI-43"])
def test_a_retrieve_names_every_document(transaction):
    (record,) = soap_sample(transaction, "client")
    home = "urn:oid:2.999.60.2"
    assert record.documents == tuple(Document(uid, "2.999.10.1", home) for uid in DOCUMENTS)
    assert record.patient is None


@pytest.mark.parametrize("transaction", ["ITI-41", "RAD-68"])
def test_a_submission_names_the_patient_and_the_submission_set(transaction):
    (record,) = soap_sample(transaction, "client")
    assert (record.patient, record.submission_set) == (PATIENT, "2.999.8.1")


@pytest.mark.parametrize("transaction", ["RAD-69", "RAD-75"])
def test_images_are_counted_by_study(transaction):
    (record,) = soap_sample(transaction, "server")
    (study,) = record.studies
    assert (study.study_instance_uid, study.series, study.instances) == ("2.999.3.1", ("2.999.3.2",), 3)
    assert study.repository_unique_id == "2.999.11.1"


def test_who_asks_for_a_patient_names_none_and_who_answers_names_each():
    (asked,) = soap_sample("ITI-55", "client")
    assert asked.patient is None
    answered = soap_sample("ITI-55", "server")
    assert [record.patient for record in answered] == [Cx("B-1", "2.999.1.9"), Cx("B-2", "2.999.1.9")]
    assert len({record.id for record in answered}) == 2
    assert b"queryByParameter" in asked.query.content
    assert b"controlActProcess" not in asked.query.content
    assert asked.home_community_id == "urn:oid:2.999.60.2"


@pytest.mark.parametrize("transaction", SOAP)
@pytest.mark.parametrize("side", ["client", "server"])
def test_no_answer_is_a_failure_that_says_why(transaction, side):
    for record in soap_sample(transaction, side, failure="no connection"):
        assert (record.outcome, record.outcome_text) == (Outcome.SERIOUS, "no connection")


def test_a_refusal_is_a_failure_with_its_codes_and_not_with_their_texts():
    (record,) = soap_sample("ITI-41", "client", reply=refused("XDSPatientIdDoesNotMatch", "free text: Eva"))
    assert record.outcome is Outcome.SERIOUS
    assert record.outcome_text == "XDSPatientIdDoesNotMatch, other"


def test_a_query_with_a_partial_answer_has_two_records():
    records = soap_sample("ITI-38", "client", reply=refused("XDSUnavailableCommunity", partial=True))
    assert [record.outcome for record in records] == [Outcome.SUCCESS, Outcome.SERIOUS]


def test_a_retrieve_with_a_partial_answer_has_a_record_of_what_there_was_and_one_of_the_rest():
    reply = retrieve_answer(refused("XDSDocumentUniqueIdError", partial=True), DOCUMENTS[0])
    there, missing = soap_sample("ITI-43", "client", reply=reply)
    assert (there.outcome, [d.unique_id for d in there.documents]) == (Outcome.SUCCESS, [DOCUMENTS[0]])
    assert (missing.outcome, [d.unique_id for d in missing.documents]) == (Outcome.SERIOUS, [DOCUMENTS[1]])


def test_a_patient_that_only_the_request_before_named_is_taken_over():
    parties = (CLIENT, GATEWAY)
    (record,) = soap_records(
        "ITI-43", "client", parties, soap_messages("ITI-43"), recorded=RECORDED, patient=PATIENT
    )
    assert record.patient == PATIENT


def test_a_message_that_is_none_of_its_transaction_still_has_a_record():
    wrong, _ = soap_messages("ITI-43")
    (record,) = soap_records("ITI-18", "server", (CLIENT, GATEWAY), (wrong, None), recorded=RECORDED)
    assert record.outcome is Outcome.SERIOUS
    assert soap_records("ITI-18", "server", (CLIENT, GATEWAY), (None, None), recorded=RECORDED)
