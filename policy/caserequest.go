package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"osgate/auth"
	"osgate/objectstore"
)

// request returns the request of c. It returns an error that names a field of c if no
// gateway with these rules could receive such a request: if the case passed, it would
// prove nothing.
func (c *Case) request(rs *Rules, located func(plane, region string) bool) (Request, error) {
	r, err := c.parseRequest()
	if err != nil {
		return Request{}, err
	}
	if located != nil && r.Plane != "" && !located(r.Plane, r.Region) {
		return Request{}, fmt.Errorf("request: there is no region %s/%s", r.Plane, r.Region)
	}
	if err := cmp.Or(c.callerProblem(), c.valueProblem(r.Operation.Kind), c.factProblem(rs, &r)); err != nil {
		return Request{}, err
	}
	r.Headers = make(map[string]string)
	for name, value := range c.Headers {
		r.Headers[strings.ToLower(name)] = value
	}
	return r, nil
}

// parseRequest returns the request as c states it, with the defaults that [Case]
// documents.
func (c *Case) parseRequest() (Request, error) {
	method, target, ok := strings.Cut(c.Request, " ")
	at := strings.Index(target, "/api/v1/")
	if !ok || at < 0 {
		return Request{}, fmt.Errorf("request %q is no method and path with /api/v1/", c.Request)
	}
	plane, region, _ := strings.Cut(strings.Trim(target[:at], "/"), "/")
	path, query, _ := strings.Cut(target[at:], "?")
	op, err := objectstore.Parse(method, path, query)
	if err != nil {
		return Request{}, fmt.Errorf("request %q: %w", c.Request, err)
	}
	r := Request{
		Principal: &auth.Principal{Plane: plane, Client: c.Client, User: c.User, Organizations: c.Organizations,
			Issuer: c.Issuer},
		Operation: op, Plane: plane, Region: region, EnvironmentType: c.EnvironmentType,
		ValueBytes: c.ValueBytes, ValueType: c.ValueType, TTLSeconds: -1, SourceIP: c.SourceIP, Time: c.Time,
	}
	if c.TTLSeconds != nil {
		r.TTLSeconds = *c.TTLSeconds
	}
	if c.brokered() {
		r.Principal.Method = c.IdentifiedBy
	}
	if c.Organizations == nil {
		r.Principal.Organizations = []string{op.Ref.Organization}
	}
	if !r.SourceIP.IsValid() {
		r.SourceIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	return r, nil
}

// callerProblem returns the error in c's outcome, caller or environment.
func (c *Case) callerProblem() error {
	switch {
	case c.Expect != "allow" && c.Expect != "deny":
		return fmt.Errorf(`expect is %q, not "allow" or "deny"`, c.Expect)
	case c.Client == "" && c.User == "":
		return errors.New("client: neither a client nor a user is named")
	case c.IdentifiedBy != "" && c.IdentifiedBy != auth.ByAnypoint && !c.brokered():
		return fmt.Errorf(`identifiedBy is %q, not "anypoint", "jwt" or "mtls"`, c.IdentifiedBy)
	case c.Issuer != "" && !c.brokered():
		return errors.New("issuer: a client with an Anypoint token has none")
	case c.Issuer == "" && c.IdentifiedBy == auth.ByJWT:
		return errors.New("issuer: it is left out, but a client with a JWT has one")
	case c.User != "" && c.brokered():
		return errors.New("user: a client without an Anypoint token acts for no user")
	case c.EnvironmentType != "" &&
		!slices.Contains([]string{"production", "sandbox", "design", unknownType}, c.EnvironmentType):
		return fmt.Errorf(`environmentType is %q, not "production", "sandbox", "design" or "unknown"`,
			c.EnvironmentType)
	}
	return nil
}

// brokered reports whether c's client has no Anypoint token.
func (c *Case) brokered() bool { return c.IdentifiedBy == auth.ByJWT || c.IdentifiedBy == auth.ByMTLS }

// valueProblem returns the error in c's description of the body.
func (c *Case) valueProblem(kind objectstore.Kind) error {
	value := kind == objectstore.PutKey || kind == objectstore.PostKey
	definition := kind == objectstore.PutStore || kind == objectstore.PatchStore
	switch {
	case c.ValueBytes < 0:
		return fmt.Errorf("valueBytes is %d", c.ValueBytes)
	case c.ValueType != "" && !slices.Contains([]string{"STRING", "NUMBER", "BINARY"}, c.ValueType):
		return fmt.Errorf(`valueType is %q, not "STRING", "NUMBER" or "BINARY"`, c.ValueType)
	case c.ValueType != "" && !value:
		return fmt.Errorf("valueType: %s has none", kind)
	case c.TTLSeconds != nil && *c.TTLSeconds < 0:
		return fmt.Errorf("ttlSeconds is %d", *c.TTLSeconds)
	case c.TTLSeconds != nil && !definition:
		return fmt.Errorf("ttlSeconds: %s has none", kind)
	}
	return nil
}

// factProblem returns an error if the rules read a fact that c lacks, or if c has a
// header that no rule may read.
func (c *Case) factProblem(rs *Rules, r *Request) error {
	if rs == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		if !slices.Contains(rs.headers, strings.ToLower(name)) {
			return fmt.Errorf("headers: %s is not among the headers that rules may read (OSGATE_POLICY_HEADERS)", name)
		}
	}
	read := rs.facts[slotOf(r.Operation.Kind, r.Operation.Confirmable)].resource
	switch {
	case read[planeName] && r.Plane == "":
		return errors.New("request: it names no plane, which rules read; begin the path with /us/us-east-1 or another")
	case read[regionName] && r.Region == "" && !r.Operation.Stats():
		return errors.New("request: it names no region, which rules read; begin the path with /us/us-east-1 or another")
	}
	return nil
}
