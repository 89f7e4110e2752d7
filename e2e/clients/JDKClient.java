import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * The HttpClient of the JDK with its default settings. Arguments: base URL, keys' path,
 * token.
 */
public class JDKClient {
    private static final HttpClient client = HttpClient.newHttpClient();
    private static String keys, token;

    public static void main(String[] arguments) throws Exception {
        keys = arguments[0] + arguments[1];
        token = arguments[2];
        System.out.println("version " + Runtime.version().feature());
        report("write", send("PUT", "jdk", value("jdk", "one"), false));
        report("read", send("GET", "jdk", null, false));
        report("read again", send("GET", "jdk", null, false));
        report("write, expectContinue", send("PUT", "jdk", value("jdk", "two"), true));
        report("read what was written", send("GET", "jdk", null, false));
        byte[] streamed = text("jdk", "three").getBytes("UTF-8");
        report("write of unknown length", send("PUT", "jdk", BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(streamed)), false));
        report("list", send("GET", "", null, false));
        List<CompletableFuture<HttpResponse<String>>> all = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            all.add(client.sendAsync(request("PUT", "jdk-" + i, value("jdk-" + i, "many"), false), BodyHandlers.ofString()));
        }
        for (CompletableFuture<HttpResponse<String>> each : all) {
            report("20 writes at once", each.get());
        }
        report("delete", send("DELETE", "jdk", null, false));
        report("read what was deleted", send("GET", "jdk", null, false));
    }

    private static HttpResponse<String> send(String method, String key, BodyPublisher body, boolean expect) throws Exception {
        return client.send(request(method, key, body, expect), BodyHandlers.ofString());
    }

    private static HttpRequest request(String method, String key, BodyPublisher body, boolean expect) {
        URI at = URI.create(key.isEmpty() ? keys : keys + "/" + key);
        HttpRequest.Builder b = HttpRequest.newBuilder(at).header("Authorization", "Bearer " + token).expectContinue(expect);
        if (body == null) {
            return b.method(method, BodyPublishers.noBody()).build();
        }
        return b.header("Content-Type", "application/json").method(method, body).build();
    }

    private static String text(String key, String value) {
        return "{\"keyId\":\"" + key + "\",\"valueType\":\"STRING\",\"stringValue\":\"" + value + "\"}";
    }

    private static BodyPublisher value(String key, String value) {
        return BodyPublishers.ofString(text(key, value));
    }

    private static void report(String what, HttpResponse<String> answer) {
        System.out.println(what + "\t" + answer.statusCode() + "\t" + answer.body());
    }
}
