package interop;

import com.sun.xml.ws.developer.JAXWSProperties;
import com.sun.xml.ws.developer.StreamingAttachmentFeature;
import ihe.iti.xds_b._2007.DocumentRegistryPortType;
import ihe.iti.xds_b._2007.DocumentRegistryService;
import ihe.iti.xds_b._2007.DocumentRepositoryPortType;
import ihe.iti.xds_b._2007.DocumentRepositoryService;
import ihe.iti.xds_b._2007.ProvideAndRegisterDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import javax.activation.DataHandler;
import javax.xml.bind.JAXBContext;
import javax.xml.soap.MessageFactory;
import javax.xml.soap.MimeHeaders;
import javax.xml.soap.SOAPBody;
import javax.xml.soap.SOAPConstants;
import javax.xml.soap.SOAPMessage;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.WebServiceFeature;
import oasis.names.tc.ebxml_regrep.xsd.lcm._3.SubmitObjectsRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryResponse;
import oasis.names.tc.ebxml_regrep.xsd.query._3.ResponseOptionType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.AdhocQueryType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Document Source and Consumer: WS-Addressing and MTOM come from the policies of our WSDLs alone. */
final class Client {
    static final String FIND_DOCUMENTS = "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d";
    static final String GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4";
    private static final int CHUNK = 65536;

    final String repositoryUniqueId;
    private final String registryUrl;
    private final String repositoryUrl;
    private final DocumentRegistryService registries;
    private final DocumentRepositoryService repositories;
    private final DocumentRegistryPortType registry;
    private final DocumentRepositoryPortType repository;

    Client(URI base, Path wsdl, String repositoryUniqueId) throws Exception {
        this.repositoryUniqueId = repositoryUniqueId;
        registryUrl = base + "/xds/registry";
        repositoryUrl = base + "/xds/repository";
        registries = new DocumentRegistryService(url(wsdl, "registry.wsdl"));
        repositories = new DocumentRepositoryService(url(wsdl, "repository.wsdl"));
        registry = registryPort();
        repository = repositoryPort(new StreamingAttachmentFeature(null, false, 1_000_000L));
    }

    private static URL url(Path folder, String name) throws Exception {
        return folder.resolve(name).toUri().toURL();
    }

    /** A port that follows the policy of our WSDL where no feature says otherwise. */
    DocumentRegistryPortType registryPort(WebServiceFeature... features) {
        return at(registryUrl, registries.getDocumentRegistryPortSoap12(features));
    }

    DocumentRepositoryPortType repositoryPort(WebServiceFeature... features) {
        return at(repositoryUrl, repositories.getDocumentRepositoryPortSoap12(features));
    }

    private static <P> P at(String url, P port) {
        Map<String, Object> context = ((BindingProvider) port).getRequestContext();
        context.put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, url);
        context.put(JAXWSProperties.HTTP_CLIENT_STREAMING_CHUNK_SIZE, CHUNK);
        return port;
    }

    /** The answer to a query that has no WS-Addressing header at all, as it came. */
    SOAPBody queryWithoutAddressing(AdhocQueryRequest request) throws Exception {
        MessageFactory factory = MessageFactory.newInstance(SOAPConstants.SOAP_1_2_PROTOCOL);
        SOAPMessage message = factory.createMessage();
        JAXBContext.newInstance(AdhocQueryRequest.class).createMarshaller().marshal(request, message.getSOAPBody());
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        message.writeTo(body);
        HttpRequest post = HttpRequest.newBuilder(URI.create(registryUrl))
                .header("Content-Type", SOAPConstants.SOAP_1_2_CONTENT_TYPE)
                .POST(HttpRequest.BodyPublishers.ofByteArray(body.toByteArray())).build();
        var answer = HttpClient.newHttpClient().send(post, HttpResponse.BodyHandlers.ofInputStream());
        MimeHeaders headers = new MimeHeaders();
        headers.addHeader("Content-Type", answer.headers().firstValue("Content-Type").orElseThrow());
        return factory.createMessage(headers, answer.body()).getSOAPBody();
    }

    RegistryResponseType provide(Submission submission, Map<ExtrinsicObjectType, Sample> documents) {
        var request = new ProvideAndRegisterDocumentSetRequestType();
        request.setSubmitObjectsRequest(submission.request());
        documents.forEach((entry, sample) -> {
            var document = new ProvideAndRegisterDocumentSetRequestType.Document();
            document.setId(entry.getId());
            document.setValue(new DataHandler(sample));
            request.getDocument().add(document);
        });
        return repository.documentRepositoryProvideAndRegisterDocumentSetB(request);
    }

    RegistryResponseType register(SubmitObjectsRequest request) {
        return registry.documentRegistryRegisterDocumentSetB(request);
    }

    AdhocQueryResponse query(AdhocQueryRequest request) {
        return registry.documentRegistryRegistryStoredQuery(request);
    }

    /** DocumentEntries of a LeafClass answer. */
    List<ExtrinsicObjectType> entries(AdhocQueryRequest request) {
        AdhocQueryResponse answer = query(request);
        Checks.equal(Ebrim.SUCCESS, answer.getStatus());
        return answer.getRegistryObjectList().getExtrinsicObjectOrRegistryPackageOrAssociation().stream()
                .map(ExtrinsicObjectType.class::cast).toList();
    }

    RetrieveDocumentSetResponseType retrieve(List<String> uniqueIds) {
        return repository.documentRepositoryRetrieveDocumentSet(retrieveRequest(uniqueIds));
    }

    RetrieveDocumentSetRequestType retrieveRequest(List<String> uniqueIds) {
        var request = new RetrieveDocumentSetRequestType();
        for (String uniqueId : uniqueIds) {
            var document = new RetrieveDocumentSetRequestType.DocumentRequest();
            document.setRepositoryUniqueId(repositoryUniqueId);
            document.setDocumentUniqueId(uniqueId);
            request.getDocumentRequest().add(document);
        }
        return request;
    }

    /** A stored query with one value per parameter. */
    static AdhocQueryRequest storedQuery(String id, Map<String, String> parameters) {
        AdhocQueryType query = new AdhocQueryType();
        query.setId(id);
        parameters.forEach((name, value) -> query.getSlot().add(Ebrim.slot(name, value)));
        ResponseOptionType option = new ResponseOptionType();
        option.setReturnType("LeafClass");
        option.setReturnComposedObjects(true);
        AdhocQueryRequest request = new AdhocQueryRequest();
        request.setResponseOption(option);
        request.setAdhocQuery(query);
        return request;
    }

    static AdhocQueryRequest ofPatient(String patient) {
        return storedQuery(FIND_DOCUMENTS, Map.of(
                "$XDSDocumentEntryPatientId", "'" + patient + "'",
                "$XDSDocumentEntryStatus", "('" + Ebrim.APPROVED + "')"));
    }

    static AdhocQueryRequest ofUniqueId(String uniqueId) {
        return storedQuery(GET_DOCUMENTS, Map.of("$XDSDocumentEntryUniqueId", "('" + uniqueId + "')"));
    }
}
