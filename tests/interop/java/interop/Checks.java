package interop;

import com.sun.xml.ws.api.message.Headers;
import com.sun.xml.ws.developer.WSBindingProvider;
import ihe.iti.xds_b._2007.DocumentRegistryPortType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import javax.xml.namespace.QName;
import javax.xml.soap.MessageFactory;
import javax.xml.soap.SOAPConstants;
import javax.xml.soap.SOAPFault;
import javax.xml.soap.SOAPHeaderElement;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.soap.AddressingFeature;
import javax.xml.ws.soap.SOAPFaultException;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryResponse;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.SlotType1;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Calls a registry and a repository and prints one line per check: {@code ok NAME} or {@code FAILED NAME: why}. */
final class Checks {
    private static final QName SENDER = new QName(SOAPConstants.URI_NS_SOAP_1_2_ENVELOPE, "Sender");
    private static final QName MUST_UNDERSTAND = new QName(SOAPConstants.URI_NS_SOAP_1_2_ENVELOPE, "MustUnderstand");
    private static final String WSA = "http://www.w3.org/2005/08/addressing";
    private static final int CHUNK = 65536;

    private final Client client;
    private final String patient;
    private boolean passed = true;

    private Checks(Client client, String run) {
        this.client = client;
        this.patient = run + "^^^" + Submission.PATIENT_AUTHORITY;
    }

    /** Runs a set of checks; documents of one {@code run} belong to one patient. True where all passed. */
    static boolean run(Client client, String set, String run) {
        Checks checks = new Checks(client, run);
        switch (set) {
            case "submit" -> checks.submitOneByOne(Sample.SMALL);
            case "retrieve" -> checks.retrieveAll(Sample.SMALL);
            case "submit-large" -> checks.submitOneByOne(List.of(Sample.LARGE));
            case "retrieve-large" -> checks.retrieveAll(List.of(Sample.LARGE));
            case "several" -> {
                checks.submitTogether();
                checks.retrieveTogether();
            }
            case "registration" -> checks.registration();
            case "faults" -> checks.faults();
            default -> throw new IllegalArgumentException("unknown set of checks: " + set);
        }
        return checks.passed;
    }

    private interface Body {
        void run() throws Exception;
    }

    private void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Exception | AssertionError failure) {
            passed = false;
            System.out.println("FAILED " + name + ": " + failure);
            failure.printStackTrace();
        }
    }

    static void equal(Object expected, Object actual) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    private static void succeeded(RegistryResponseType response) {
        equal(List.of(), Ebrim.errorCodes(response));
        equal(Ebrim.SUCCESS, response.getStatus());
    }

    /** The sample is told by the description, which the submission carries for this purpose. */
    private static ExtrinsicObjectType entryOf(Submission submission, Sample sample) {
        ExtrinsicObjectType entry = submission.entry(sample.mimeType());
        entry.setDescription(Ebrim.text(sample.name()));
        return entry;
    }

    private static String nameOf(ExtrinsicObjectType entry) {
        return entry.getDescription().getLocalizedString().get(0).getValue();
    }

    private void submitOneByOne(List<Sample> samples) {
        for (Sample sample : samples) {
            check("ITI-41 stores " + sample.name(), () -> {
                Submission submission = new Submission(patient);
                succeeded(client.provide(submission, Map.of(entryOf(submission, sample), sample)));
            });
        }
    }

    private void submitTogether() {
        check("ITI-41 stores several documents at once", () -> {
            Submission submission = new Submission(patient);
            Map<ExtrinsicObjectType, Sample> documents = new LinkedHashMap<>();
            Sample.SMALL.forEach(sample -> documents.put(entryOf(submission, sample), sample));
            succeeded(client.provide(submission, documents));
        });
    }

    private void retrieveAll(List<Sample> samples) {
        Map<String, ExtrinsicObjectType> found = find(samples);
        for (Sample sample : samples) {
            check("ITI-43 returns " + sample.name() + " byte for byte", () -> {
                String uniqueId = Ebrim.uniqueId(found.get(sample.name()));
                var answer = client.retrieve(List.of(uniqueId));
                succeeded(answer.getRegistryResponse());
                equal(1, answer.getDocumentResponse().size());
                compare(sample, uniqueId, answer.getDocumentResponse().get(0));
            });
        }
    }

    private void retrieveTogether() {
        Map<String, ExtrinsicObjectType> found = find(Sample.SMALL);
        check("ITI-43 returns several documents at once byte for byte", () -> {
            Map<String, Sample> wanted = new LinkedHashMap<>();
            Sample.SMALL.forEach(sample -> wanted.put(Ebrim.uniqueId(found.get(sample.name())), sample));
            var answer = client.retrieve(List.copyOf(wanted.keySet()));
            succeeded(answer.getRegistryResponse());
            equal(wanted.size(), answer.getDocumentResponse().size());
            for (var document : answer.getDocumentResponse()) {
                String uniqueId = document.getDocumentUniqueId();
                compare(Objects.requireNonNull(wanted.remove(uniqueId)), uniqueId, document);
            }
        });
        check("ITI-43 returns what there is and names what is missing", () -> {
            String uniqueId = Ebrim.uniqueId(found.get(Sample.SMALL.get(3).name()));
            var answer = client.retrieve(List.of("2.999.404", uniqueId));
            equal(Ebrim.PARTIAL, answer.getRegistryResponse().getStatus());
            equal(List.of("XDSDocumentUniqueIdError"), Ebrim.errorCodes(answer.getRegistryResponse()));
            compare(Sample.SMALL.get(3), uniqueId, answer.getDocumentResponse().get(0));
        });
    }

    /** What ITI-18 knows of the run, by name of the sample. */
    private Map<String, ExtrinsicObjectType> find(List<Sample> samples) {
        Map<String, ExtrinsicObjectType> found = new LinkedHashMap<>();
        check("ITI-18 finds all documents with SHA-1 and size", () -> {
            client.entries(Client.ofPatient(patient)).forEach(entry -> found.put(nameOf(entry), entry));
            equal(samples.size(), found.size());
            for (Sample sample : samples) {
                ExtrinsicObjectType entry = found.get(sample.name());
                equal(List.of(sample.sha1()), Ebrim.values(entry, "hash"));
                equal(List.of(Long.toString(sample.size())), Ebrim.values(entry, "size"));
                equal(List.of(client.repositoryUniqueId), Ebrim.values(entry, "repositoryUniqueId"));
                equal(sample.mimeType(), entry.getMimeType());
                equal(Submission.TITLE, entry.getName().getLocalizedString().get(0).getValue());
            }
        });
        return found;
    }

    private void compare(Sample sample, String uniqueId, RetrieveDocumentSetResponseType.DocumentResponse got)
            throws Exception {
        equal(uniqueId, got.getDocumentUniqueId());
        equal(client.repositoryUniqueId, got.getRepositoryUniqueId());
        equal(sample.mimeType(), got.getMimeType());
        try (InputStream expected = sample.getInputStream();
                InputStream actual = got.getDocument().getInputStream()) {
            for (long at = 0; ; at += CHUNK) {
                byte[] wanted = expected.readNBytes(CHUNK);
                int difference = Arrays.mismatch(wanted, actual.readNBytes(CHUNK));
                if (difference >= 0) {
                    throw new AssertionError("byte " + (at + difference) + " differs");
                }
                if (wanted.length == 0) {
                    return;
                }
            }
        }
    }

    private void registration() {
        Submission submission = new Submission(patient);
        ExtrinsicObjectType sent = storedEntry(submission);
        check("ITI-42 registers an entry", () -> succeeded(client.register(submission.request())));
        check("ITI-18 returns every attribute that was registered", () -> {
            ExtrinsicObjectType got = client.entries(Client.ofUniqueId(Ebrim.uniqueId(sent))).get(0);
            equal(sent.getId(), got.getId());
            equal(Ebrim.APPROVED, got.getStatus());
            for (SlotType1 slot : sent.getSlot()) {
                equal(slot.getValueList().getValue(), Ebrim.values(got, slot.getName()));
            }
            equal(classifications(sent), classifications(got));
            equal(patient, Ebrim.identifier(got, Ebrim.ENTRY_PATIENT_ID));
        });
        check("ITI-42 refuses an entry without typeCode", () -> {
            Submission incomplete = new Submission(patient);
            ExtrinsicObjectType entry = storedEntry(incomplete);
            entry.getClassification().removeIf(c -> c.getClassificationScheme().equals(Submission.TYPE_CODE));
            RegistryResponseType answer = client.register(incomplete.request());
            equal(Ebrim.FAILURE, answer.getStatus());
            equal(List.of("XDSRegistryMetadataError"), Ebrim.errorCodes(answer));
        });
        check("ITI-18 refuses an unknown stored query", () -> {
            AdhocQueryResponse answer = client.query(
                    Client.storedQuery("urn:uuid:00000000-0000-4000-8000-000000000000", Map.of()));
            equal(Ebrim.FAILURE, answer.getStatus());
            equal(List.of("XDSUnknownStoredQuery"), Ebrim.errorCodes(answer));
        });
    }

    /** An entry as a repository registers it. */
    private ExtrinsicObjectType storedEntry(Submission submission) {
        ExtrinsicObjectType entry = submission.entry("text/plain");
        entry.getSlot().add(Ebrim.slot("repositoryUniqueId", client.repositoryUniqueId));
        entry.getSlot().add(Ebrim.slot("hash", "da39a3ee5e6b4b0d3255bfef95601890afd80709"));
        entry.getSlot().add(Ebrim.slot("size", "0"));
        return entry;
    }

    private static HashSet<List<String>> classifications(ExtrinsicObjectType entry) {
        HashSet<List<String>> found = new HashSet<>();
        entry.getClassification().forEach(c -> {
            List<String> values = new ArrayList<>(Ebrim.values(c, "codingScheme"));
            values.add(c.getClassificationScheme());
            values.add(c.getNodeRepresentation());
            values.add(c.getName().getLocalizedString().get(0).getValue());
            found.add(values);
        });
        return found;
    }

    private void faults() {
        check("a query without Action is a fault", () -> {
            SOAPFault fault = client.queryWithoutAddressing(Client.ofPatient(patient)).getFault();
            expect(fault, SENDER, new QName(WSA, "MessageAddressingHeaderRequired"));
            equal(true, fault.hasDetail());
        });
        fault("a client without WS-Addressing understands the fault", SENDER,
                new QName(WSA, "MessageAddressingHeaderRequired"),
                () -> client.registryPort(new AddressingFeature(false))
                        .documentRegistryRegistryStoredQuery(Client.ofPatient(patient)));
        fault("a query with an unknown Action is a fault", SENDER, new QName(WSA, "ActionNotSupported"), () -> {
            DocumentRegistryPortType port = client.registryPort();
            var context = ((BindingProvider) port).getRequestContext();
            context.put(BindingProvider.SOAPACTION_USE_PROPERTY, true);
            context.put(BindingProvider.SOAPACTION_URI_PROPERTY, "urn:example:unknown");
            port.documentRegistryRegistryStoredQuery(Client.ofPatient(patient));
        });
        fault("a query with an unknown mandatory header is a fault", MUST_UNDERSTAND, null,
                () -> withMandatoryHeader(client.registryPort())
                        .documentRegistryRegistryStoredQuery(Client.ofPatient(patient)));
        fault("a retrieve with an unknown mandatory header is a fault", MUST_UNDERSTAND, null,
                () -> withMandatoryHeader(client.repositoryPort())
                        .documentRepositoryRetrieveDocumentSet(client.retrieveRequest(List.of("2.999.404"))));
        check("an unknown document is a failure, not a fault", () -> {
            var answer = client.retrieve(List.of("2.999.404"));
            equal(Ebrim.FAILURE, answer.getRegistryResponse().getStatus());
            equal(List.of("XDSDocumentUniqueIdError"), Ebrim.errorCodes(answer.getRegistryResponse()));
            equal(List.of(), answer.getDocumentResponse());
        });
    }

    private void fault(String name, QName code, QName subcode, Body body) {
        check(name, () -> {
            try {
                body.run();
            } catch (SOAPFaultException fault) {
                expect(fault.getFault(), code, subcode);
                return;
            }
            throw new AssertionError("the request was carried out");
        });
    }

    private static void expect(SOAPFault fault, QName code, QName subcode) {
        equal(code, fault.getFaultCodeAsQName());
        Iterator<QName> subcodes = fault.getFaultSubcodes();
        equal(subcode, subcodes.hasNext() ? subcodes.next() : null);
    }

    private static <P> P withMandatoryHeader(P port) throws Exception {
        SOAPHeaderElement header = MessageFactory.newInstance(SOAPConstants.SOAP_1_2_PROTOCOL).createMessage()
                .getSOAPHeader().addHeaderElement(new QName("urn:example:unknown", "Contract", "x"));
        header.setMustUnderstand(true);
        ((WSBindingProvider) port).setOutboundHeaders(Headers.create(header));
        return port;
    }
}
