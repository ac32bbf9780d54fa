package interop;

import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.concurrent.Executors;
import javax.xml.ws.Endpoint;

/**
 * A Document Registry, a Document Repository, an Imaging Document Source and the Responding Gateways in front of
 * them, on a free port of the loopback interface.
 */
final class Server {
    private Server() {}

    /** Serves until the process is ended; prints {@code ready URL} once requests are answered. */
    static void run(Path state, String repositoryUniqueId) throws Exception {
        Store store = new Store(state, repositoryUniqueId);
        HttpServer http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        http.setExecutor(Executors.newFixedThreadPool(4));
        Endpoint.create(new RegistryEndpoint(store)).publish(http.createContext("/xds/registry"));
        Endpoint.create(new RepositoryEndpoint(store)).publish(http.createContext("/xds/repository"));
        Endpoint.create(new ImagingEndpoint(store)).publish(http.createContext("/xds/imaging"));
        Endpoint.create(new GatewayQueryEndpoint(new RegistryEndpoint(store)))
                .publish(http.createContext("/xca/query"));
        Endpoint.create(new GatewayRetrieveEndpoint(new RepositoryEndpoint(store)))
                .publish(http.createContext("/xca/retrieve"));
        Endpoint.create(new GatewayImagingEndpoint(new ImagingEndpoint(store)))
                .publish(http.createContext("/xca-i/imaging"));
        http.start();
        System.out.println("ready http://127.0.0.1:" + http.getAddress().getPort());
        System.in.transferTo(System.err);
        http.stop(0);
        System.exit(0);
    }
}
