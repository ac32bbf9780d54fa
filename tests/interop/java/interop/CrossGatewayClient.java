package interop;

import ihe.iti.xds_b._2007.RespondingGatewayService;
import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import java.io.InputStream;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import javax.xml.ws.BindingProvider;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;

/** Initiating Gateway: finds one document by ITI-38 and retrieves it by ITI-39, as the policies of our WSDL say. */
final class CrossGatewayClient {
    private CrossGatewayClient() {}

    /** Prints the homeCommunityId of the DocumentEntry, that of the document, and the SHA-1 of its bytes. */
    static void run(String url, Path wsdl, String home, String uniqueId) throws Exception {
        var service = new RespondingGatewayService(wsdl.resolve("responding-gateway.wsdl").toUri().toURL());
        var query = service.getRespondingGatewayQueryPortSoap12();
        var retrieve = service.getRespondingGatewayRetrievePortSoap12();
        for (Object port : new Object[] {query, retrieve}) {
            ((BindingProvider) port).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, url);
        }
        var request = Client.storedQuery(Client.GET_DOCUMENTS,
                Map.of("$XDSDocumentEntryUniqueId", "('" + uniqueId + "')"));
        request.getAdhocQuery().setHome(home);
        var found = query.respondingGatewayCrossGatewayQuery(request);
        Checks.equal(Ebrim.SUCCESS, found.getStatus());
        var entry = (ExtrinsicObjectType)
                found.getRegistryObjectList().getExtrinsicObjectOrRegistryPackageOrAssociation().get(0);
        var wanted = new RetrieveDocumentSetRequestType.DocumentRequest();
        wanted.setHomeCommunityId(entry.getHome());
        wanted.setRepositoryUniqueId(Ebrim.values(entry, "repositoryUniqueId").get(0));
        wanted.setDocumentUniqueId(uniqueId);
        var documents = new RetrieveDocumentSetRequestType();
        documents.getDocumentRequest().add(wanted);
        var answer = retrieve.respondingGatewayCrossGatewayRetrieve(documents);
        Checks.equal(Ebrim.SUCCESS, answer.getRegistryResponse().getStatus());
        var document = answer.getDocumentResponse().get(0);
        MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
        try (InputStream content = document.getDocument().getInputStream()) {
            sha1.update(content.readAllBytes());
        }
        System.out.println(entry.getHome() + " " + document.getHomeCommunityId() + " "
                + HexFormat.of().formatHex(sha1.digest()));
        System.exit(0);
    }
}
