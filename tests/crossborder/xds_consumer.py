"""A document consumer and source that speaks XDS.b alone, before a gateway; every answer has to be valid."""

from contextlib import asynccontextmanager

from gateway.model import AvailabilityStatus
from gateway.model.codes import APND, HAS_MEMBER, RPLC
from gateway.model.query import (
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetAssociations,
    GetDocuments,
    GetDocumentsAndAssociations,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
)
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.affinity.client import Client
from tests.affinity.samples import entry, folder, link, submission


class CheckedSoap(SoapClient):
    """Holds every body that comes in against the schemas."""

    assert_valid = staticmethod(load_contract().validate)

    async def call(self, *args, **kwargs):
        answer = await super().call(*args, **kwargs)
        self.assert_valid(answer)
        return answer

    @asynccontextmanager
    async def open(self, *args, **kwargs):
        async with super().open(*args, **kwargs) as reply:
            self.assert_valid(reply.body)
            yield reply


@asynccontextmanager
async def xds_consumer(base_url, assert_valid):
    """A consumer of the servers of the gateway at a FHIR base."""
    async with CheckedSoap(load_contract()) as soap:
        soap.assert_valid = assert_valid
        client = Client(soap, base_url.removesuffix("/fhir"))
        client.registry = Peer("registry", client.registry.url, max_attempts=1)
        client.repository = Peer("repository", client.repository.url, max_attempts=1)
        yield client


@asynccontextmanager
async def behind(stack):
    """The same before the affinity domain itself."""
    async with SoapClient(load_contract()) as soap:
        yield Client(soap, stack.settings.registry.url.removesuffix("/xds/registry"))


def story(patient):
    """Submissions to be made one after the other, with their contents: a folder with a document, an addendum,
    and a replacement."""
    first, note = entry(patient_id=patient), entry(patient_id=patient, service_start_time=None)
    episode = folder(patient_id=patient)
    second = entry(patient_id=patient, mime_type="application/pdf", title="Später & <mehr>")
    for name in ("hash", "size"):
        assert getattr(first, name) is not None
    members = [link(HAS_MEMBER, episode.entry_uuid, first.entry_uuid)]
    opening = submission(first, folders=(episode,), associations=members, patient_id=patient)
    addendum = submission(
        note, associations=[link(APND, note.entry_uuid, first.entry_uuid)], patient_id=patient
    )
    renewal = submission(
        second, associations=[link(RPLC, second.entry_uuid, first.entry_uuid)], patient_id=patient
    )
    return opening, addendum, renewal


def all_queries(patient, opening, renewal):
    """Each stored query, about what `story` made; by uniqueId and by entryUUID where both are possible."""
    (first,), (second,), (episode,) = opening.entries, renewal.entries, opening.folders
    submission_set = opening.submission_set
    of_patient = {"patient_id": patient, "status": ANY_STATUS}
    return [
        FindDocuments(**of_patient),
        FindDocuments(patient_id=patient),
        FindDocuments(**of_patient, type_code=(first.type_code,), author_person=("%Curie%",)),
        FindDocumentsByReferenceId(**of_patient, reference_ids=(("ACC1^^^&2.999.8&ISO^%",),)),
        FindSubmissionSets(patient_id=patient, source_id=(submission_set.source_id,)),
        FindFolders(patient_id=patient, code_list=((episode.code_list[0],),)),
        GetAll(patient_id=patient, entry_status=ANY_STATUS),
        GetDocuments(entry_uuids=(first.entry_uuid, second.entry_uuid)),
        GetDocuments(unique_ids=(second.unique_id,)),
        GetFolders(entry_uuids=(episode.entry_uuid,)),
        GetFolders(unique_ids=(episode.unique_id,)),
        GetAssociations(uuids=(first.entry_uuid,)),
        GetAssociations(uuids=(submission_set.entry_uuid, second.entry_uuid)),
        GetDocumentsAndAssociations(unique_ids=(second.unique_id,)),
        GetSubmissionSets(uuids=(first.entry_uuid, episode.entry_uuid)),
        GetSubmissionSetAndContents(entry_uuid=submission_set.entry_uuid),
        GetSubmissionSetAndContents(unique_id=submission_set.unique_id),
        GetFolderAndContents(unique_id=episode.unique_id),
        GetFoldersForDocument(entry_uuid=first.entry_uuid),
        GetFoldersForDocument(unique_id=first.unique_id),
        GetRelatedDocuments(entry_uuid=first.entry_uuid, association_types=(RPLC, APND)),
    ]


def statuses(result):
    """What is current, by uniqueId."""
    return {e.unique_id: e.status is AvailabilityStatus.APPROVED for e in result.entries}
