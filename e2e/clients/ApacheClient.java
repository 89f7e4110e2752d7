import wiremock.org.apache.hc.client5.http.classic.methods.HttpUriRequestBase;
import wiremock.org.apache.hc.client5.http.config.RequestConfig;
import wiremock.org.apache.hc.client5.http.impl.classic.CloseableHttpClient;
import wiremock.org.apache.hc.client5.http.impl.classic.HttpClients;
import wiremock.org.apache.hc.core5.http.ContentType;
import wiremock.org.apache.hc.core5.http.io.entity.EntityUtils;
import wiremock.org.apache.hc.core5.http.io.entity.StringEntity;
import wiremock.org.apache.hc.core5.util.VersionInfo;
import java.net.URI;

/**
 * Apache HttpClient 5 with its default settings, under the package names that
 * WireMock's jar gives it. Arguments: base URL, keys' path, token.
 */
public class ApacheClient {
    private static String keys, token;

    public static void main(String[] arguments) throws Exception {
        keys = arguments[0] + arguments[1];
        token = arguments[2];
        VersionInfo v = VersionInfo.loadVersionInfo("wiremock.org.apache.hc.client5", ApacheClient.class.getClassLoader());
        System.out.println("version " + v.getRelease());
        try (CloseableHttpClient client = HttpClients.createDefault()) {
            send(client, "write", "PUT", "apache", "one", false);
            send(client, "read", "GET", "apache", null, false);
            send(client, "read again", "GET", "apache", null, false);
            send(client, "look", "HEAD", "apache", null, false);
            send(client, "write, expectContinueEnabled", "PUT", "apache", "two", true);
            send(client, "read what was written", "GET", "apache", null, false);
            send(client, "list", "GET", "", null, false);
            send(client, "delete", "DELETE", "apache", null, false);
            send(client, "read what was deleted", "GET", "apache", null, false);
        }
    }

    private static void send(CloseableHttpClient client, String what, String method, String key, String value, boolean expect) throws Exception {
        HttpUriRequestBase request = new HttpUriRequestBase(method, URI.create(key.isEmpty() ? keys : keys + "/" + key));
        request.setHeader("Authorization", "Bearer " + token);
        if (value != null) {
            String text = "{\"keyId\":\"" + key + "\",\"valueType\":\"STRING\",\"stringValue\":\"" + value + "\"}";
            request.setEntity(new StringEntity(text, ContentType.APPLICATION_JSON));
        }
        if (expect) {
            request.setConfig(RequestConfig.custom().setExpectContinueEnabled(true).build());
        }
        String line = client.<String>execute(request, answer ->
            answer.getCode() + "\t" + (answer.getEntity() == null ? "" : EntityUtils.toString(answer.getEntity())));
        System.out.println(what + "\t" + line);
    }
}
