package interop;

import ihe.iti.xds_b._2007.RespondingGatewayQueryPortType;
import java.util.List;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryResponse;

/** Cross Gateway Query (ITI-38) of the community HOME, whose registry is the one of this peer. */
@WebService(
        endpointInterface = "ihe.iti.xds_b._2007.RespondingGatewayQueryPortType",
        targetNamespace = "urn:ihe:iti:xds-b:2007",
        serviceName = "RespondingGateway_Service",
        portName = "RespondingGatewayQuery_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
public final class GatewayQueryEndpoint implements RespondingGatewayQueryPortType {
    static final String HOME = "urn:oid:2.999.77";
    private final RegistryEndpoint registry;

    GatewayQueryEndpoint(RegistryEndpoint registry) {
        this.registry = registry;
    }

    @Override
    public AdhocQueryResponse respondingGatewayCrossGatewayQuery(AdhocQueryRequest request) {
        if (!HOME.equals(request.getAdhocQuery().getHome())) {
            return Ebrim.fill(new AdhocQueryResponse(), Ebrim.FAILURE,
                    List.of(Ebrim.error("XDSUnknownCommunity", "another community is addressed", HOME)));
        }
        AdhocQueryResponse response = registry.documentRegistryRegistryStoredQuery(request);
        response.getRegistryObjectList().getExtrinsicObjectOrRegistryPackageOrAssociation()
                .forEach(found -> found.setHome(HOME));
        return response;
    }
}
