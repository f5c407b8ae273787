// A partner's site in Java, by the Nimbus OAuth 2.0 SDK with OpenID Connect extensions as its documentation says:
// discovery, a code with PKCE, userinfo, refresh and logout. It knows the issuer, a client id and a secret, all from the
// environment, and one person at a time. Run from its source: java -cp 'lib/*' Partner.java

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.oauth2.sdk.AuthorizationCodeGrant;
import com.nimbusds.oauth2.sdk.AuthorizationGrant;
import com.nimbusds.oauth2.sdk.RefreshTokenGrant;
import com.nimbusds.oauth2.sdk.ResponseType;
import com.nimbusds.oauth2.sdk.Scope;
import com.nimbusds.oauth2.sdk.TokenRequest;
import com.nimbusds.oauth2.sdk.auth.ClientSecretBasic;
import com.nimbusds.oauth2.sdk.auth.Secret;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.oauth2.sdk.id.Issuer;
import com.nimbusds.oauth2.sdk.id.State;
import com.nimbusds.oauth2.sdk.pkce.CodeChallengeMethod;
import com.nimbusds.oauth2.sdk.pkce.CodeVerifier;
import com.nimbusds.openid.connect.sdk.AuthenticationRequest;
import com.nimbusds.openid.connect.sdk.AuthenticationResponseParser;
import com.nimbusds.openid.connect.sdk.LogoutRequest;
import com.nimbusds.openid.connect.sdk.Nonce;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponse;
import com.nimbusds.openid.connect.sdk.OIDCTokenResponseParser;
import com.nimbusds.openid.connect.sdk.UserInfoRequest;
import com.nimbusds.openid.connect.sdk.UserInfoResponse;
import com.nimbusds.openid.connect.sdk.op.OIDCProviderMetadata;
import com.nimbusds.openid.connect.sdk.token.OIDCTokens;
import com.nimbusds.openid.connect.sdk.validators.IDTokenValidator;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.FileInputStream;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Partner {
    interface Page {
        /** A text to show, or an address to go on to. */
        Object answer(URI request) throws Exception;
    }

    static final String ADDRESS = System.getenv("ADDRESS");
    static final URI CALLBACK = URI.create(ADDRESS + "/callback");
    static final ClientID CLIENT = new ClientID(System.getenv("CLIENT_ID"));
    static final ClientSecretBasic SECRET = new ClientSecretBasic(CLIENT, new Secret(System.getenv("CLIENT_SECRET")));

    static OIDCProviderMetadata provider;
    static State state;
    static Nonce nonce;
    static CodeVerifier verifier;
    static OIDCTokens tokens;

    static Object signIn(URI request) {
        state = new State();
        nonce = new Nonce();
        verifier = new CodeVerifier();
        Scope scope = new Scope("openid", "profile", "email", "offline_access");
        return new AuthenticationRequest.Builder(ResponseType.CODE, scope, CLIENT, CALLBACK)
            .endpointURI(provider.getAuthorizationEndpointURI())
            .state(state)
            .nonce(nonce)
            .codeChallenge(verifier, CodeChallengeMethod.S256)
            .build()
            .toURI();
    }

    static Object callback(URI request) throws Exception {
        var response = AuthenticationResponseParser.parse(request);
        if (!state.equals(response.getState()) || !provider.getIssuer().equals(response.getIssuer())) {
            return "another state or issuer";
        }
        if (!response.indicatesSuccess()) {
            return response.toErrorResponse().getErrorObject().toString();
        }
        var code = response.toSuccessResponse().getAuthorizationCode();
        tokens = tokensFor(new AuthorizationCodeGrant(code, CALLBACK, verifier));
        var keys = provider.getJWKSetURI().toURL();
        new IDTokenValidator(provider.getIssuer(), CLIENT, JWSAlgorithm.RS256, keys).validate(tokens.getIDToken(), nonce);
        return URI.create(ADDRESS + "/");
    }

    static OIDCTokens tokensFor(AuthorizationGrant grant) throws Exception {
        var request = new TokenRequest.Builder(provider.getTokenEndpointURI(), SECRET, grant).build();
        var response = OIDCTokenResponseParser.parse(request.toHTTPRequest().send());
        if (!response.indicatesSuccess()) {
            throw new IOException(response.toErrorResponse().getErrorObject().toString());
        }
        return ((OIDCTokenResponse) response.toSuccessResponse()).getOIDCTokens();
    }

    static Object home(URI request) throws Exception {
        if (tokens == null) {
            return "not signed in";
        }
        var about = new UserInfoRequest(provider.getUserInfoEndpointURI(), tokens.getBearerAccessToken());
        var response = UserInfoResponse.parse(about.toHTTPRequest().send());
        return response.toSuccessResponse().getUserInfo().toJSONString();
    }

    static Object refresh(URI request) throws Exception {
        var before = tokens;
        var after = tokensFor(new RefreshTokenGrant(before.getRefreshToken()));
        tokens = new OIDCTokens(before.getIDToken(), after.getAccessToken(), before.getRefreshToken());
        boolean isSame = before.getAccessToken().equals(after.getAccessToken());
        return isSame ? "the same access token" : "another access token";
    }

    static Object signOut(URI request) {
        var hint = tokens.getIDToken();
        tokens = null;
        return new LogoutRequest(provider.getEndSessionEndpointURI(), hint, URI.create(ADDRESS + "/"), null).toURI();
    }

    static void send(HttpExchange exchange, Page page) throws IOException {
        Object answer;
        try {
            answer = page.answer(URI.create(ADDRESS + exchange.getRequestURI()));
        } catch (Exception fault) {
            answer = fault.toString();
        }
        if (answer instanceof URI next) {
            exchange.getResponseHeaders().set("Location", next.toString());
            exchange.sendResponseHeaders(303, -1);
        } else {
            var html = "<main id=\"main\">" + answer.toString().replace("<", "&lt;") + "</main>";
            var body = html.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", "text/html; charset=utf-8");
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
        }
        exchange.close();
    }

    /** Let every connection of this program trust the certificates in a file. */
    static void trust(String file) throws Exception {
        var trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (var read = new FileInputStream(file)) {
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(read)) {
                trusted.setCertificateEntry(Integer.toString(trusted.size()), each);
            }
        }
        var factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(trusted);
        var context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        SSLContext.setDefault(context);
    }

    public static void main(String[] words) throws Exception {
        trust(System.getenv("SSL_CERT_FILE"));
        provider = OIDCProviderMetadata.resolve(new Issuer(System.getenv("ISSUER")));
        var server = HttpServer.create(new InetSocketAddress("localhost", URI.create(ADDRESS).getPort()), 0);
        server.createContext("/", exchange -> send(exchange, Partner::home));
        server.createContext("/sign-in", exchange -> send(exchange, Partner::signIn));
        server.createContext("/callback", exchange -> send(exchange, Partner::callback));
        server.createContext("/refresh", exchange -> send(exchange, Partner::refresh));
        server.createContext("/sign-out", exchange -> send(exchange, Partner::signOut));
        server.start();
    }
}
