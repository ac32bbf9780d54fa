package interop;

import ihe.iti.xds_b._2007.RetrieveDocumentSetResponseType;
import ihe.rad.xdsi_b._2009.ImagingDocumentSourcePortType;
import ihe.rad.xdsi_b._2009.RetrieveImagingDocumentSetRequestType;
import java.util.ArrayList;
import java.util.List;
import javax.activation.DataHandler;
import javax.activation.FileDataSource;
import javax.jws.WebService;
import javax.xml.ws.BindingType;
import javax.xml.ws.soap.Addressing;
import javax.xml.ws.soap.MTOM;
import javax.xml.ws.soap.SOAPBinding;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryError;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/**
 * Retrieve Imaging Document Set (RAD-69) of what the repository was given: the SOP Instance UID is the uniqueId,
 * the title of a DocumentEntry names study and series as {@code study/series}.
 */
@WebService(
        endpointInterface = "ihe.rad.xdsi_b._2009.ImagingDocumentSourcePortType",
        targetNamespace = "urn:ihe:rad:xdsi-b:2009",
        serviceName = "ImagingDocumentSource_Service",
        portName = "ImagingDocumentSource_Port_Soap12")
@BindingType(SOAPBinding.SOAP12HTTP_BINDING)
@Addressing(required = true)
@MTOM
public final class ImagingEndpoint implements ImagingDocumentSourcePortType {
    private final Store store;

    ImagingEndpoint(Store store) {
        this.store = store;
    }

    @Override
    public RetrieveDocumentSetResponseType imagingDocumentSourceRetrieveImagingDocumentSet(
            RetrieveImagingDocumentSetRequestType request) {
        RetrieveDocumentSetResponseType response = new RetrieveDocumentSetResponseType();
        List<RegistryError> errors = new ArrayList<>();
        for (var study : request.getStudyRequest()) {
            for (var series : study.getSeriesRequest()) {
                String place = study.getStudyInstanceUID() + "/" + series.getSeriesInstanceUID();
                for (var wanted : series.getDocumentRequest()) {
                    String uid = wanted.getDocumentUniqueId();
                    Store.Content content = store.content(uid);
                    if (!wanted.getRepositoryUniqueId().equals(store.repositoryUniqueId)) {
                        errors.add(Ebrim.error("XDSUnknownRepositoryId", "another source is addressed", uid));
                    } else if (content == null || !place.equals(title(uid))) {
                        errors.add(Ebrim.error("XDSDocumentUniqueIdError", "no such instance", uid));
                    } else {
                        var document = new RetrieveDocumentSetResponseType.DocumentResponse();
                        document.setRepositoryUniqueId(store.repositoryUniqueId);
                        document.setDocumentUniqueId(uid);
                        document.setMimeType("application/dicom");
                        document.setDocument(new DataHandler(new FileDataSource(content.path().toFile())));
                        response.getDocumentResponse().add(document);
                    }
                }
            }
        }
        String status = errors.isEmpty() ? Ebrim.SUCCESS
                : response.getDocumentResponse().isEmpty() ? Ebrim.FAILURE : Ebrim.PARTIAL;
        response.setRegistryResponse(Ebrim.fill(new RegistryResponseType(), status, errors));
        return response;
    }

    private String title(String uid) {
        var name = store.entry(uid).getName();
        return name == null ? null : name.getLocalizedString().get(0).getValue();
    }
}
