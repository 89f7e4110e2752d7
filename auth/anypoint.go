package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// mePath tells whose token it is ("Object Store v2 REST APIs", organization id).
const mePath = "/accounts/api/me"

// maxMe bounds an answer of [mePath] in bytes. Captured ones have some 20 KiB; organizations with thousands of sub-organizations have more.
const maxMe = 8 << 20

// maxRest bounds in bytes what is read of an answer only so that its connection can be used again.
const maxRest = 64 << 10

// maxRetryAfter bounds what a control plane may tell callers to wait: more than this is an error of a clock, its own or ours.
const maxRetryAfter = time.Hour

// Endpoint is where the Access Management of a plane answers.
type Endpoint struct {
	URL  *url.URL // scheme and host to connect to
	Host string   // Host header; the plane's own host, also where URL is an override
}

// Anypoint asks Access Management whose a token is. It is safe for concurrent use.
type Anypoint struct {
	Transport http.RoundTripper
	Endpoint  func(plane string) Endpoint
}

// me is what of the answer to GET /accounts/api/me is used. A client token may lack user, a login token may lack client.
type me struct {
	Client *struct {
		ID           string   `json:"client_id"`
		Organization string   `json:"org_id"`
		GrantTypes   []string `json:"grant_types"`
	} `json:"client"`
	User *struct {
		ID            string         `json:"id"`
		Organization  organization   `json:"organization"`
		MemberOf      []organization `json:"memberOfOrganizations"`
		ContributorOf []organization `json:"contributorOfOrganizations"`
	} `json:"user"`
}

type organization struct {
	ID     string   `json:"id"`
	IsRoot bool     `json:"isRoot"`
	Subs   []string `json:"subOrganizationIds"`
	Parent string   `json:"parentId"`
}

// Ask implements [Asker]. It asks once and follows no redirect. Errors: [ErrBadToken] where the control plane refuses the token (401, 403), else an
// *[UnavailableError].
func (a *Anypoint) Ask(ctx context.Context, plane string, token Token) (*Principal, error) {
	end := a.Endpoint(plane)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, end.URL.JoinPath(mePath).String(), nil)
	if err != nil {
		return nil, &UnavailableError{Plane: plane, Cause: fmt.Errorf("making the request: %w", err)}
	}
	r.Host = end.Host
	r.Header = http.Header{"Authorization": {token.Header()}, "Accept": {"application/json"}, "User-Agent": {"osgate"}}
	answer, err := a.Transport.RoundTrip(r)
	if err != nil {
		return nil, &UnavailableError{Plane: plane, Cause: fmt.Errorf("asking %s: %w", end.Host, token.hidden(err)), Unreached: true}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, ErrBadToken
	default:
		return nil, &UnavailableError{Plane: plane, Cause: fmt.Errorf("%s answered %d", end.Host, answer.StatusCode), RetryAfter: retryAfter(answer)}
	}
	var said me
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxMe)).Decode(&said); err != nil {
		return nil, &UnavailableError{Plane: plane, Cause: fmt.Errorf("reading the answer of %s: %w", end.Host, plain(err))}
	}
	p := said.principal(plane)
	if p.Client == "" && p.User == "" {
		return nil, &UnavailableError{Plane: plane, Cause: fmt.Errorf("%s named neither client nor user", end.Host)}
	}
	return p, nil
}

// principal keeps what matters of m.
func (m *me) principal(plane string) *Principal {
	p := &Principal{Plane: plane}
	appOnly := false
	if m.Client != nil {
		p.Client = m.Client.ID
		p.Organizations = append(p.Organizations, m.Client.Organization)
		// The user of a client_credentials app is the one who made it, not one it acts for ("the data returned corresponds to the user
		// who created the connected app", Access Management docs).
		appOnly = p.Client != "" && slices.Equal(m.Client.GrantTypes, []string{"client_credentials"})
	}
	if m.User != nil {
		if !appOnly {
			p.User = m.User.ID
		}
		p.belong(slices.Concat([]organization{m.User.Organization}, m.User.MemberOf), m.User.ContributorOf)
	}
	p.Organizations = distinct(p.Organizations)
	for i, tree := range p.Trees {
		p.Trees[i].Subs = distinct(tree.Subs)
	}
	return p
}

// belong adds organizations and what is below them. Belonging to an organization reaches down, contributing to one does not.
func (p *Principal) belong(member, contributor []organization) {
	for _, o := range slices.Concat(member, contributor) {
		p.Organizations = append(p.Organizations, o.ID)
		if o.IsRoot && o.ID != "" {
			p.grow(o.ID, o.Subs...)
		}
		if o.Parent != "" {
			p.grow(o.Parent, o.ID)
		}
	}
	for _, o := range member {
		p.Organizations = append(p.Organizations, o.Subs...)
	}
}

// grow adds sub-organizations to the tree of root.
func (p *Principal) grow(root string, subs ...string) {
	at := slices.IndexFunc(p.Trees, func(o Organization) bool { return o.Root == root })
	if at < 0 {
		at = len(p.Trees)
		p.Trees = append(p.Trees, Organization{Root: root})
	}
	p.Trees[at].Subs = append(p.Trees[at].Subs, subs...)
}

// distinct drops empty ids and all but the first of equal ones. It looks each up in a map, because an organization may have thousands below it.
func distinct(ids []string) []string {
	seen := map[string]bool{"": true}
	return slices.DeleteFunc(ids, func(id string) bool {
		known := seen[id]
		seen[id] = true
		return known
	})
}

// drain reads what is left of an answer, bounded: a connection is used again only once its answer was read to the end.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxRest) }

// retryAfter reads the delay form of Retry-After (RFC 9110 section 10.2.3). Access Management sends X-RateLimit-Reset, in epoch seconds, with every
// answer; it says when to come back only where the answer is 429.
func retryAfter(answer *http.Response) time.Duration {
	if s, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(min(s, int(maxRetryAfter/time.Second))) * time.Second
	}
	if s, err := strconv.ParseInt(answer.Header.Get("X-RateLimit-Reset"), 10, 64); err == nil && answer.StatusCode == http.StatusTooManyRequests {
		return min(max(0, time.Until(time.Unix(s, 0))), maxRetryAfter)
	}
	return 0
}

// plain drops what a JSON error quotes of its input.
func plain(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", syntax.Offset)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %s has the wrong type", wrong.Field)
	}
	return err
}
