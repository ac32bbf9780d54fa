package interop;

import java.util.List;
import java.util.UUID;
import oasis.names.tc.ebxml_regrep.xsd.lcm._3.SubmitObjectsRequest;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.AssociationType1;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ClassificationType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExternalIdentifierType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.IdentifiableType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.RegistryObjectListType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.RegistryObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.RegistryPackageType;

/** Builds a SubmissionSet with DocumentEntries that have every attribute a source must send (ITI TF-3 4.3.1). */
final class Submission {
    static final String PATIENT_AUTHORITY = "&2.999.1.1&ISO";
    static final String TITLE = "Röntgen <\"Thorax\"> & 胸部 '1'";
    static final String TYPE_CODE = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983";
    private static final String KIND = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:";
    private static final String[][] CODES = {
        {"urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a", "class"},
        {TYPE_CODE, "type"},
        {"urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d", "format"},
        {"urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", "facility"},
        {"urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead", "practice"},
        {"urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f", "N"},
    };

    final String patient;
    final RegistryPackageType set;
    final RegistryObjectListType objects = new RegistryObjectListType();

    /** A submission for the patient of one run of the checks. */
    Submission(String patient) {
        this.patient = patient;
        set = add(new RegistryPackageType(), "RegistryPackage");
        set.getSlot().add(Ebrim.slot("submissionTime", "20260102030405"));
        classify(set, "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500", "content");
        identify(set, "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446", "XDSSubmissionSet.patientId", patient);
        identify(set, "urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8", "XDSSubmissionSet.uniqueId", oid());
        identify(set, "urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832", "XDSSubmissionSet.sourceId", "2.999.6");
        ClassificationType label = add(new ClassificationType(), "Classification");
        label.setClassifiedObject(set.getId());
        label.setClassificationNode("urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd");
    }

    ExtrinsicObjectType entry(String mimeType) {
        ExtrinsicObjectType entry = add(new ExtrinsicObjectType(), "");
        entry.setObjectType("urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1");
        entry.setMimeType(mimeType);
        entry.setName(Ebrim.text(TITLE));
        entry.getSlot().add(Ebrim.slot("creationTime", "20260102"));
        entry.getSlot().add(Ebrim.slot("languageCode", "de-AT"));
        entry.getSlot().add(Ebrim.slot("sourcePatientId", patient));
        entry.getSlot().add(Ebrim.slot("sourcePatientInfo", "PID-5|Müller^Zoë", "PID-8|F"));
        for (String[] code : CODES) {
            classify(entry, code[0], code[1]);
        }
        identify(entry, Ebrim.ENTRY_PATIENT_ID, "XDSDocumentEntry.patientId", patient);
        identify(entry, Ebrim.ENTRY_UNIQUE_ID, "XDSDocumentEntry.uniqueId", oid());
        AssociationType1 member = add(new AssociationType1(), "Association");
        member.setAssociationType("urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember");
        member.setSourceObject(set.getId());
        member.setTargetObject(entry.getId());
        member.getSlot().add(Ebrim.slot("SubmissionSetStatus", "Original"));
        return entry;
    }

    SubmitObjectsRequest request() {
        SubmitObjectsRequest request = new SubmitObjectsRequest();
        request.setRegistryObjectList(objects);
        return request;
    }

    private <T extends RegistryObjectType> T add(T object, String kind) {
        identified(object, kind);
        List<IdentifiableType> list = objects.getExtrinsicObjectOrRegistryPackageOrAssociation();
        list.add(object);
        return object;
    }

    private static void identified(RegistryObjectType object, String kind) {
        object.setId("urn:uuid:" + UUID.randomUUID());
        object.setObjectType(KIND + kind);
    }

    private static void classify(RegistryObjectType object, String scheme, String code) {
        ClassificationType classification = new ClassificationType();
        identified(classification, "Classification");
        classification.setClassifiedObject(object.getId());
        classification.setClassificationScheme(scheme);
        classification.setNodeRepresentation(code);
        classification.setName(Ebrim.text(code));
        classification.getSlot().add(Ebrim.slot("codingScheme", "2.999.3"));
        object.getClassification().add(classification);
    }

    private static void identify(RegistryObjectType object, String scheme, String name, String value) {
        ExternalIdentifierType identifier = new ExternalIdentifierType();
        identified(identifier, "ExternalIdentifier");
        identifier.setRegistryObject(object.getId());
        identifier.setIdentificationScheme(scheme);
        identifier.setName(Ebrim.text(name));
        identifier.setValue(value);
        object.getExternalIdentifier().add(identifier);
    }

    private static String oid() {
        UUID uuid = UUID.randomUUID();
        return "2.999.7." + (uuid.getMostSignificantBits() >>> 1) + "." + (uuid.getLeastSignificantBits() >>> 1);
    }
}
