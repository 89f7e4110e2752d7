package auth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// pageOfEnvironments is the largest page of the listing (Access Management API: limit
// at most 500), and maxPages is the largest number of pages read.
const (
	pageOfEnvironments = 500
	maxPages           = 20
)

// environmentsPage contains the members of an answer to GET
// …/organizations/{org}/environments that are used.
type environmentsPage struct {
	Data []struct {
		ID         string `json:"id"`
		Name       label  `json:"name"`
		Type       string `json:"type"`
		Production bool   `json:"isProduction"`
	} `json:"data"`
	Total int `json:"total"`
}

// ListEnvironments implements [EnvironmentLister] by the listing of Access Management.
func (a *Anypoint) ListEnvironments(
	ctx context.Context, plane, organization string, token Token,
) (map[string]string, error) {
	types := make(map[string]string)
	for page := range maxPages {
		result, err := a.listEnvironments(ctx, plane, organization, token, page*pageOfEnvironments)
		if err != nil {
			return nil, err
		}
		result.addTo(types)
		a.Names.learn(result.names())
		if len(result.Data) == 0 || (page+1)*pageOfEnvironments >= result.Total {
			break
		}
	}
	return types, nil
}

// addTo adds the environments of p. The type of an environment that is listed twice
// with different types is UnknownType.
func (p *environmentsPage) addTo(types map[string]string) {
	for _, e := range p.Data {
		typ := environmentType(e.Type, e.Production)
		if known, ok := types[e.ID]; ok && known != typ {
			typ = UnknownType
		}
		types[e.ID] = typ
	}
}

// environmentType returns one of the four known types.
func environmentType(typ string, production bool) string {
	switch {
	case typ == "production", typ == "sandbox", typ == "design":
		return typ
	case production:
		return "production"
	}
	return UnknownType
}

// listEnvironments reads one page.
func (a *Anypoint) listEnvironments(
	ctx context.Context, plane, organization string, token Token, offset int,
) (page environmentsPage, err error) {
	end := a.Endpoint(plane)
	u := end.URL.JoinPath(organizationsPath, url.PathEscape(organization), environmentsSegment)
	u.RawQuery = url.Values{"limit": {strconv.Itoa(pageOfEnvironments)}, "offset": {strconv.Itoa(offset)}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return page, fmt.Errorf("making the request: %w", err)
	}
	r.Host = end.Host
	r.Header = http.Header{"Authorization": {token.Header()}, "Accept": {"application/json"}, "User-Agent": {"osgate"}}
	answer, err := a.Transport.RoundTrip(r)
	if err != nil {
		return page, &UnavailableError{
			Plane:     plane,
			Cause:     fmt.Errorf("request to %s: %w", end.Host, redact(err, token.Text())),
			Unreached: true,
		}
	}
	defer answer.Body.Close()
	defer drain(answer.Body)
	if a.OnAnswer != nil {
		a.OnAnswer(plane, token, answer.Header)
	}
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return page, ErrBadToken
	default:
		return page, unavailable(plane, answer, fmt.Errorf("%s answered %d", end.Host, answer.StatusCode))
	}
	if err := readObject(answer.Body, maxMe, &page); err != nil {
		return page, unreadable(plane, answer, end.Host, err)
	}
	return page, nil
}
