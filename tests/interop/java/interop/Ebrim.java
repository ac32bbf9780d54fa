package interop;

import java.util.HexFormat;
import java.util.List;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExternalIdentifierType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.IdentifiableType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.InternationalStringType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.LocalizedStringType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.RegistryObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.SlotType1;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ValueListType;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryError;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryErrorList;
import oasis.names.tc.ebxml_regrep.xsd.rs._3.RegistryResponseType;

/** Reading and writing of the generated ebRIM classes (ITI TF-3 4.2). */
final class Ebrim {
    static final String APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved";
    static final String SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success";
    static final String FAILURE = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Failure";
    static final String PARTIAL = "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess";
    static final String ERROR = "urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Error";
    static final String ENTRY_PATIENT_ID = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427";
    static final String ENTRY_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab";

    private Ebrim() {}

    static String hex(byte[] digest) {
        return HexFormat.of().formatHex(digest);
    }

    static String uniqueId(RegistryObjectType entry) {
        return identifier(entry, ENTRY_UNIQUE_ID);
    }

    static String identifier(RegistryObjectType object, String scheme) {
        return object.getExternalIdentifier().stream().filter(i -> i.getIdentificationScheme().equals(scheme))
                .map(ExternalIdentifierType::getValue).findFirst().orElse("");
    }

    static SlotType1 slot(String name, String... values) {
        SlotType1 slot = new SlotType1();
        slot.setName(name);
        slot.setValueList(new ValueListType());
        slot.getValueList().getValue().addAll(List.of(values));
        return slot;
    }

    static void setSlot(IdentifiableType object, String name, String value) {
        object.getSlot().removeIf(s -> s.getName().equals(name));
        object.getSlot().add(slot(name, value));
    }

    /** Values of a slot, empty where it is absent. */
    static List<String> values(IdentifiableType object, String name) {
        return object.getSlot().stream().filter(s -> s.getName().equals(name))
                .flatMap(s -> s.getValueList().getValue().stream()).toList();
    }

    static InternationalStringType text(String value) {
        LocalizedStringType localized = new LocalizedStringType();
        localized.setLang("en-GB");
        localized.setValue(value);
        InternationalStringType text = new InternationalStringType();
        text.getLocalizedString().add(localized);
        return text;
    }

    static <R extends RegistryResponseType> R fill(R response, String status) {
        response.setStatus(status);
        return response;
    }

    static <R extends RegistryResponseType> R fill(R response, String status, List<RegistryError> errors) {
        if (!errors.isEmpty()) {
            RegistryErrorList list = new RegistryErrorList();
            list.setHighestSeverity(ERROR);
            list.getRegistryError().addAll(errors);
            response.setRegistryErrorList(list);
        }
        return fill(response, status);
    }

    static RegistryError error(String code, String context, String location) {
        RegistryError error = new RegistryError();
        error.setErrorCode(code);
        error.setCodeContext(context);
        error.setSeverity(ERROR);
        error.setLocation(location);
        return error;
    }

    /** Codes of the errors of an answer. */
    static List<String> errorCodes(RegistryResponseType response) {
        RegistryErrorList list = response.getRegistryErrorList();
        return list == null ? List.of() : list.getRegistryError().stream().map(RegistryError::getErrorCode).toList();
    }
}
