package emulator

import (
	"fmt"
	"slices"
	"strings"
)

// A worldCheck collects the problems of a world.
type worldCheck struct {
	world    *World
	problems []error
	orgs     map[string]Organization
	envs     map[string]bool
	users    map[string]bool
	stores   map[[2]string]bool
}

// check returns all problems of w, each with its path in the JSON form and, if w is
// from a file, the line.
func (w *World) check() []error {
	c := &worldCheck{
		world: w, orgs: map[string]Organization{}, envs: map[string]bool{},
		users: map[string]bool{}, stores: map[[2]string]bool{},
	}
	c.organizations()
	c.environments()
	c.peopleAndApps()
	c.content()
	return c.problems
}

// report records a problem at path, which is a format for index, if bad is true.
func (c *worldCheck) report(bad bool, index int, path, format string, args ...any) {
	if !bad {
		return
	}
	path = fmt.Sprintf(path, index)
	where := path
	if c.world.position != nil {
		where = c.world.position(path)
	}
	c.problems = append(c.problems, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// name reports a name that no path can contain.
func (c *worldCheck) name(index int, path, what, name string) {
	if err := checkName(what, name, maxName); err != nil {
		c.report(true, index, path, "%s", err.message)
	}
}

func (c *worldCheck) organizations() {
	for i, o := range c.world.Organizations {
		_, twice := c.orgs[o.ID]
		c.name(i, "organizations[%d].id", "organization", o.ID)
		c.report(twice, i, "organizations[%d].id", "a second organization %q", o.ID)
		c.orgs[o.ID] = o
	}
	for i, o := range c.world.Organizations {
		_, known := c.orgs[o.Parent]
		c.report(o.Parent != "" && !known, i, "organizations[%d].parent", "no organization %q", o.Parent)
		c.report(c.circular(o), i, "organizations[%d].parent", "organization %q is above itself", o.ID)
	}
}

func (c *worldCheck) circular(o Organization) bool {
	for range len(c.orgs) {
		if o.Parent == "" {
			return false
		}
		o = c.orgs[o.Parent]
	}
	return o.Parent != ""
}

func (c *worldCheck) environments() {
	types := []string{"", "production", "sandbox", "design"}
	for i, e := range c.world.Environments {
		_, known := c.orgs[e.Organization]
		c.name(i, "environments[%d].id", "environment", e.ID)
		c.report(c.envs[e.ID], i, "environments[%d].id", "a second environment %q", e.ID)
		c.report(!known, i, "environments[%d].organization", "no organization %q", e.Organization)
		c.report(!slices.Contains(types, e.Type), i, "environments[%d].type",
			"%q is not production, sandbox or design", e.Type)
		c.envs[e.ID] = true
	}
}

func (c *worldCheck) peopleAndApps() {
	usernames := map[string]bool{}
	for i, u := range c.world.Users {
		_, known := c.orgs[u.Organization]
		c.name(i, "users[%d].id", "user", u.ID)
		c.report(c.users[u.ID], i, "users[%d].id", "a second user %q", u.ID)
		c.report(u.Username == "" || usernames[u.Username], i, "users[%d].username", "empty, or of another user too")
		c.report(u.Password == "", i, "users[%d].password", "missing")
		c.report(!known, i, "users[%d].organization", "no organization %q", u.Organization)
		c.users[u.ID], usernames[u.Username] = true, true
	}
	clients := map[string]bool{}
	for i, a := range c.world.Clients {
		_, known := c.orgs[a.Organization]
		c.name(i, "clients[%d].id", "client", a.ID)
		c.report(clients[a.ID], i, "clients[%d].id", "a second client %q", a.ID)
		c.report(a.Secret == "", i, "clients[%d].secret", "missing")
		c.report(!known, i, "clients[%d].organization", "no organization %q", a.Organization)
		c.report(a.CreatedBy != "" && !c.users[a.CreatedBy], i, "clients[%d].createdBy", "no user %q", a.CreatedBy)
		for _, kind := range a.GrantTypes {
			c.report(!slices.Contains(grantTypes(), kind), i, "clients[%d].grantTypes",
				"%q is not one of %s", kind, strings.Join(grantTypes(), ", "))
		}
		scope, bad := unknownScope(a.Scopes)
		c.report(bad, i, "clients[%d].scopes", "%q is not one of %s", scope, strings.Join(allScopes(), ", "))
		clients[a.ID] = true
	}
}

// unknownScope returns the first of scopes that is not one of Object Store's.
func unknownScope(scopes []string) (string, bool) {
	for _, s := range scopes {
		if !slices.Contains(allScopes(), s) {
			return s, true
		}
	}
	return "", false
}

func (c *worldCheck) content() {
	regions := newAtlas().regions
	for i, s := range c.world.Stores {
		id := [2]string{s.Environment, s.ID}
		c.name(i, "stores[%d].storeId", "store", s.ID)
		c.report(c.stores[id], i, "stores[%d].storeId", "a second store %q in environment %q", s.ID, s.Environment)
		c.report(!c.envs[s.Environment], i, "stores[%d].environment", "no environment %q", s.Environment)
		for _, text := range s.Locations {
			planeID, regionID, _ := strings.Cut(text, "/")
			_, known := regions[location{planeID, regionID}]
			c.report(!known, i, "stores[%d].locations", "%q is not a plane/region such as us/us-east-1", text)
		}
		c.stores[id] = true
	}
	for i, e := range c.world.Entries {
		c.report(!c.stores[[2]string{e.Environment, e.Store}], i, "entries[%d].storeId",
			"no store %q in environment %q", e.Store, e.Environment)
		c.name(i, "entries[%d].partitionId", "partition", e.Partition)
		if _, err := canonicalKey(e.Key, maxName); err != nil {
			c.report(true, i, "entries[%d].keyId", "%s", err.message)
		}
		if _, err := e.object().value(); err != nil {
			c.report(true, i, "entries[%d]", "%s", err.message)
		}
	}
}
