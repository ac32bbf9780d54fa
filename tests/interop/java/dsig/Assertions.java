import java.io.File;
import java.io.FileInputStream;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.xml.crypto.dsig.CanonicalizationMethod;
import javax.xml.crypto.dsig.DigestMethod;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.SignedInfo;
import javax.xml.crypto.dsig.Transform;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMSignContext;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.crypto.dsig.keyinfo.KeyInfo;
import javax.xml.crypto.dsig.keyinfo.KeyInfoFactory;
import javax.xml.crypto.dsig.spec.C14NMethodParameterSpec;
import javax.xml.crypto.dsig.spec.TransformParameterSpec;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/** Verifies the assertion in SOAP envelopes, or signs one, with the XML signatures of the JDK. */
public final class Assertions {
    private static final String SAML = "urn:oasis:names:tc:SAML:2.0:assertion";
    private static final XMLSignatureFactory SIGNATURES = XMLSignatureFactory.getInstance("DOM");

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("verify")) {
            for (int number = 2; number < arguments.length; number++) {
                System.out.println(verified(arguments[1], arguments[number]) ? "good" : "bad");
            }
        } else {
            sign(arguments[1], arguments[2], arguments[3], arguments[4]);
        }
    }

    private static boolean verified(String certificateFile, String envelopeFile) throws Exception {
        X509Certificate certificate = (X509Certificate)
            CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream(certificateFile));
        Document document = read(envelopeFile);
        Element assertion = (Element) document.getElementsByTagNameNS(SAML, "Assertion").item(0);
        assertion.setIdAttribute("ID", true);
        NodeList signatures = assertion.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature");
        DOMValidateContext context = new DOMValidateContext(certificate.getPublicKey(), signatures.item(0));
        context.setProperty("org.jcp.xml.dsig.secureValidation", true);
        return SIGNATURES.unmarshalXMLSignature(context).validate(context);
    }

    private static void sign(String storeFile, String password, String from, String to) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new FileInputStream(storeFile), password.toCharArray());
        String alias = store.aliases().nextElement();
        PrivateKey key = (PrivateKey) store.getKey(alias, password.toCharArray());
        X509Certificate certificate = (X509Certificate) store.getCertificate(alias);
        Document document = read(from);
        Element assertion = document.getDocumentElement();
        assertion.setIdAttribute("ID", true);
        Reference reference = SIGNATURES.newReference(
            "#" + assertion.getAttribute("ID"),
            SIGNATURES.newDigestMethod(DigestMethod.SHA256, null),
            List.of(
                SIGNATURES.newTransform(Transform.ENVELOPED, (TransformParameterSpec) null),
                SIGNATURES.newTransform(CanonicalizationMethod.EXCLUSIVE, (TransformParameterSpec) null)),
            null, null);
        SignedInfo info = SIGNATURES.newSignedInfo(
            SIGNATURES.newCanonicalizationMethod(
                CanonicalizationMethod.EXCLUSIVE, (C14NMethodParameterSpec) null),
            SIGNATURES.newSignatureMethod("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", null),
            List.of(reference));
        KeyInfoFactory keys = SIGNATURES.getKeyInfoFactory();
        KeyInfo shown = keys.newKeyInfo(List.of(keys.newX509Data(List.of(certificate))));
        DOMSignContext context =
            new DOMSignContext(key, assertion, assertion.getElementsByTagNameNS(SAML, "Subject").item(0));
        context.setDefaultNamespacePrefix("ds");
        SIGNATURES.newXMLSignature(info, shown).sign(context);
        var writer = TransformerFactory.newInstance().newTransformer();
        writer.setOutputProperty("omit-xml-declaration", "yes");
        writer.transform(new DOMSource(document), new StreamResult(new File(to)));
    }

    private static Document read(String file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(new File(file));
    }
}
