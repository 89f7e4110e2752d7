package emulator

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// identityRoutes are the requests about a token's client, user and organizations.
func identityRoutes() accountsRoutes {
	return accountsRoutes{
		"accounts/api/me":                               {http.MethodGet: (*accountsCall).me},
		"accounts/api/users/me":                         {http.MethodGet: (*accountsCall).usersMe},
		"accounts/api/profile":                          {http.MethodGet: (*accountsCall).profile},
		"accounts/api/organizations/{org}":              {http.MethodGet: (*accountsCall).organization},
		"accounts/api/organizations/{org}/environments": {http.MethodGet: (*accountsCall).environments},

		"accounts/api/organizations/{org}/environments/{env}": {http.MethodGet: (*accountsCall).environment},
	}
}

// longAgo is the creation time of all items of the world, in all answers.
const longAgo = "2024-01-01T00:00:00.000Z"

// meJSON is the answer of /accounts/api/me. Client is absent for a login, user for a
// client whose creator the world does not name.
type meJSON struct {
	Client *clientJSON `json:"client,omitempty"`
	User   *userJSON   `json:"user,omitempty"`
}

type clientJSON struct {
	ClientID     string   `json:"client_id"`
	Name         string   `json:"name"`
	OrgID        string   `json:"org_id"`
	RedirectURIs []string `json:"redirect_uris"`
	GrantTypes   []string `json:"grant_types"`
}

type userJSON struct {
	ID                         string             `json:"id"`
	CreatedAt                  string             `json:"createdAt"`
	UpdatedAt                  string             `json:"updatedAt"`
	OrganizationID             string             `json:"organizationId"`
	FirstName                  string             `json:"firstName"`
	LastName                   string             `json:"lastName"`
	Email                      string             `json:"email"`
	Username                   string             `json:"username"`
	Enabled                    bool               `json:"enabled"`
	Deleted                    bool               `json:"deleted"`
	IDProviderID               string             `json:"idprovider_id"`
	Type                       string             `json:"type"`
	Organization               organizationJSON   `json:"organization"`
	MemberOfOrganizations      []organizationJSON `json:"memberOfOrganizations"`
	ContributorOfOrganizations []organizationJSON `json:"contributorOfOrganizations"`
	Properties                 map[string]any     `json:"properties"`
}

type organizationJSON struct {
	Name                  string         `json:"name"`
	ID                    string         `json:"id"`
	CreatedAt             string         `json:"createdAt"`
	UpdatedAt             string         `json:"updatedAt"`
	IsFederated           bool           `json:"isFederated"`
	ParentID              string         `json:"parentId,omitempty"`
	ParentName            string         `json:"parentName,omitempty"`
	ParentOrganizationIDs []string       `json:"parentOrganizationIds"`
	SubOrganizationIDs    []string       `json:"subOrganizationIds"`
	TenantOrganizationIDs []string       `json:"tenantOrganizationIds"`
	IDProviderID          string         `json:"idprovider_id"`
	IsRoot                bool           `json:"isRoot"`
	IsMaster              bool           `json:"isMaster"`
	Subscription          map[string]any `json:"subscription"`
	Entitlements          map[string]any `json:"entitlements"`
	Properties            map[string]any `json:"properties"`
}

// me returns the client and user of a token. A connected app's user is the one that
// created it, as the app receives it: the organizations are those of the app.
func (c *accountsCall) me() (answer, error) {
	if err := c.authenticated(); err != nil {
		return answer{}, err
	}
	var shown meJSON
	if client, ok := c.directory.client(c.grant.Client); ok {
		shown.Client = &clientJSON{
			ClientID: client.ID, Name: client.Name, OrgID: client.Organization,
			RedirectURIs: append([]string{}, client.RedirectURIs...), GrantTypes: client.GrantTypes,
		}
	} else if c.chosen.is(loginClient, "present") {
		shown.Client = &clientJSON{
			ClientID: "anypoint-platform", Name: "Anypoint Platform", OrgID: c.directory.home(c.grant),
			RedirectURIs: []string{}, GrantTypes: []string{"password"},
		}
	}
	shown.User = c.tokenUser()
	return jsonAnswer(http.StatusOK, shown), nil
}

// usersMe is the user of me alone, without the wrapper.
func (c *accountsCall) usersMe() (answer, error) {
	if err := c.authenticated(); err != nil {
		return answer{}, err
	}
	user := c.tokenUser()
	if user == nil {
		return answer{}, problemf(http.StatusNotFound, "the token has no user")
	}
	return jsonAnswer(http.StatusOK, user), nil
}

// profile is the user without the organizations.
func (c *accountsCall) profile() (answer, error) {
	if err := c.authenticated(); err != nil {
		return answer{}, err
	}
	user := c.tokenUser()
	if user == nil {
		return answer{}, problemf(http.StatusNotFound, "the token has no user")
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"id": user.ID, "username": user.Username, "firstName": user.FirstName, "lastName": user.LastName,
		"email": user.Email, "organizationId": user.OrganizationID, "enabled": user.Enabled, "type": user.Type,
	}), nil
}

// tokenUser returns the user of the token, or nil.
func (c *accountsCall) tokenUser() *userJSON {
	id := c.grant.User
	if client, ok := c.directory.client(c.grant.Client); ok && id == "" {
		id = client.CreatedBy
	}
	user, ok := c.directory.usersByID[id]
	if !ok {
		return nil
	}
	home := c.directory.home(c.grant)
	member := []organizationJSON{}
	for _, o := range append([]string{home}, c.directory.below(home)...) {
		member = append(member, c.directory.organizationOf(o))
	}
	return &userJSON{
		ID: user.ID, CreatedAt: longAgo, UpdatedAt: longAgo, OrganizationID: home,
		FirstName: user.FirstName, LastName: user.LastName, Email: user.Email, Username: user.Username,
		Enabled: !user.Disabled, IDProviderID: "mulesoft", Type: "host",
		Organization: c.directory.organizationOf(home), MemberOfOrganizations: member,
		ContributorOfOrganizations: member, Properties: map[string]any{},
	}
}

// organizationOf returns an organization in Access Management's form.
func (d *directory) organizationOf(id string) organizationJSON {
	o := d.orgs[id]
	quota := map[string]int{"base": 1, "addOn": 0}
	return organizationJSON{
		Name: o.Name, ID: o.ID, CreatedAt: longAgo, UpdatedAt: longAgo,
		ParentID: o.Parent, ParentName: d.orgs[o.Parent].Name,
		ParentOrganizationIDs: append([]string{}, d.above(id)...),
		SubOrganizationIDs:    append([]string{}, d.below(id)...),
		TenantOrganizationIDs: []string{}, IDProviderID: "mulesoft",
		IsRoot: o.Parent == "", IsMaster: o.Parent == "",
		Subscription: map[string]any{"category": "Customer", "type": "Platinum"},
		Entitlements: map[string]any{"objectStoreRequestUnits": quota, "objectStoreKeys": quota},
		Properties:   map[string]any{},
	}
}

// above returns the organizations above id, the root first.
func (d *directory) above(id string) []string {
	var all []string
	for parent := d.orgs[id].Parent; parent != ""; parent = d.orgs[parent].Parent {
		all = append(all, parent)
	}
	slices.Reverse(all)
	return all
}

// ownOrganization checks that the token belongs to the organization in the path.
func (c *accountsCall) ownOrganization() error {
	if err := c.authenticated(); err != nil {
		return err
	}
	if !c.directory.reaches(c.grant, c.id) {
		return problemf(http.StatusForbidden, "the token does not belong to organization %q", c.id)
	}
	return nil
}

func (c *accountsCall) organization() (answer, error) {
	if err := c.ownOrganization(); err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, struct {
		organizationJSON
		Environments []environmentJSON `json:"environments"`
	}{c.directory.organizationOf(c.id), c.directory.environmentsOf(c.id)}), nil
}

type environmentJSON struct {
	ID             string `json:"id"`
	Name           string `json:"name"`
	OrganizationID string `json:"organizationId"`
	IsProduction   bool   `json:"isProduction"`
	Type           string `json:"type"`
	ClientID       string `json:"clientId"`
}

func (d *directory) environmentsOf(organization string) []environmentJSON {
	list := []environmentJSON{}
	for _, e := range d.world.Environments {
		if e.Organization != organization {
			continue
		}
		kind := e.Type
		if kind == "" {
			kind = "sandbox"
		}
		list = append(list, environmentJSON{e.ID, e.Name, e.Organization, kind == "production", kind, e.ID + "-client"})
	}
	return list
}

// environments lists the environments of an organization: {"data":[…],"total":n}, as
// all clients read it, not the "environments" of the vendor's page.
func (c *accountsCall) environments() (answer, error) {
	if err := c.ownOrganization(); err != nil {
		return answer{}, err
	}
	q := c.in.URL.Query()
	list := slices.DeleteFunc(c.directory.environmentsOf(c.id), func(e environmentJSON) bool {
		return q.Has("name") && q.Get("name") != e.Name ||
			q.Has("type") && q.Get("type") != e.Type ||
			q.Has("isProduction") && q.Get("isProduction") != strconv.FormatBool(e.IsProduction) ||
			!strings.Contains(strings.ToLower(e.Name), strings.ToLower(q.Get("search")))
	})
	total := len(list)
	offset, err := number(q.Get("offset"), 0, 0, total)
	if err != nil {
		return answer{}, err
	}
	limit, err := number(q.Get("limit"), 25, 1, 500)
	if err != nil {
		return answer{}, err
	}
	list = list[offset:min(offset+limit, total)]
	return jsonAnswer(http.StatusOK, map[string]any{"data": list, "total": total}), nil
}

// environment is one environment of an organization.
func (c *accountsCall) environment() (answer, error) {
	if err := c.ownOrganization(); err != nil {
		return answer{}, err
	}
	for _, e := range c.directory.environmentsOf(c.id) {
		if e.ID == c.below {
			return jsonAnswer(http.StatusOK, e), nil
		}
	}
	return answer{}, problemf(http.StatusNotFound, "organization %q has no environment %q", c.id, c.below)
}

// number reads a query parameter. It returns otherwise if it is absent, and at most
// most.
func number(text string, otherwise, least, most int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, problemf(http.StatusBadRequest, "offset and limit are numbers from %d", least)
	}
	return min(n, most), nil
}
