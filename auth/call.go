package auth

import (
	"net/http"
	"strings"
)

// Call is an Access Management call that the gateway passes on: one of the calls in the
// vendor's documented client sequence. The zero Call is none.
type Call uint8

// The calls.
const (
	Mint            Call = iota + 1 // a token for a connected app or an application's credentials
	Login                           // a token for a user name and password
	Revoke                          // the end of a token
	Me                              // the client and user of a token
	Profile                         // the user of a token, without organizations
	GetOrganization                 // an organization
	Environments                    // the environments of an organization
	GetEnvironment                  // one of them
)

// String returns the call's name in logs and metrics; "none" for the zero Call.
func (c Call) String() string {
	return [...]string{
		"none", "mintToken", "login", "revokeToken", "me", "profile",
		"getOrganization", "listEnvironments", "getEnvironment",
	}[c]
}

// Route returns the call's path with names in the place of values.
func (c Call) Route(path string) string {
	const organization = organizationsPath + "{organizationId}"
	switch c {
	case GetOrganization:
		return organization
	case Environments:
		return organization + "/" + environmentsSegment
	case GetEnvironment:
		return organization + "/" + environmentsSegment + "/{environmentId}"
	default:
		return path
	}
}

// Mints reports whether a successful answer to the call contains a new token.
func (c Call) Mints() bool { return c == Mint || c == Login }

const (
	organizationsPath   = "/accounts/api/organizations/"
	environmentsSegment = "environments"
)

var calls = map[string]Call{
	"POST /accounts/oauth2/token":              Mint, // "Object Store V2" Exchange page: form, application credentials
	"POST " + mintPath:                         Mint, // "Object Store v2 REST APIs": JSON, connected apps
	"POST /accounts/login":                     Login,
	"POST /accounts/api/login":                 Login,
	"POST /accounts/api/v2/oauth2/revoke":      Revoke,
	http.MethodGet + " /accounts/api/me":       Me,
	http.MethodGet + " /accounts/api/users/me": Me,
	http.MethodGet + " /accounts/api/profile":  Profile,
}

// ReadCall returns the call that a method and a raw path name, and whether there is
// one. Ids of organizations and environments are letters, digits, "-" and "_", which
// all servers decode alike.
func ReadCall(method, path string) (Call, bool) {
	if c, ok := calls[method+" "+path]; ok {
		return c, true
	}
	if below, ok := strings.CutPrefix(path, organizationsPath); ok && method == http.MethodGet {
		return readOrganizationCall(below)
	}
	return 0, false
}

// readOrganizationCall reads {organizationId}, {organizationId}/environments and
// {organizationId}/environments/{environmentId}. The vendor's command line tool uses
// all three.
func readOrganizationCall(path string) (Call, bool) {
	organization, below, deeper := strings.Cut(path, "/")
	word, environment, single := strings.Cut(below, "/")
	switch {
	case !isID(organization) || deeper && word != environmentsSegment || single && !isID(environment):
		return 0, false
	case single:
		return GetEnvironment, true
	case deeper:
		return Environments, true
	}
	return GetOrganization, true
}

func isID(s string) bool { return s != "" && !strings.ContainsFunc(s, notID) }

func notID(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

// MintedToken returns the token in the answer to a mint, and whether there is one that
// [ReadToken] would accept. It returns none for an answer that two readers may read
// differently.
func MintedToken(body []byte) (Token, bool) {
	var answer struct {
		Token string `json:"access_token"`
	}
	if parse(body, &answer) != nil || !isToken(answer.Token) {
		return Token{}, false
	}
	return NewToken(answer.Token), true
}
