package interop;

import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import ihe.rad.xdsi_b._2009.RespondingImagingGatewayService;
import ihe.rad.xdsi_b._2009.RetrieveImagingDocumentSetRequestType;
import java.io.InputStream;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import javax.xml.ws.BindingProvider;

/** Initiating Imaging Gateway: retrieves images by RAD-75, as the policies of our WSDL say. */
final class CrossGatewayImagingClient {
    private CrossGatewayImagingClient() {}

    /**
     * {@code images} are each {@code study/series/instance/location}. Prints for each document of the answer the
     * instance, the homeCommunityId and the SHA-1 of its bytes, and for each error {@code error CODE LOCATION}.
     */
    static void run(String url, Path wsdl, String home, String... images) throws Exception {
        var service = new RespondingImagingGatewayService(wsdl.resolve("imaging-gateway.wsdl").toUri().toURL());
        var port = service.getRespondingImagingGatewayPortSoap12();
        ((BindingProvider) port).getRequestContext().put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, url);
        var request = new RetrieveImagingDocumentSetRequestType();
        for (String image : images) {
            String[] named = image.split("/");
            var wanted = new RetrieveDocumentSetRequestType.DocumentRequest();
            wanted.setHomeCommunityId(home);
            wanted.setRepositoryUniqueId(named[3]);
            wanted.setDocumentUniqueId(named[2]);
            var series = new RetrieveImagingDocumentSetRequestType.StudyRequest.SeriesRequest();
            series.setSeriesInstanceUID(named[1]);
            series.getDocumentRequest().add(wanted);
            var study = new RetrieveImagingDocumentSetRequestType.StudyRequest();
            study.setStudyInstanceUID(named[0]);
            study.getSeriesRequest().add(series);
            request.getStudyRequest().add(study);
        }
        var syntaxes = new RetrieveImagingDocumentSetRequestType.TransferSyntaxUIDList();
        syntaxes.getTransferSyntaxUID().add("1.2.840.10008.1.2.1");
        syntaxes.getTransferSyntaxUID().add("1.2.840.10008.1.2.5");
        request.setTransferSyntaxUIDList(syntaxes);
        var answer = port.respondingImagingGatewayCrossGatewayRetrieveImagingDocumentSet(request);
        for (var document : answer.getDocumentResponse()) {
            MessageDigest sha1 = MessageDigest.getInstance("SHA-1");
            try (InputStream content = document.getDocument().getInputStream()) {
                sha1.update(content.readAllBytes());
            }
            System.out.println(document.getDocumentUniqueId() + " " + document.getHomeCommunityId() + " "
                    + HexFormat.of().formatHex(sha1.digest()));
        }
        var errors = answer.getRegistryResponse().getRegistryErrorList();
        if (errors != null) {
            errors.getRegistryError().forEach(error ->
                    System.out.println("error " + error.getErrorCode() + " " + error.getLocation()));
        }
        System.exit(0);
    }
}
