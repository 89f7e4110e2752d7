package emulator

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one parsed Object Store request.
type call struct {
	*Emulator
	*exchange
	operation operation
	ref       ref
	query     url.Values
	body      fields
	number    bool // the body is a number operation
	space     *space
	now       time.Time // read under the space's lock

	// The store, partition and so on of the path, as far as they have been read.
	store     *store
	partition *partition
	item      *item
	pending   *confirmation // made pending by the operation
}

// objectStore answers a request for Object Store. It checks the token, the rate and the
// rights, and then performs the operation.
func (e *Emulator) objectStore(x *exchange) answer {
	c := &call{Emulator: e, exchange: x}
	var err error
	if c.operation, c.ref, err = e.route(x.in.Method, x.place.path); err != nil {
		return e.objectStoreProblem(err)
	}
	if err := x.authenticated(); err != nil {
		return e.objectStoreProblem(err)
	}
	subject := e.rateSubject(x, c.ref)
	admitted, wait := e.window.take(subject.key)
	if wait > 0 {
		return e.overRate(subject, wait)
	}
	a, err := c.perform()
	if err != nil {
		a = e.objectStoreProblem(err)
	}
	if a.succeeded() {
		e.stats.count(x.place, c.ref, e.clock.now())
	} else if e.chosen.is(rateCounts, "2xx") {
		e.window.giveBack(subject.key, admitted)
	}
	return a
}

// route returns the operation and the names in its path, or a problem: 404 for a path
// that is not Object Store's, 501 for the path that the vendor's page shows without a
// definition, 405.
func (e *Emulator) route(method, path string) (operation, ref, error) {
	segments, err := decodeSegments(strings.TrimPrefix(path, "/api/v1/"))
	if err != nil {
		return operation{}, ref{}, err
	}
	where, ok := resourceOf(segments)
	if !ok {
		if len(segments) == 7 && segments[6] == "objects" && segments[4] == "stores" {
			return operation{}, ref{}, problemf(http.StatusNotImplemented,
				"This request is not implemented on this service: nobody has defined …/objects")
		}
		return operation{}, ref{}, problemf(http.StatusNotFound,
			"The requested resource does not exist on this service: no such path")
	}
	names, err := e.refOf(segments)
	if err != nil {
		return operation{}, ref{}, err
	}
	for _, o := range e.operations {
		if o.resource == where && o.method == method {
			return o, names, nil
		}
	}
	return operation{}, ref{}, problemf(http.StatusMethodNotAllowed, "%s is not a method of a %s", method, where)
}

// resourceOf returns the kind of the path with these decoded segments.
func resourceOf(segments []string) (resource, bool) {
	if len(segments) == 3 && segments[0] == "organizations" && segments[2] == "regions" {
		return regionsPath, true
	}
	words := []string{"organizations", "environments", "stores", "partitions", "keys", "confirmations"}
	for i := 0; i < len(segments); i += 2 {
		if i/2 >= len(words) || segments[i] != words[i/2] {
			return "", false
		}
	}
	byLength := map[int]resource{
		5: storesPath, 6: storePath, 7: partitionsPath, 8: partitionPath,
		9: keysPath, 10: keyPath, 12: confirmationPath,
	}
	where, ok := byLength[len(segments)]
	return where, ok
}

// refOf returns the names among the segments of a path that resourceOf recognizes.
func (e *Emulator) refOf(segments []string) (ref, error) {
	var r ref
	for i, into := range []*string{&r.organization, &r.environment, &r.store, &r.partition, &r.key, &r.confirmation} {
		at := 2*i + 1
		if at >= len(segments) {
			break
		}
		what := strings.TrimSuffix(segments[at-1], "s")
		if err := checkName(what, segments[at], maxName); err != nil {
			return ref{}, err
		}
		*into = segments[at]
	}
	if r.key != "" {
		key, err := canonicalKey(r.key, e.keyLimit())
		if err != nil {
			return ref{}, err
		}
		r.key = key
	}
	return r, nil
}

// keyLimit is the longest key in bytes.
func (e *Emulator) keyLimit() int {
	if e.chosen.is(keyLimit, "256") {
		return 256
	}
	return maxName
}

// subject is the key under which a request counts.
type subject struct{ kind, name, key string }

// String returns how the vendor's 429 names the subject: "ip 3.16.69.227", and by
// analogy "client app-one".
func (s subject) String() string { return s.kind + " " + s.name }

// rateSubject returns the key under which a request counts: the vendor's own documents
// contradict each other about it.
func (e *Emulator) rateSubject(x *exchange, r ref) subject {
	s := subject{kind: e.rateBy}
	at := strings.Join([]string{x.place.plane, x.place.region, r.environment}, "\x00")
	switch {
	case s.kind == "ip":
		s.name = x.address()
		s.key = s.name
	case s.kind == "store" && r.store != "":
		s.name = r.store
		s.key = at + "\x00" + r.store
	case s.kind == "app" && r.store != "":
		s.name = application(r.store)
		s.key = at + "\x00" + s.name
	default: // by client, also for each region with location, and for operations without a store
		s.kind, s.name = "client", x.grant.Client
		if s.name == "" {
			s.kind, s.name = "user", x.grant.User
		}
		s.key = x.place.plane + "\x00" + s.kind + "\x00" + s.name
		if e.rateBy == "location" {
			s.key += "\x00" + x.place.region
		}
	}
	return s
}

// application returns the application that a store belongs to: CloudHub names stores
// APP_<app>__<store> (Mule 4) or APP_<app>_<store> (Mule 3). Any other store is an
// application of its own.
func application(storeID string) string {
	name, ok := strings.CutPrefix(storeID, "APP_")
	if !ok {
		return storeID
	}
	for _, separator := range []string{"__", "_"} {
		if app, _, found := strings.Cut(name, separator); found && app != "" {
			return app
		}
	}
	return name
}

// perform checks the caller's rights and performs the operation.
func (c *call) perform() (answer, error) {
	if err := c.authorize(); err != nil {
		return answer{}, err
	}
	query, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return answer{}, problemf(http.StatusBadRequest, "the query is malformed")
	}
	c.query = query
	if err := c.readBody(); err != nil {
		return answer{}, err
	}
	if c.ref.environment == "" {
		return c.operation.run(c)
	}
	c.space = c.spaceOf(spaceID{c.place.plane, c.place.region, c.ref.environment})
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	c.now = c.clock.now()
	c.space.expire(c.now)
	a, err := c.operation.run(c)
	if kept := c.space.keep(); kept != nil {
		return answer{}, kept
	}
	return a, err
}

// authorize checks organization, environment and scopes.
func (c *call) authorize() error {
	if !c.chosen.is(foreignOrganization, "served") && !c.directory.reaches(c.grant, c.ref.organization) {
		return c.foreign(c.ref.organization)
	}
	if c.ref.environment != "" && !c.directory.owns(c.ref.organization, c.ref.environment) {
		return missing("environment of the organization", c.ref.environment)
	}
	if !c.operation.permits(c.directory.scopes(c.grant)) {
		return problemf(http.StatusForbidden, "the token lacks the scope for this: one of %v", c.operation.scopes)
	}
	return nil
}

// permits reports whether one of the scopes held is enough for o.
func (o operation) permits(held []string) bool {
	return len(o.scopes) == 0 || slices.ContainsFunc(o.scopes, func(s string) bool { return slices.Contains(held, s) })
}

// foreign is the problem of an organization that the token does not belong to.
func (e *Emulator) foreign(organization string) error {
	if e.chosen.is(foreignOrganization, "404") {
		return missing("organization", organization)
	}
	return problemf(http.StatusForbidden, "the token does not belong to organization %q", organization)
}

// numberOperation is the one media type that the API description has for POST of a key.
const numberOperation = "application/vnd.objectstore.v1.numberoperation+json"

// readBody reads the body that the operation needs, before any lock is taken.
func (c *call) readBody() (err error) {
	const plainJSON = "application/json"
	switch c.operation.body {
	case noBody:
	case optionalObject:
		c.body, err = readObject(c.in, plainJSON, true)
	case wantedObject:
		c.body, err = readObject(c.in, plainJSON, false)
	case keyObject:
		mediaType := plainJSON
		if c.in.Method == http.MethodPost && mediaTypeOf(c.in) == numberOperation {
			mediaType, c.number = numberOperation, true
		}
		c.body, err = readObject(c.in, mediaType, false)
	}
	if p, ok := errors.AsType[*problem](err); ok && p.status == http.StatusRequestEntityTooLarge {
		return c.oversize(p)
	}
	return err
}

// oversize returns a problem of size with the chosen status.
func (c *call) oversize(p *problem) error {
	if c.chosen.is(oversizeStatus, "400") {
		return &problem{http.StatusBadRequest, p.message}
	}
	return p
}

// one returns the value of a query parameter, "" if it is absent. A repeated parameter
// is a problem.
func (c *call) one(name string) (string, error) {
	values := c.query[name]
	if len(values) > 1 {
		return "", problemf(http.StatusBadRequest, "%s is given more than once", name)
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], nil
}

// confirmable reports whether the operation needs a confirmation. The API description
// calls the parameter required, the vendor's own examples omit it.
func (c *call) confirmable() (bool, error) {
	text, err := c.one("confirmable")
	switch {
	case err != nil:
		return false, err
	case text == "" && !c.query.Has("confirmable"), text == "false":
		return false, nil
	case text == "true":
		return true, nil
	}
	return false, problemf(http.StatusBadRequest, "confirmable is neither true nor false")
}

// wantStore finds the store of the path.
func (c *call) wantStore() error {
	if c.store = c.space.store(c.ref.store); c.store == nil {
		return missing("store", c.ref.store)
	}
	return nil
}

// wantPartition finds the store and the partition of the path.
func (c *call) wantPartition() error {
	if err := c.wantStore(); err != nil {
		return err
	}
	if c.partition = c.store.partition(c.ref.partition); c.partition == nil {
		return missing("partition", c.ref.partition)
	}
	return nil
}

// wantItem finds the store, the partition and the item of the path.
func (c *call) wantItem() error {
	if err := c.wantPartition(); err != nil {
		return err
	}
	if c.item = c.space.item(c.store, c.partition, c.ref.key, c.now); c.item == nil {
		return missing("key", c.ref.key)
	}
	return nil
}

// missing is the problem of an unknown name, in the description's words.
func missing(what, name string) error {
	return problemf(http.StatusNotFound, "The requested resource does not exist on this service: no %s %q", what, name)
}

// objectStoreProblem turns an error into an answer of Object Store.
func (e *Emulator) objectStoreProblem(err error) answer {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = problemf(http.StatusInternalServerError, "%v", err)
	}
	var a answer
	switch {
	case e.chosen.is(errorBody, "empty"):
		a = emptyAnswer(p.status)
	case e.chosen.is(errorBody, "message"):
		a = jsonAnswer(p.status, map[string]any{"message": p.message})
	case e.chosen.is(errorBody, "named"):
		a = jsonAnswer(p.status, map[string]any{
			"name": http.StatusText(p.status), "message": p.message, "status": p.status,
		})
	default:
		a = jsonAnswer(p.status, statusResponse(p.message))
	}
	if p.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", "Bearer")
	}
	return a
}

// statusResponse is the only known error body of Object Store v2: that of its 429,
// logged by the Mule connector in 2019.
func statusResponse(message string) any {
	return struct {
		Status        string  `json:"status"`
		StatusMessage string  `json:"statusMessage"`
		StackTrace    *string `json:"stackTrace"`
	}{"failure", message, nil}
}

// overRate is the answer to a request above the rate.
func (e *Emulator) overRate(s subject, wait time.Duration) answer { return e.tooMany(s.String(), wait) }

// tooMany returns the vendor's 429 for a client over its rate.
func (e *Emulator) tooMany(who string, wait time.Duration) answer {
	a := jsonAnswer(http.StatusTooManyRequests,
		statusResponse(who+" can not perform more requests in this time window"))
	if e.chosen.is(retryAfter, "on") {
		a.header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	return a
}
