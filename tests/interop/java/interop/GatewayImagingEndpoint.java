package interop;

import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import ihe.rad.xdsi_b._2009.RespondingImagingGatewayPortType;
import ihe.rad.xdsi_b._2009.RetrieveImagingDocumentSetRequestType;
import java.util.List;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.MTOM;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Cross Gateway Retrieve Imaging Document Set (RAD-75) of the same community from the imaging source of this peer. */
@WebService(
        endpointInterface = "ihe.rad.xdsi_b._2009.RespondingImagingGatewayPortType",
        targetNamespace = "urn:ihe:rad:xdsi-b:2009",
        serviceName = "RespondingImagingGateway_Service",
        portName = "RespondingImagingGateway_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
@MTOM
public final class GatewayImagingEndpoint implements RespondingImagingGatewayPortType {
    private static final String HOME = GatewayQueryEndpoint.HOME;
    private final ImagingEndpoint source;

    GatewayImagingEndpoint(ImagingEndpoint source) {
        this.source = source;
    }

    @Override
    public RetrieveDocumentSetResponseType respondingImagingGatewayCrossGatewayRetrieveImagingDocumentSet(
            RetrieveImagingDocumentSetRequestType request) {
        for (var study : request.getStudyRequest()) {
            for (var series : study.getSeriesRequest()) {
                for (var wanted : series.getDocumentRequest()) {
                    if (!HOME.equals(wanted.getHomeCommunityId())) {
                        RetrieveDocumentSetResponseType refusal = new RetrieveDocumentSetResponseType();
                        refusal.setRegistryResponse(Ebrim.fill(new RegistryResponseType(), Ebrim.FAILURE,
                                List.of(Ebrim.error("XDSUnknownCommunity", "another community is addressed", HOME))));
                        return refusal;
                    }
                }
            }
        }
        RetrieveDocumentSetResponseType response = source.imagingDocumentSourceRetrieveImagingDocumentSet(request);
        response.getDocumentResponse().forEach(document -> document.setHomeCommunityId(HOME));
        var errors = response.getRegistryResponse().getRegistryErrorList();
        if (errors != null) {
            errors.getRegistryError().forEach(error -> {
                // the location is the community, so that the text has to name the instance
                error.setCodeContext(error.getLocation() + ": " + error.getCodeContext());
                error.setLocation(HOME);
            });
        }
        return response;
    }
}
