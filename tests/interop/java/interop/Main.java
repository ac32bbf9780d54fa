package interop;

import java.net.URI;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Command line: {@code serve STATE_DIR REPOSITORY_UNIQUE_ID}, {@code check BASE_URL WSDL_DIR REPOSITORY SET RUN},
 * {@code gateway URL WSDL_DIR HOME UNIQUE_ID} or {@code images URL WSDL_DIR HOME STUDY/SERIES/INSTANCE/LOCATION...}.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        String[] rest = Arrays.copyOfRange(arguments, 1, arguments.length);
        switch (arguments[0]) {
            case "serve" -> Server.run(Path.of(rest[0]), rest[1]);
            case "check" -> {
                Client client = new Client(URI.create(rest[0]), Path.of(rest[1]), rest[2]);
                System.exit(Checks.run(client, rest[3], rest[4]) ? 0 : 1);
            }
            case "gateway" -> CrossGatewayClient.run(rest[0], Path.of(rest[1]), rest[2], rest[3]);
            case "images" -> CrossGatewayImagingClient.run(
                    rest[0], Path.of(rest[1]), rest[2], Arrays.copyOfRange(rest, 3, rest.length));
            default -> throw new IllegalArgumentException("unknown command: " + arguments[0]);
        }
    }
}
