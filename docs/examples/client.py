"""A client of the gateway with nothing but the standard library: a function for each transaction.

    BASE=http://127.0.0.1:8080/fhir
    TOKEN=$(gateway token --client demo --key state/demo/client-key.json --url $BASE)
    python client.py $BASE "$TOKEN" state/demo/publish.json

Each function returns what the server answered; a refusal is an `urllib.error.HTTPError` whose body is an
OperationOutcome.
"""

import json
import sys
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

FHIR_JSON = "application/fhir+json"


class Client:
    """One server and one access token."""

    def __init__(self, base_url, token):
        self.base_url = base_url
        self.token = token

    def send(self, url, body=None, content_type=FHIR_JSON, accept=FHIR_JSON):
        """The body of the answer, with its headers."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        if body is not None:
            headers["Content-Type"] = content_type
        with urlopen(Request(url, data=body, headers=headers)) as answer:
            return answer.read(), answer.headers

    def json(self, url, resource=None):
        """A resource for a resource."""
        body = None if resource is None else json.dumps(resource).encode()
        return json.loads(self.send(url, body)[0])

    def search(self, kind, **parameters):
        """Resources of all pages."""
        url = f"{self.base_url}/{kind}?{urlencode(parameters)}"
        while url:
            page = self.json(url)
            yield from (entry["resource"] for entry in page.get("entry", ()))
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)

    def publish(self, bundle):
        """ITI-65: the locations of what was stored."""
        answer = self.json(self.base_url, bundle)
        return [entry["response"].get("location") for entry in answer["entry"]]

    def publish_simply(self, document_reference):
        """ITI-105: the DocumentReference as it was stored; its document is in attachment.data."""
        return self.json(f"{self.base_url}/DocumentReference", document_reference)

    def generate_metadata(self, binary):
        """ITI-106: the DocumentReference of a document that says about itself what is needed."""
        parameters = {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": binary}]}
        return self.json(f"{self.base_url}/DocumentReference/$generate-metadata", parameters)

    def get_token(self, assertion, scope):
        """ITI-71: an access token for a signed assertion of the client (RFC 7523; RS384 or ES384)."""
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        return self.form("/auth/token", form)["access_token"]

    def introspect(self, token):
        """ITI-102: what a token says, for a client that may ask."""
        return self.form("/auth/introspect", {"token": token})

    def form(self, path, fields):
        """JSON for a form."""
        content_type = "application/x-www-form-urlencoded"
        return json.loads(self.send(self.base_url + path, urlencode(fields).encode(), content_type)[0])

    def patients(self, **parameters):
        """ITI-78: patients by name, birth date and more."""
        return [each for each in self.search("Patient", **parameters) if each["resourceType"] == "Patient"]

    def match(self, patient, most=5):
        """ITI-119: (score, Patient) of those who may be meant."""
        parameters = [
            {"name": "resource", "resource": patient},
            {"name": "count", "valueInteger": most},
        ]
        asked = {"resourceType": "Parameters", "parameter": parameters}
        answer = self.json(f"{self.base_url}/Patient/$match", asked)
        found = (entry for entry in answer.get("entry", ()) if entry["search"]["mode"] == "match")
        return [(entry["search"]["score"], entry["resource"]) for entry in found]

    def audit_events(self, since):
        """ITI-81: what was done since a day; the token needs system/AuditEvent.rs."""
        return list(self.search("AuditEvent", date=f"ge{since}", _count=100))

    def lists(self, patient):
        """ITI-66: SubmissionSets and Folders."""
        return list(self.search("List", **{"patient.identifier": patient, "code": "submissionset,folder"}))

    def documents(self, patient, **more):
        """ITI-67: DocumentReferences."""
        return list(
            self.search("DocumentReference", **{"patient.identifier": patient, "status": "current"}, **more)
        )

    def retrieve(self, document_reference):
        """ITI-68: the bytes of a document."""
        return self.send(document_reference["content"][0]["attachment"]["url"], accept="*/*")[0]

    def studies(self, patient):
        """ImagingStudies, each with the address of its images."""
        found = list(
            self.search(
                "ImagingStudy", **{"patient.identifier": patient, "_include": "ImagingStudy:endpoint"}
            )
        )
        endpoints = {each["id"]: each["address"] for each in found if each["resourceType"] == "Endpoint"}
        for study in (each for each in found if each["resourceType"] == "ImagingStudy"):
            references = [
                *study.get("endpoint", ()),
                *(e for s in study["series"] for e in s.get("endpoint", ())),
            ]
            uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
            for address in dict.fromkeys(endpoints[r["reference"].split("/")[-1]] for r in references):
                yield uid, address

    def images(self, address, study_uid):
        """RAD-107 (WADO-RS): the DICOM instances of a study."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        body, headers = self.send(f"{address}/studies/{study_uid}", accept=accept)
        message = BytesParser().parsebytes(
            b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body
        )
        return [part.get_payload(decode=True) for part in message.get_payload()]

    def found_images(self, patient_id, issuer):
        """QIDO-RS: (study, series, instance) of each image of a patient."""
        for study in self.dicom(
            f"studies?{urlencode({'PatientID': patient_id, 'IssuerOfPatientID': issuer})}"
        ):
            study_uid = study["0020000D"]["Value"][0]
            for series in self.dicom(f"studies/{study_uid}/series"):
                series_uid = series["0020000E"]["Value"][0]
                for image in self.dicom(f"studies/{study_uid}/series/{series_uid}/instances"):
                    yield study_uid, series_uid, image["00080018"]["Value"][0]

    def dicom(self, path):
        """DICOM JSON of a search."""
        return json.loads(
            self.send(f"{self.base_url}/dicomweb/{path}", accept="application/dicom+json")[0] or "[]"
        )

    def instance(self, study, series, instance):
        """RAD-55 (WADO-URI): one DICOM instance."""
        wanted = {"requestType": "WADO", "contentType": "application/dicom"}
        wanted |= {"studyUID": study, "seriesUID": series, "objectUID": instance}
        return self.send(f"{self.base_url}/dicomweb?{urlencode(wanted)}", accept="application/dicom")[0]

    def instance_at(self, home, location, study, series, instance):
        """RAD-160 (XC-WADO): one DICOM instance of a community (OID), by its Retrieve Location UID."""
        place = f"{self.base_url}/wado/homeCommunityId/{home}/RetrieveLocationUID/{location}"
        url = f"{place}/studies/{study}/series/{series}/instances/{instance}"
        return self.send(url, accept="application/dicom; transfer-syntax=*")[0]


def main(base_url, token, example, patient="urn:oid:2.999.1.1|DEMO-1"):
    client = Client(base_url, token)
    bundle = json.loads(Path(example).read_text("utf-8"))
    print(len(client.publish(bundle)), "resources published")
    print(len(client.lists(patient)), "lists")
    documents = client.documents(patient)
    print(len(documents), "documents, the first one with", len(client.retrieve(documents[0])), "bytes")
    for uid, address in client.studies(patient):
        print("study", uid, "with", len(client.images(address, uid)), "images")
    system, value = patient.split("|")
    images = list(client.found_images(value, system.removeprefix("urn:oid:")))
    print(len(images), "images by QIDO-RS, the first one with", len(client.instance(*images[0])), "bytes")
    person = {"family": "Muster", "birthdate": "1975-04-12"}
    print(len(client.patients(**person)), "patients of that name and day of birth")
    meant = {"resourceType": "Patient", "identifier": [{"system": system, "value": value}]}
    print("matches with scores of", [score for score, _ in client.match(meant)])
    print("the token is", "active" if client.introspect(token)["active"] else "of no use")


if __name__ == "__main__":
    main(*sys.argv[1:])
