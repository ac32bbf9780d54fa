package interop;

import com.sun.xml.ws.developer.StreamingAttachment;
import ihe.iti.xds_b._2007.DocumentRepositoryPortType;
import ihe.iti.xds_b._2007.ProvideAndRegisterDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;
import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.activation.DataHandler;
import javax.activation.FileDataSource;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.MTOM;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryError;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Provide and Register Document Set-b (ITI-41) and Retrieve Document Set (ITI-43), both in MTOM packaging. */
@WebService(
        endpointInterface = "ihe.iti.xds_b._2007.DocumentRepositoryPortType",
        targetNamespace = "urn:ihe:iti:xds-b:2007",
        serviceName = "DocumentRepository_Service",
        portName = "DocumentRepository_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
@MTOM
@StreamingAttachment(memoryThreshold = 1_000_000L)
public final class RepositoryEndpoint implements DocumentRepositoryPortType {
    private final Store store;

    RepositoryEndpoint(Store store) {
        this.store = store;
    }

    @Override
    public RegistryResponseType documentRepositoryProvideAndRegisterDocumentSetB(
            ProvideAndRegisterDocumentSetRequestType request) {
        RegistryResponseType response = new RegistryResponseType();
        Map<String, Store.Content> contents = new LinkedHashMap<>();
        try {
            for (var document : request.getDocument()) {
                contents.put(document.getId(), store.receive(document.getValue()));
            }
            store.submit(request.getSubmitObjectsRequest().getRegistryObjectList()
                    .getExtrinsicObjectOrRegistryPackageOrAssociation(), contents);
            return Ebrim.fill(response, Ebrim.SUCCESS);
        } catch (Refused refused) {
            return Ebrim.fill(response, Ebrim.FAILURE,
                    List.of(Ebrim.error(refused.code, refused.getMessage(), "")));
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
    }

    @Override
    public RetrieveDocumentSetResponseType documentRepositoryRetrieveDocumentSet(
            RetrieveDocumentSetRequestType request) {
        RetrieveDocumentSetResponseType response = new RetrieveDocumentSetResponseType();
        List<RegistryError> errors = new ArrayList<>();
        for (var wanted : request.getDocumentRequest()) {
            String uniqueId = wanted.getDocumentUniqueId();
            Store.Content content = store.content(uniqueId);
            if (!wanted.getRepositoryUniqueId().equals(store.repositoryUniqueId)) {
                errors.add(Ebrim.error("XDSUnknownRepositoryId", "another repository is addressed", uniqueId));
            } else if (content == null) {
                errors.add(Ebrim.error("XDSDocumentUniqueIdError", "no such document", uniqueId));
            } else {
                var document = new RetrieveDocumentSetResponseType.DocumentResponse();
                document.setRepositoryUniqueId(store.repositoryUniqueId);
                document.setDocumentUniqueId(uniqueId);
                document.setMimeType(store.entry(uniqueId).getMimeType());
                document.setDocument(new DataHandler(new FileDataSource(content.path().toFile())));
                response.getDocumentResponse().add(document);
            }
        }
        String status = errors.isEmpty() ? Ebrim.SUCCESS
                : response.getDocumentResponse().isEmpty() ? Ebrim.FAILURE : Ebrim.PARTIAL;
        response.setRegistryResponse(Ebrim.fill(new RegistryResponseType(), status, errors));
        return response;
    }
}
