package emulator

import (
	"net/http"
	"slices"
	"strings"
)

// grantTypes are those that the token endpoints accept; the vendor has two more,
// authorization_code and jwt_bearer, which need a browser or a signature.
func grantTypes() []string { return []string{"client_credentials", "password", "refresh_token"} }

// tokenRoutes are the requests that mint, examine and revoke tokens.
func tokenRoutes() accountsRoutes {
	return accountsRoutes{
		"accounts/oauth2/token":             {http.MethodPost: (*accountsCall).mint},
		"accounts/api/oauth2/token":         {http.MethodPost: (*accountsCall).mint},
		"accounts/api/v2/oauth2/token":      {http.MethodPost: (*accountsCall).mint},
		"accounts/login":                    {http.MethodPost: (*accountsCall).login},
		"accounts/api/login":                {http.MethodPost: (*accountsCall).login},
		"accounts/api/oauth2/introspect":    {http.MethodPost: (*accountsCall).introspect},
		"accounts/api/v2/oauth2/introspect": {http.MethodPost: (*accountsCall).introspectV2},
		"accounts/api/v2/oauth2/revoke":     {http.MethodPost: (*accountsCall).revoke},
	}
}

// tokenJSON is the answer of the token endpoints and of a login.
type tokenJSON struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	TokenType    string `json:"token_type"`
	RedirectURL  string `json:"redirectUrl,omitempty"`
}

// mint answers the token endpoints. The old one, which Runtime Manager's credentials
// use, accepts only forms.
func (c *accountsCall) mint() (answer, error) {
	a, err := c.mintUncounted()
	c.countMint(err)
	return a, err
}

// countMint counts the answer to a token request.
func (c *accountsCall) countMint(err error) {
	id, _, basic := c.in.BasicAuth()
	if !basic {
		id = c.params["client_id"]
	}
	c.clientCounts.change(id, func(counts *ClientCounts) {
		if err != nil {
			counts.RefusedMints++
			return
		}
		counts.Mints++
	})
}

func (c *accountsCall) mintUncounted() (answer, error) {
	if c.place.path == "/accounts/oauth2/token" && mediaTypeOf(c.in) == "application/json" {
		return answer{}, oauthProblem(http.StatusBadRequest, "invalid_request",
			"this endpoint takes application/x-www-form-urlencoded")
	}
	client, err := c.authenticatedClient()
	if err != nil {
		return answer{}, err
	}
	grantType := c.params["grant_type"]
	if grantType == "" {
		return answer{}, oauthProblem(http.StatusBadRequest, "invalid_request", "grant_type is missing")
	}
	if !slices.Contains(grantTypes(), grantType) {
		return answer{}, oauthProblem(http.StatusBadRequest, "unsupported_grant_type",
			"grant_type is none of "+strings.Join(grantTypes(), ", "))
	}
	if !slices.Contains(client.GrantTypes, grantType) {
		return answer{}, oauthProblem(http.StatusBadRequest, "unauthorized_client",
			"the client may not use this grant_type")
	}
	return c.mintFor(client, grantType)
}

func (c *accountsCall) mintFor(client Client, grantType string) (answer, error) {
	g := grant{Plane: c.place.plane, Client: client.ID}
	var refresh string
	switch grantType {
	case "password":
		user, ok := c.directory.userWith(c.params["username"], c.params["password"])
		if !ok || user.Disabled {
			return answer{}, oauthProblem(http.StatusBadRequest, "invalid_grant", "no such user, or not this password")
		}
		g.User = user.ID
		if slices.Contains(client.GrantTypes, "refresh_token") {
			refresh = c.issue(c.refresh, g)
		}
	case "refresh_token":
		refresh = c.params["refresh_token"]
		old := c.refresh.get(digestOf(refresh), c.clock.now())
		if old == nil || old.Client != client.ID || old.Plane != g.Plane {
			return answer{}, oauthProblem(http.StatusBadRequest, "invalid_grant", "no such refresh token")
		}
		g.User = old.User
	}
	return c.token(g, refresh, ""), nil
}

// token mints an access token and answers with it.
func (c *accountsCall) token(g grant, refresh, redirect string) answer {
	a := jsonAnswer(http.StatusOK, tokenJSON{
		AccessToken: c.issue(c.access, g), ExpiresIn: int(accessLife.Seconds()),
		RefreshToken: refresh, TokenType: "bearer", RedirectURL: redirect,
	})
	a.header.Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	return a
}

// authenticatedClient returns the client that the request authenticates: with Basic if
// present, otherwise by client_id and client_secret in its body.
func (c *accountsCall) authenticatedClient() (Client, error) {
	id, secret, basic := c.in.BasicAuth()
	if !basic {
		id, secret = c.params["client_id"], c.params["client_secret"]
	}
	client, ok := c.directory.clientWith(id, secret)
	if !ok {
		return Client{}, oauthProblem(http.StatusUnauthorized, "invalid_client", "no such client, or not this secret")
	}
	return client, nil
}

// login answers a user's sign-in.
func (c *accountsCall) login() (answer, error) {
	if c.params["username"] == "" || c.params["password"] == "" {
		return answer{}, problemf(http.StatusBadRequest, "username or password is missing")
	}
	user, ok := c.directory.userWith(c.params["username"], c.params["password"])
	if !ok {
		return answer{}, problemf(http.StatusUnauthorized, "no such user, or not this password")
	}
	if user.Disabled {
		return answer{}, problemf(http.StatusForbidden, "the user is disabled")
	}
	return c.token(grant{Plane: c.place.plane, User: user.ID}, "", "/home/"), nil
}

// introspectionJSON is the answer of introspection (RFC 7662 section 2.2).
type introspectionJSON struct {
	Active    bool    `json:"active"`
	TokenType string  `json:"token_type,omitempty"`
	UserID    string  `json:"user_id,omitempty"`
	Username  string  `json:"username,omitempty"`
	ClientID  *string `json:"client_id"`
	Scope     string  `json:"scope,omitempty"`
	IssuedAt  int64   `json:"iat,omitempty"`
	Expires   int64   `json:"exp,omitempty"`
}

// introspect is the first version: the caller sends a bearer token of its own, and
// times are in milliseconds.
func (c *accountsCall) introspect() (answer, error) {
	if err := c.authenticated(); err != nil {
		return answer{}, err
	}
	return c.introspection(c.directory.home(c.grant), true)
}

// introspectV2 is the second: a connected app authenticates with Basic.
func (c *accountsCall) introspectV2() (answer, error) {
	if mediaTypeOf(c.in) != "application/x-www-form-urlencoded" {
		return answer{}, oauthProblem(http.StatusBadRequest, "invalid_request",
			"this endpoint takes application/x-www-form-urlencoded")
	}
	client, err := c.authenticatedClient()
	if err != nil {
		return answer{}, err
	}
	return c.introspection(client.Organization, c.chosen.is(introspectTime, "milliseconds"))
}

// introspection returns the client, user and times of a token of this plane.
func (c *accountsCall) introspection(callersHome string, milliseconds bool) (answer, error) {
	token := c.params["token"]
	if token == "" {
		return answer{}, oauthProblem(http.StatusBadRequest, "invalid_request", "token is missing")
	}
	now := c.clock.now()
	g := c.access.get(digestOf(token), now)
	if g == nil {
		g = c.refresh.get(digestOf(token), now)
	}
	foreign := g != nil && c.chosen.is(introspectForeign, "deny") && c.directory.home(g) != callersHome
	if g == nil || g.Plane != c.place.plane || foreign {
		return jsonAnswer(http.StatusOK, map[string]bool{"active": false}), nil
	}
	found := introspectionJSON{
		Active: true, TokenType: "bearer", UserID: g.User, Username: c.directory.usersByID[g.User].Username,
		IssuedAt: g.Issued.Unix(), Expires: g.Expires.Unix(),
	}
	if g.Client != "" {
		found.ClientID = &g.Client
		found.Scope = strings.Join(c.directory.scopes(g), " ")
	}
	if milliseconds {
		found.IssuedAt, found.Expires = g.Issued.UnixMilli(), g.Expires.UnixMilli()
	}
	return jsonAnswer(http.StatusOK, found), nil
}

// revoke ends a token (RFC 7009). It may be called by the client that the token was
// issued to, and by any client that also sends the token as bearer. An unknown token is
// no error.
func (c *accountsCall) revoke() (answer, error) {
	token := c.params["token"]
	if token == "" {
		return answer{}, oauthProblem(http.StatusBadRequest, "invalid_request", "token is missing")
	}
	d := digestOf(token)
	owner := ""
	if c.grant == nil {
		client, err := c.authenticatedClient()
		if err != nil {
			return answer{}, err
		}
		owner = client.ID
	}
	for _, kind := range []*tokens{c.access, c.refresh} {
		g := kind.get(d, c.clock.now())
		if g == nil || g.Plane != c.place.plane {
			continue
		}
		mine := owner != "" && g.Client == owner ||
			c.grant != nil && g.Client == c.grant.Client && g.User == c.grant.User
		if !mine {
			return answer{}, oauthProblem(http.StatusBadRequest, "unauthorized_client", "the token is another client's")
		}
		c.forget(kind, d)
	}
	return emptyAnswer(http.StatusOK), nil
}
