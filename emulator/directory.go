package emulator

import (
	"crypto/subtle"
	"slices"
	"sync"
)

// directory answers queries about the world: memberships and rights. It is safe for
// concurrent use; only scopes and secrets of clients ever change.
type directory struct {
	world        *World
	orgs         map[string]Organization
	children     map[string][]string
	environments map[string]Environment
	usersByID    map[string]User
	usersByName  map[string]User

	mu      sync.RWMutex // guards clients
	clients map[string]Client
}

func newDirectory(w *World) *directory {
	d := &directory{
		world: w, orgs: map[string]Organization{}, children: map[string][]string{},
		environments: map[string]Environment{}, usersByID: map[string]User{},
		usersByName: map[string]User{}, clients: map[string]Client{},
	}
	for _, o := range w.Organizations {
		d.orgs[o.ID] = o
		if o.Parent != "" {
			d.children[o.Parent] = append(d.children[o.Parent], o.ID)
		}
	}
	for _, e := range w.Environments {
		d.environments[e.ID] = e
	}
	for _, u := range w.Users {
		d.usersByID[u.ID], d.usersByName[u.Username] = u, u
	}
	for _, c := range w.Clients {
		if len(c.GrantTypes) == 0 {
			c.GrantTypes = []string{"client_credentials"}
		}
		d.clients[c.ID] = c
	}
	return d
}

// client returns a client as it is now.
func (d *directory) client(id string) (Client, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	c, ok := d.clients[id]
	return c, ok
}

// setScopes gives a client other scopes and reports whether there is such a client.
func (d *directory) setScopes(id string, scopes []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.clients[id]
	if ok {
		c.Scopes = slices.Clone(scopes)
		d.clients[id] = c
	}
	return ok
}

// setSecret gives a client another secret and reports whether there is such a client.
func (d *directory) setSecret(id string, secret Secret) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.clients[id]
	if ok {
		c.Secret = secret
		d.clients[id] = c
	}
	return ok
}

// clientWith returns the client of these credentials.
func (d *directory) clientWith(id, secret string) (Client, bool) {
	c, ok := d.client(id)
	return c, ok && same(string(c.Secret), secret)
}

// userWith returns the user of these credentials.
func (d *directory) userWith(username, password string) (User, bool) {
	u, ok := d.usersByName[username]
	return u, ok && same(string(u.Password), password)
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// home returns the organization of a token: that of its client, or of its user.
func (d *directory) home(g *grant) string {
	if g.Client != "" {
		c, _ := d.client(g.Client)
		return c.Organization
	}
	return d.usersByID[g.User].Organization
}

// scopes returns the current rights of a token. A user has every right.
func (d *directory) scopes(g *grant) []string {
	if g.Client == "" {
		return allScopes()
	}
	c, _ := d.client(g.Client)
	return c.Scopes
}

// reaches reports whether an organization is the token's or one below it.
func (d *directory) reaches(g *grant, organization string) bool {
	home := d.home(g)
	for o, ok := d.orgs[organization]; ok; o, ok = d.orgs[o.Parent] {
		if o.ID == home {
			return true
		}
	}
	return false
}

// owns reports whether an environment is the organization's.
func (d *directory) owns(organization, environment string) bool {
	e, ok := d.environments[environment]
	return ok && e.Organization == organization
}

// below returns the organizations below id, the nearest first.
func (d *directory) below(id string) []string {
	all := slices.Clone(d.children[id])
	for i := 0; i < len(all); i++ {
		all = append(all, d.children[all[i]]...)
	}
	return all
}
