"""A consumer and another community that speak SOAP, with nothing but the standard library.

A function for each transaction:

    gateway demo --config docs/examples/every-service.yaml
    python soap_client.py http://127.0.0.1:8080 docs/examples

Requests are plain SOAP 1.2; answers are too, or MTOM, whose parts are put where they belong as base64.
A refusal is an `urllib.error.HTTPError` with a SOAP Fault, an error in the answer a `RegistryError` element.
"""

import base64
import sys
import uuid
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from urllib.parse import unquote
from urllib.request import Request, urlopen
from xml.etree import ElementTree
from xml.sax.saxutils import escape

XDS = "urn:ihe:iti:xds-b:2007"
XDSI = "urn:ihe:rad:xdsi-b:2009"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


class SoapClient:
    """One gateway."""

    def __init__(self, root):
        self.root = root

    def call(self, path, action, body):
        """The answer to a body of XML, as an element."""
        envelope = f"""<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
            xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>
            <a:Action s:mustUnderstand="true">{action}</a:Action>
            <a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:To>{self.root}{path}</a:To>
            </s:Header><s:Body>{body}</s:Body></s:Envelope>"""
        return self.send(path, action, envelope.encode())

    def send(self, path, action, envelope):
        """The same for a whole envelope."""
        headers = {"Content-Type": f'application/soap+xml; charset=UTF-8; action="{action}"'}
        with urlopen(Request(self.root + path, data=envelope, headers=headers)) as answer:
            return read_answer(answer.headers["Content-Type"], answer.read())

    def registry_query(self, patient_id):
        """ITI-18, FindDocuments: the registry objects of a patient (`id^^^&authority&ISO`)."""
        return self.query("/xds/registry", "urn:ihe:iti:2007:RegistryStoredQuery", patient_id)

    def cross_gateway_query(self, patient_id, home):
        """ITI-38: the same as another community, of the one that is asked."""
        return self.query("/xca/gateway", "urn:ihe:iti:2007:CrossGatewayQuery", patient_id, home)

    def query(self, path, action, patient_id, home=None):
        """ExtrinsicObjects of a patient's current documents."""
        slots = {
            "$XDSDocumentEntryPatientId": f"'{patient_id}'",
            "$XDSDocumentEntryStatus": f"('{APPROVED}')",
        }
        written = "".join(
            f'<Slot name="{name}"><ValueList><Value>{escape(value)}</Value></ValueList></Slot>'
            for name, value in slots.items()
        )
        of_home = "" if home is None else f' home="{home}"'
        answer = self.call(
            path,
            action,
            f'<q:AdhocQueryRequest xmlns:q="{QUERY}" xmlns="{RIM}">'
            '<q:ResponseOption returnComposedObjects="true" returnType="LeafClass"/>'
            f'<AdhocQuery id="{FIND_DOCUMENTS}"{of_home}>{written}</AdhocQuery></q:AdhocQueryRequest>',
        )
        return answer.findall(f".//{{{RIM}}}ExtrinsicObject")

    def retrieve(self, entry):
        """ITI-43: the bytes of a document, by its ExtrinsicObject."""
        return self.documents("/xds/repository", "urn:ihe:iti:2007:RetrieveDocumentSet", entry)

    def cross_gateway_retrieve(self, entry):
        """ITI-39: the same from a community, whose homeCommunityId the entry has."""
        return self.documents("/xca/gateway", "urn:ihe:iti:2007:CrossGatewayRetrieve", entry)

    def documents(self, path, action, entry):
        """The bytes of one document."""
        home = entry.get("home")
        of_home = "" if home is None else f"<HomeCommunityId>{home}</HomeCommunityId>"
        answer = self.call(
            path,
            action,
            f'<RetrieveDocumentSetRequest xmlns="{XDS}"><DocumentRequest>{of_home}'
            f"<RepositoryUniqueId>{slot(entry, 'repositoryUniqueId')}</RepositoryUniqueId>"
            f"<DocumentUniqueId>{unique_id(entry)}</DocumentUniqueId>"
            "</DocumentRequest></RetrieveDocumentSetRequest>",
        )
        return base64.b64decode(answer.findtext(f".//{{{XDS}}}Document"))

    def images(self, images, location):
        """RAD-69: DICOM instances (study, series, instance) from a Retrieve Location UID."""
        return self.instances("/xds/imaging", "urn:ihe:rad:2009:RetrieveImagingDocumentSet", images, location)

    def cross_gateway_images(self, images, location, home):
        """RAD-75: the same from a community."""
        action = "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet"
        return self.instances("/xca-i/imaging", action, images, location, home)

    def instances(self, path, action, images, location, home=None):
        """The bytes of DICOM instances."""
        of_home = "" if home is None else f"<x:HomeCommunityId>{home}</x:HomeCommunityId>"
        studies = "".join(
            f'<StudyRequest studyInstanceUID="{study}"><SeriesRequest seriesInstanceUID="{series}">'
            f"<x:DocumentRequest>{of_home}<x:RepositoryUniqueId>{location}</x:RepositoryUniqueId>"
            f"<x:DocumentUniqueId>{instance}</x:DocumentUniqueId></x:DocumentRequest>"
            "</SeriesRequest></StudyRequest>"
            for study, series, instance in images
        )
        syntaxes = f"<TransferSyntaxUID>{EXPLICIT_LITTLE_ENDIAN}</TransferSyntaxUID>"
        answer = self.call(
            path,
            action,
            f'<RetrieveImagingDocumentSetRequest xmlns="{XDSI}" xmlns:x="{XDS}">{studies}'
            f"<TransferSyntaxUIDList>{syntaxes}</TransferSyntaxUIDList></RetrieveImagingDocumentSetRequest>",
        )
        return [base64.b64decode(each.text) for each in answer.iter(f"{{{XDS}}}Document")]

    def provide_and_register(self, envelope):
        """ITI-41: the status of a submission."""
        action = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b"
        answer = self.send("/xds/repository", action, envelope)
        return next(each.get("status") for each in answer.iter() if each.tag.endswith("RegistryResponse"))

    def discover(self, envelope):
        """ITI-55: the identifiers (extension, root) of the patients that are meant."""
        action = "urn:hl7-org:v3:PRPA_IN201305UV02:CrossGatewayPatientDiscovery"
        answer = self.send("/xca/patients", action, envelope)
        found = answer.findall(".//{urn:hl7-org:v3}patient/{urn:hl7-org:v3}id")
        return [(each.get("extension"), each.get("root")) for each in found]


def read_answer(content_type, body):
    """The envelope of an answer, its attachments (XOP) as base64 in it."""
    if not content_type.startswith("multipart/"):
        return ElementTree.fromstring(body)
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    root, *others = message.iter_parts()
    parts = {part["Content-ID"].strip("<>"): part.get_payload(decode=True) for part in others}
    envelope = ElementTree.fromstring(root.get_payload(decode=True))
    for parent in list(envelope.iter()):
        for include in parent.findall("{http://www.w3.org/2004/08/xop/include}Include"):
            content = parts[unquote(include.get("href").removeprefix("cid:"))]
            parent.remove(include)
            parent.text = base64.b64encode(content).decode()
    return envelope


def slot(entry, name):
    """The first value of a slot of a registry object."""
    return entry.findtext(f"{{{RIM}}}Slot[@name='{name}']/{{{RIM}}}ValueList/{{{RIM}}}Value")


def unique_id(entry):
    """The uniqueId of an ExtrinsicObject."""
    scheme = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
    return entry.find(f"{{{RIM}}}ExternalIdentifier[@identificationScheme='{scheme}']").get("value")


def anew(submission):
    """A submission with ids of its own, as if its document were another one."""
    for unique in ("2.999.2.41.1", "2.999.3.41.1"):
        submission = submission.replace(unique, f"2.25.{uuid.uuid4().int}")
    # entryUUIDs differ in the last digit
    return submission.replace("5b6c1f5e-0d59-4c0a-9d0b-8f3a3c1e7a4", str(uuid.uuid4())[:-1])


def main(root, folder, images="", location="2.999.1.9", home="urn:oid:2.999.7.2"):
    client, patient = SoapClient(root), "DEMO-1^^^&2.999.1.1&ISO"
    submission = anew(Path(folder, "provide-and-register.xml").read_text("utf-8"))
    print(client.provide_and_register(submission.encode()).split(":")[-1])
    entries = client.registry_query(patient)
    print(len(entries), "documents, the first one with", len(client.retrieve(entries[0])), "bytes")
    print("the patient is", client.discover(Path(folder, "patient-discovery.xml").read_bytes()))
    entries = client.cross_gateway_query(patient, home)
    content = client.cross_gateway_retrieve(entries[0])
    print(len(entries), "documents across, the first one with", len(content), "bytes")
    wanted = [image.split("/") for image in images.split()]
    if wanted:
        print(len(client.images(wanted, location)), "images")
        print(len(client.cross_gateway_images(wanted, location, home)), "images across")


if __name__ == "__main__":
    main(*sys.argv[1:])
