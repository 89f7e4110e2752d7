package emulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// accountsCall is one Access Management request.
type accountsCall struct {
	*Emulator
	*exchange
	params params // from a POST's body
	id     string // the organization in the path
	below  string // the environment in the path
}

// params are the members of a form or of a JSON object.
type params map[string]string

// accountsRoutes maps a path, without its first slash, to its methods. {org} and {env}
// stand for one segment.
type accountsRoutes map[string]map[string]func(*accountsCall) (answer, error)

// accountsAnswer answers a request for Access Management.
func (e *Emulator) accountsAnswer(x *exchange) answer {
	c := &accountsCall{Emulator: e, exchange: x}
	bad := c.readParams()
	left, over := e.allowance.take(c.subject(), e.clock.now())
	var a answer
	var err error
	switch {
	case over:
		err = problemf(http.StatusTooManyRequests, "too many requests: %d in a minute", e.allowance.limit)
	case bad != nil:
		err = bad
	default:
		a, err = c.serve()
	}
	if err != nil {
		a = accountsProblem(err)
	}
	left.write(a.header)
	return a
}

// subject returns the key under which a request counts: the token's client or user, or
// the client that requests a token, or otherwise the address. With accounts-rate-by=ip
// it is always the address.
func (c *accountsCall) subject() string {
	id, _, basic := c.in.BasicAuth()
	switch {
	case c.chosen.is(accountsRateBy, "ip"):
		return "ip\x00" + c.address()
	case c.grant != nil && c.grant.Client != "":
		return "client\x00" + c.grant.Client
	case c.grant != nil:
		return "user\x00" + c.grant.User
	case basic:
		return "client\x00" + id
	case c.params["client_id"] != "":
		return "client\x00" + c.params["client_id"]
	}
	return "ip\x00" + c.address()
}

func (c *accountsCall) serve() (answer, error) {
	segments, err := decodeSegments(strings.TrimPrefix(c.place.path, "/"))
	if err != nil {
		return answer{}, err
	}
	if len(segments) >= 4 && segments[2] == "organizations" {
		c.id, segments[3] = segments[3], "{org}"
	}
	if len(segments) == 6 && segments[4] == "environments" {
		c.below, segments[5] = segments[5], "{env}"
	}
	path := strings.Join(segments, "/")
	methods, ok := c.tokenRoutes[path]
	if !ok {
		methods, ok = c.identityRoutes[path]
	}
	if !ok {
		return answer{}, problemf(http.StatusNotFound, "no such path")
	}
	handle, ok := methods[c.in.Method]
	if !ok {
		return answer{}, problemf(http.StatusMethodNotAllowed, "%s is not a method of this path", c.in.Method)
	}
	return handle(c)
}

// readParams reads the body of a POST: a form, or JSON.
func (c *accountsCall) readParams() error {
	if c.in.Method != http.MethodPost {
		return nil
	}
	body, err := readBody(c.in, maxForm)
	if err != nil || len(body) == 0 {
		return err
	}
	switch mediaTypeOf(c.in) {
	case "application/x-www-form-urlencoded":
		c.params, err = formParams(string(body))
	case "application/json":
		c.params, err = jsonParams(body)
	default:
		err = problemf(http.StatusUnsupportedMediaType,
			"Content-Type is neither application/x-www-form-urlencoded nor application/json")
	}
	return err
}

// formParams reads a form. RFC 6749 section 3.2: no parameter more than once.
func formParams(body string) (params, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, oauthProblem(http.StatusBadRequest, "invalid_request", "the form is malformed")
	}
	p := params{}
	for name, all := range values {
		if len(all) > 1 {
			return nil, oauthProblem(http.StatusBadRequest, "invalid_request", "a parameter is given more than once")
		}
		p[name] = all[0]
	}
	return p, nil
}

// jsonParams reads the strings of a JSON object.
func jsonParams(body []byte) (params, error) {
	f, err := decodeObject(body)
	if err != nil {
		return nil, err
	}
	p := params{}
	for name, raw := range f {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			p[name] = text
		}
	}
	return p, nil
}

// oauthError is an error of RFC 6749 section 5.2.
type oauthError struct {
	status            int
	code, description string
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

func oauthProblem(status int, code, description string) error {
	return &oauthError{status, code, description}
}

// accountsProblem turns an error into an answer of Access Management.
func accountsProblem(err error) answer {
	if o, ok := errors.AsType[*oauthError](err); ok {
		a := jsonAnswer(o.status, map[string]string{"error": o.code, "error_description": o.description})
		if o.status == http.StatusUnauthorized {
			a.header.Set("WWW-Authenticate", `Basic realm="accounts"`)
		}
		return a
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = problemf(http.StatusInternalServerError, "%v", err)
	}
	a := jsonAnswer(p.status, map[string]any{
		"name": http.StatusText(p.status), "message": p.message, "status": p.status,
	})
	if p.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", "Bearer")
	}
	return a
}

// allowance is Access Management's own limit: a number of requests for each subject in
// each minute of the clock, reported in X-RateLimit headers. It is safe for concurrent
// use.
type allowance struct {
	limit int // negative: no limit

	mu     sync.Mutex // guards minute and spent
	minute time.Time
	spent  map[string]int
}

// maxSubjects limits how many subjects are counted separately within a minute; further
// ones share one allowance.
const maxSubjects = 100_000

// balance is the rest of a subject's allowance.
type balance struct {
	limit, remaining int
	reset            time.Time
}

// take uses one request of the subject, and reports whether its allowance was exceeded.
func (l *allowance) take(subject string, now time.Time) (left balance, over bool) {
	if l.limit < 0 {
		return balance{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); !minute.Equal(l.minute) {
		l.minute, l.spent = minute, map[string]int{}
	}
	if _, known := l.spent[subject]; !known && len(l.spent) >= maxSubjects {
		subject = ""
	}
	over = l.spent[subject] >= l.limit
	if !over {
		l.spent[subject]++
	}
	return balance{l.limit, l.limit - l.spent[subject], l.minute.Add(time.Minute)}, over
}

// write sets the headers that every Access Management operation has (API description);
// the reset is in epoch seconds.
func (b balance) write(h http.Header) {
	if b.limit == 0 {
		return
	}
	h.Set("X-RateLimit-Limit", strconv.Itoa(b.limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(b.remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
}
