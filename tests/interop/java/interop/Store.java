package interop;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import javax.activation.DataHandler;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.AssociationType1;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.ExtrinsicObjectType;
import oasis.names.tc.ebxml_regrep.xsd.rim._3.IdentifiableType;

/** What was submitted: objects in memory as they came, contents as files. */
final class Store {
    /** Content of one document that was received. */
    record Content(Path path, String sha1, long size) {}

    final String repositoryUniqueId;
    private final Path folder;
    private final Map<String, ExtrinsicObjectType> entries = new LinkedHashMap<>();
    private final List<AssociationType1> associations = new ArrayList<>();
    private final Map<String, Content> contents = new HashMap<>();

    Store(Path folder, String repositoryUniqueId) throws IOException {
        this.folder = Files.createDirectories(folder);
        this.repositoryUniqueId = repositoryUniqueId;
    }

    Content receive(DataHandler document) throws Exception {
        Path path = Files.createTempFile(folder, "document", "");
        MessageDigest digest = MessageDigest.getInstance("SHA-1");
        try (InputStream in = document.getInputStream();
                OutputStream out = new DigestOutputStream(Files.newOutputStream(path), digest)) {
            in.transferTo(out);
        }
        return new Content(path, Ebrim.hex(digest.digest()), Files.size(path));
    }

    /** Keeps all of a submission or, where it raises Refused, nothing; {@code received} is by entryUUID. */
    synchronized void submit(List<IdentifiableType> objects, Map<String, Content> received) throws Refused {
        Map<String, ExtrinsicObjectType> added = new LinkedHashMap<>();
        for (IdentifiableType object : objects) {
            if (object instanceof ExtrinsicObjectType entry) {
                if (!received.containsKey(entry.getId())) {
                    throw new Refused("XDSMissingDocument", "a DocumentEntry has no document");
                }
                if (contents.containsKey(Ebrim.uniqueId(entry))) {
                    throw new Refused("XDSDuplicateUniqueIdInRegistry", "a uniqueId is registered already");
                }
                added.put(entry.getId(), entry);
            }
        }
        if (!added.keySet().containsAll(received.keySet())) {
            throw new Refused("XDSMissingDocumentMetadata", "a document has no DocumentEntry");
        }
        for (ExtrinsicObjectType entry : added.values()) {
            Content content = received.get(entry.getId());
            entry.setStatus(Ebrim.APPROVED);
            Ebrim.setSlot(entry, "repositoryUniqueId", repositoryUniqueId);
            Ebrim.setSlot(entry, "hash", content.sha1());
            Ebrim.setSlot(entry, "size", Long.toString(content.size()));
            contents.put(Ebrim.uniqueId(entry), content);
        }
        entries.putAll(added);
        objects.stream().filter(AssociationType1.class::isInstance).map(AssociationType1.class::cast)
                .forEach(associations::add);
    }

    synchronized List<ExtrinsicObjectType> entries(Predicate<ExtrinsicObjectType> wanted) {
        return entries.values().stream().filter(wanted).toList();
    }

    synchronized List<AssociationType1> associations(Predicate<AssociationType1> wanted) {
        return associations.stream().filter(wanted).toList();
    }

    /** The content of a document, null where it is unknown. */
    synchronized Content content(String uniqueId) {
        return contents.get(uniqueId);
    }

    /** The DocumentEntry of a document. */
    synchronized ExtrinsicObjectType entry(String uniqueId) {
        return entries(e -> Ebrim.uniqueId(e).equals(uniqueId)).get(0);
    }
}
