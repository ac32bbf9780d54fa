package interop;

import ihe.iti.xds_b._2007.RespondingGatewayRetrievePortType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import java.util.List;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.MTOM;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Cross Gateway Retrieve (ITI-39) of the same community from the repository of this peer. */
@WebService(
        endpointInterface = "ihe.iti.xds_b._2007.RespondingGatewayRetrievePortType",
        targetNamespace = "urn:ihe:iti:xds-b:2007",
        serviceName = "RespondingGateway_Service",
        portName = "RespondingGatewayRetrieve_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
@MTOM
public final class GatewayRetrieveEndpoint implements RespondingGatewayRetrievePortType {
    private final RepositoryEndpoint repository;

    GatewayRetrieveEndpoint(RepositoryEndpoint repository) {
        this.repository = repository;
    }

    @Override
    public RetrieveDocumentSetResponseType respondingGatewayCrossGatewayRetrieve(
            RetrieveDocumentSetRequestType request) {
        for (var wanted : request.getDocumentRequest()) {
            if (!GatewayQueryEndpoint.HOME.equals(wanted.getHomeCommunityId())) {
                RetrieveDocumentSetResponseType refusal = new RetrieveDocumentSetResponseType();
                refusal.setRegistryResponse(Ebrim.fill(new RegistryResponseType(), Ebrim.FAILURE, List.of(Ebrim.error(
                        "XDSMissingHomeCommunityId", "every document has its community", GatewayQueryEndpoint.HOME))));
                return refusal;
            }
        }
        RetrieveDocumentSetResponseType response = repository.documentRepositoryRetrieveDocumentSet(request);
        response.getDocumentResponse().forEach(document -> document.setHomeCommunityId(GatewayQueryEndpoint.HOME));
        return response;
    }
}
