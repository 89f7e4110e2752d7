import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;

/**
 * HttpURLConnection, with and without caches. Arguments: base URL, keys' path, token.
 */
public class URLConnectionClient {
    private static String keys, token;

    public static void main(String[] arguments) throws Exception {
        keys = arguments[0] + arguments[1];
        token = arguments[2];
        System.out.println("version " + Runtime.version().feature());
        send("write", "PUT", "url", "one", true);
        send("read", "GET", "url", null, true);
        send("read without caches", "GET", "url", null, false);
        send("list", "GET", "", null, true);
        send("delete", "DELETE", "url", null, true);
        send("read what was deleted", "GET", "url", null, true);
    }

    private static void send(String what, String method, String key, String value, boolean caches) throws Exception {
        HttpURLConnection c = (HttpURLConnection) new URL(key.isEmpty() ? keys : keys + "/" + key).openConnection();
        c.setRequestMethod(method);
        c.setUseCaches(caches);
        c.setRequestProperty("Authorization", "Bearer " + token);
        if (value != null) {
            c.setDoOutput(true);
            c.setRequestProperty("Content-Type", "application/json");
            String text = "{\"keyId\":\"" + key + "\",\"valueType\":\"STRING\",\"stringValue\":\"" + value + "\"}";
            c.getOutputStream().write(text.getBytes("UTF-8"));
        }
        int status = c.getResponseCode();
        InputStream body = status < 400 ? c.getInputStream() : c.getErrorStream();
        System.out.println(what + "\t" + status + "\t" + (body == null ? "" : new String(body.readAllBytes(), "UTF-8")));
    }
}
