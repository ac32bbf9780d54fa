package interop;

import ihe.iti.xds_b._2007.DocumentRegistryPortType;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.lcm._3.SubmitObjectsRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryRequest;
import oasis.names.tc.ebxml_regrep.xsd.query._3.AdhocQueryResponse;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.AdhocQueryType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.IdentifiableType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.RegistryObjectListType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.SlotType1;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Registry Stored Query (ITI-18): FindDocuments, GetDocuments and GetAssociations as LeafClass. */
@WebService(
        endpointInterface = "ihe.iti.xds_b._2007.DocumentRegistryPortType",
        targetNamespace = "urn:ihe:iti:xds-b:2007",
        serviceName = "DocumentRegistry_Service",
        portName = "DocumentRegistry_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
public final class RegistryEndpoint implements DocumentRegistryPortType {
    private static final Pattern QUOTED = Pattern.compile("'((?:[^']|'')*)'");
    private final Store store;

    RegistryEndpoint(Store store) {
        this.store = store;
    }

    @Override
    public AdhocQueryResponse documentRegistryRegistryStoredQuery(AdhocQueryRequest request) {
        AdhocQueryResponse response = new AdhocQueryResponse();
        response.setRegistryObjectList(new RegistryObjectListType());
        try {
            response.getRegistryObjectList().getExtrinsicObjectOrRegistryPackageOrAssociation()
                    .addAll(answer(request.getAdhocQuery()));
            return Ebrim.fill(response, Ebrim.SUCCESS);
        } catch (Refused refused) {
            return Ebrim.fill(response, Ebrim.FAILURE,
                    List.of(Ebrim.error(refused.code, refused.getMessage(), "")));
        }
    }

    @Override
    public RegistryResponseType documentRegistryRegisterDocumentSetB(SubmitObjectsRequest request) {
        return Ebrim.fill(new RegistryResponseType(), Ebrim.FAILURE,
                List.of(Ebrim.error("XDSRegistryError", "documents come by ITI-41 only", "")));
    }

    private List<? extends IdentifiableType> answer(AdhocQueryType query) throws Refused {
        switch (query.getId()) {
            case "urn:uuid:14d4debf-8f97-4251-9a74-a90016b0af0d" -> {
                only(query, "$XDSDocumentEntryPatientId", "$XDSDocumentEntryStatus", "$XDSDocumentEntryType");
                return store.entries(
                        among(query, "$XDSDocumentEntryPatientId", e -> Ebrim.identifier(e, Ebrim.ENTRY_PATIENT_ID))
                                .and(among(query, "$XDSDocumentEntryStatus", ExtrinsicObjectType::getStatus))
                                .and(among(query, "$XDSDocumentEntryType", ExtrinsicObjectType::getObjectType)));
            }
            case "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4" -> {
                only(query, "$XDSDocumentEntryEntryUUID", "$XDSDocumentEntryUniqueId");
                return store.entries(
                        among(query, "$XDSDocumentEntryEntryUUID", ExtrinsicObjectType::getId)
                                .and(among(query, "$XDSDocumentEntryUniqueId", Ebrim::uniqueId)));
            }
            case "urn:uuid:a7ae438b-4bc2-4642-93e9-be891f7bb155" -> {
                only(query, "$uuid");
                List<String> uuids = parameter(query, "$uuid");
                return store.associations(
                        a -> uuids.contains(a.getSourceObject()) || uuids.contains(a.getTargetObject()));
            }
            default -> throw new Refused("XDSUnknownStoredQuery", "this registry does not know " + query.getId());
        }
    }

    /** A parameter that is not looked at would change what the answer means. */
    private static void only(AdhocQueryType query, String... supported) throws Refused {
        for (SlotType1 slot : query.getSlot()) {
            if (!Set.of(supported).contains(slot.getName())) {
                throw new Refused("XDSRegistryError", "this registry does not know " + slot.getName());
            }
        }
    }

    private interface Attribute {
        String of(ExtrinsicObjectType entry);
    }

    private static Predicate<ExtrinsicObjectType> among(AdhocQueryType query, String name, Attribute attribute)
            throws Refused {
        List<String> wanted = parameter(query, name);
        return entry -> wanted.isEmpty() || wanted.contains(attribute.of(entry));
    }

    private static List<String> parameter(AdhocQueryType query, String name) throws Refused {
        List<String> coded = Ebrim.values(query, name);
        List<String> values = coded.stream().flatMap(text -> QUOTED.matcher(text).results())
                .map(found -> found.group(1).replace("''", "'")).toList();
        if (!coded.isEmpty() && values.isEmpty()) {
            throw new Refused("XDSRegistryError", name + " has no quoted value");
        }
        return values;
    }
}
