package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
)

// mePath is the API that returns the client and user of a token ("Object Store v2 REST
// APIs", organization id).
const mePath = "/accounts/api/me"

// maxMe limits the size of an answer of [mePath] in bytes. Captured answers have some
// 20 KiB; those for organizations with thousands of sub-organizations have more.
const maxMe = 8 << 20

// Endpoint is the address of the Access Management of a plane.
type Endpoint struct {
	URL  *url.URL // scheme and host to connect to
	Host string   // Host header; the plane's own host, also where URL is an override
}

// Anypoint finds the principal of a token by a request to Access Management. It is safe
// for concurrent use.
type Anypoint struct {
	Transport http.RoundTripper
	Endpoint  func(plane string) Endpoint

	// OnAnswer is called with the header of each answer to ListEnvironments. It may be
	// nil.
	OnAnswer func(plane string, token Token, answer http.Header)

	// Names remembers the names in the answers. It may be nil.
	Names *Names
}

// me contains the members of the answer to GET /accounts/api/me that are used. The
// answer to a client token may lack user, the answer to a login token may lack client.
type me struct {
	Client *struct {
		ID           string   `json:"client_id"`
		Name         label    `json:"name"`
		Organization string   `json:"org_id"`
		GrantTypes   []string `json:"grant_types"`
	} `json:"client"`
	User *struct {
		ID            string         `json:"id"`
		Username      label          `json:"username"`
		Organization  organization   `json:"organization"`
		MemberOf      []organization `json:"memberOfOrganizations"`
		ContributorOf []organization `json:"contributorOfOrganizations"`
	} `json:"user"`
}

type organization struct {
	ID      string   `json:"id"`
	Name    label    `json:"name"`
	IsRoot  *bool    `json:"isRoot"` // nil: the answer does not state it
	Subs    []string `json:"subOrganizationIds"`
	Parent  string   `json:"parentId"`              // the organization directly above
	Parents []string `json:"parentOrganizationIds"` // all organizations above, in an order that is not documented
}

// Validator implements [Resolver]. An override of the endpoint is another validator:
// answers of an emulator must not count for a real plane.
func (a *Anypoint) Validator(plane string) string {
	end := a.Endpoint(plane)
	return "me " + end.URL.JoinPath(mePath).Redacted() + " as " + end.Host
}

// Lookup implements [Resolver]. It sends one request and follows no redirect. Errors:
// [ErrBadToken] if the control plane refuses the token (401, 403), otherwise an
// *[UnavailableError], which is Answered if the answer concerns this token alone.
func (a *Anypoint) Lookup(ctx context.Context, plane string, token Token) (Answer, error) {
	end := a.Endpoint(plane)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, end.URL.JoinPath(mePath).String(), nil)
	if err != nil {
		return Answer{}, &UnavailableError{Plane: plane, Cause: fmt.Errorf("making the request: %w", err)}
	}
	r.Host = end.Host
	r.Header = http.Header{"Authorization": {token.Header()}, "Accept": {"application/json"}, "User-Agent": {"osgate"}}
	answer, err := a.Transport.RoundTrip(r)
	if err != nil {
		return Answer{}, &UnavailableError{
			Plane:     plane,
			Cause:     fmt.Errorf("request to %s: %w", end.Host, redact(err, token.Text())),
			Unreached: true,
		}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	result := Answer{Allowance: allowance(answer.Header)}
	switch answer.StatusCode {
	case http.StatusOK:
		result.Principal, err = a.readMe(answer.Body, plane)
		if err != nil {
			return result, unreadable(plane, answer, end.Host, err)
		}
		return result, nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return result, ErrBadToken
	}
	failure := unavailable(plane, answer, fmt.Errorf("%s answered %d", end.Host, answer.StatusCode))
	failure.Answered = blamesRequest(answer.StatusCode)
	return result, failure
}

// blamesRequest reports whether a status means that the request is wrong. All of the
// request but the token is fixed, so requests with other tokens may succeed.
func blamesRequest(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// readMe reads the principal of an answer, and remembers its names.
func (a *Anypoint) readMe(body io.Reader, plane string) (*Principal, error) {
	var m me
	if err := readObject(body, maxMe, &m); err != nil {
		return nil, err
	}
	p := m.principal(plane)
	if p.Client == "" && p.User == "" {
		return nil, errNameless
	}
	a.Names.learn(m.names())
	return p, nil
}

// principal returns the principal that m names.
func (m *me) principal(plane string) *Principal {
	p := &Principal{Plane: plane}
	appOnly := false
	if m.Client != nil {
		p.Client = m.Client.ID
		p.Organizations = append(p.Organizations, m.Client.Organization)
		// The user of a client_credentials app is the user that created it. The app
		// does not act for that user ("the data returned corresponds to the user who
		// created the connected app", Access Management docs).
		appOnly = p.Client != "" && slices.Equal(m.Client.GrantTypes, []string{"client_credentials"})
	}
	if m.User != nil {
		if !appOnly {
			p.User = m.User.ID
		}
		p.addOrganizations(slices.Concat([]organization{m.User.Organization}, m.User.MemberOf), m.User.ContributorOf)
	}
	for i, tree := range p.Trees {
		p.Trees[i].Subs = distinct(tree.Subs)
		// An app belongs to the sub-organizations of its own organization too,
		// regardless of its user's relation to that organization.
		if m.Client != nil && tree.Root != "" && tree.Root == m.Client.Organization {
			p.Organizations = append(p.Organizations, p.Trees[i].Subs...)
		}
	}
	p.Organizations = distinct(p.Organizations)
	return p
}

// addOrganizations adds organizations and, for those in member, their
// sub-organizations. Membership of an organization includes its sub-organizations,
// contribution to it does not.
func (p *Principal) addOrganizations(member, contributor []organization) {
	all := slices.Concat(member, contributor)
	for _, o := range all {
		p.Organizations = append(p.Organizations, o.ID)
	}
	for _, o := range member {
		p.Organizations = append(p.Organizations, o.Subs...)
	}
	p.Trees = trees(slices.Values(all))
}

// distinct removes empty ids and all but the first of equal ones. It uses a map,
// because an organization may have thousands of sub-organizations.
func distinct(ids []string) []string {
	seen := map[string]bool{"": true}
	return slices.DeleteFunc(ids, func(id string) bool {
		known := seen[id]
		seen[id] = true
		return known
	})
}
