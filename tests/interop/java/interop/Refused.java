package interop;

/** A transaction that fails with one RegistryError. */
final class Refused extends Exception {
    final String code;

    Refused(String code, String context) {
        super(context);
        this.code = code;
    }
}
