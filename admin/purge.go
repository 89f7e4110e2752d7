package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PurgeRequest selects what to purge: all, or a place. A store or a partition is purged
// with everything in it. Without a store, the request purges the environment's list of
// stores; without an environment, the organization's list of regions. Names are plain
// text, not escaped as in a URL. The partition and the key are not logged.
type PurgeRequest struct {
	All          bool   `json:"all"`
	Location     string `json:"location"` // plane/region, "us/us-east-1"
	Organization string `json:"organization"`
	Environment  string `json:"environment"`
	Store        string `json:"store"`
	Partition    string `json:"partition"`
	Key          string `json:"key"`
}

// LogValue returns the place without the partition and the key.
func (p PurgeRequest) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Bool("all", p.All), slog.String("location", p.Location), slog.String("organization", p.Organization),
		slog.String("environment", p.Environment), slog.String("store", p.Store),
	)
}

// Action is an action of an operator that changed something, or failed to.
type Action struct {
	Name       string      // "purge", "reload", "drain", "shadow"
	RemoteAddr string      // the connection's peer, without port
	Status     int         // of the answer
	Parameters []slog.Attr // what it was applied to; no secret, no partition, no key
}

// acted reports an action of r with its answer's status.
func (s *server) acted(r *http.Request, name string, status int, on slog.LogValuer) {
	if s.Acted == nil {
		return
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	s.Acted(Action{Name: name, RemoteAddr: peer, Status: status, Parameters: on.LogValue().Group()})
}

// InputError reports an invalid field of a request.
type InputError struct {
	Field  string // the name in the request, such as "location"
	Detail string // the expected value; never the given one
}

// Error returns the field and the detail.
func (e *InputError) Error() string { return e.Field + ": " + e.Detail }

// maxPurge is the maximum size of a purge's body: a key of 1,024 bytes and the names
// above it, escaped.
const maxPurge = 64 << 10

// purge drops the entries that the body (JSON or a form) selects, and reports how many
// this process dropped.
func (s *server) purge(w http.ResponseWriter, r *http.Request) {
	p, err := readPurgeRequest(http.MaxBytesReader(w, r.Body, maxPurge), r.Header.Get("Content-Type"))
	if err == nil {
		err = p.check()
	}
	if err != nil {
		refuseInput(w, err)
		return
	}
	n, err := s.Purge(r.Context(), p)
	if _, bad := errors.AsType[*InputError](err); bad {
		refuseInput(w, err)
		return
	}
	if err != nil {
		s.acted(r, "purge", http.StatusServiceUnavailable, p)
		s.Logger.Error("cache purged here alone", "what", p, "entries", n, "error", err)
		problem{
			Code: "purge-incomplete", Status: http.StatusServiceUnavailable, Purged: &n,
			Detail: "purged in this process only; other replicas may still hold their entries; try again",
		}.write(w)
		return
	}
	s.acted(r, "purge", http.StatusOK, p)
	s.Logger.Info("cache purged", "what", p, "entries", n)
	s.writeJSON(w, http.StatusOK, struct {
		Purged int `json:"purged"`
	}{n})
}

// errMediaType reports a body that is neither JSON nor a form.
var errMediaType = errors.New("send application/json or application/x-www-form-urlencoded")

// readPurgeRequest decodes a body of the given Content-Type.
func readPurgeRequest(body io.Reader, contentType string) (PurgeRequest, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return PurgeRequest{}, errMediaType
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return PurgeRequest{}, fmt.Errorf("reading the body: %w", err)
	}
	switch kind {
	case "application/json":
		var p PurgeRequest
		err := readJSON(text, &p)
		return p, err
	case "application/x-www-form-urlencoded":
		return readForm(string(text))
	}
	return PurgeRequest{}, errMediaType
}

// readJSON decodes one JSON object into p. It returns an error for unknown fields.
func readJSON(text []byte, p any) error {
	if !utf8.Valid(text) { // encoding/json replaces invalid UTF-8, which would purge another key
		return errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return jsonFault(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body contains more than one JSON value")
	}
	return nil
}

// jsonFault converts a decoder's error to an error that names the field, if it is
// known, and never the value.
func jsonFault(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && (e.Field == "all" || e.Field == "on") {
		return &InputError{e.Field, "must be true or false"}
	} else if ok && e.Field != "" {
		return &InputError{e.Field, "must be a string"}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // encoding/json has no type for it
		return &InputError{strings.Trim(name, `"`), "is not a known field"}
	}
	return errors.New("the body is not a JSON object")
}

// readForm decodes a form. It returns an error for unknown and for repeated fields.
func readForm(text string) (PurgeRequest, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return PurgeRequest{}, errors.New("the body is not a form")
	}
	var p PurgeRequest
	fields := map[string]*string{
		"location": &p.Location, "organization": &p.Organization, "environment": &p.Environment,
		"store": &p.Store, "partition": &p.Partition, "key": &p.Key,
	}
	for name, values := range form {
		field, known := fields[name]
		switch {
		case len(values) > 1:
			return PurgeRequest{}, &InputError{name, "is given more than once"}
		case known:
			*field = values[0]
		case name != "all":
			return PurgeRequest{}, &InputError{name, "is not a known field"}
		case values[0] != "true" && values[0] != "false":
			return PurgeRequest{}, &InputError{name, "must be true or false"}
		default:
			p.All = values[0] == "true"
		}
	}
	return p, nil
}

// check returns an *[InputError] if p selects neither all nor a place without gaps.
func (p PurgeRequest) check() error {
	levels := []struct{ name, value string }{
		{"location", p.Location}, {"organization", p.Organization}, {"environment", p.Environment},
		{"store", p.Store}, {"partition", p.Partition}, {"key", p.Key},
	}
	var gap string // the first level that is missing
	for i, level := range levels {
		switch {
		case !p.All && i < 2 && level.value == "":
			return &InputError{level.name, "is required unless all is true"}
		case level.value == "":
			gap = cmp.Or(gap, level.name)
		case p.All:
			return &InputError{level.name, "cannot be combined with all"}
		case gap != "":
			return &InputError{gap, "is required where " + level.name + " is given"}
		case !utf8.ValidString(level.value) || strings.ContainsFunc(level.value, unicode.IsControl):
			return &InputError{level.name, "must be UTF-8 without control characters"}
		}
	}
	if plane, region, both := strings.Cut(p.Location, "/"); !p.All && (!both || !isWord(plane) || !isWord(region)) {
		return &InputError{"location", `must be plane/region, such as "us/us-east-1"`}
	}
	return nil
}

// isWord reports whether text can be the name of a plane or a region: a-z, 0-9 and "-".
func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

// refuseInput reports an invalid action.
func refuseInput(w http.ResponseWriter, err error) {
	p := problem{Code: "bad-input", Status: http.StatusBadRequest, Detail: err.Error()}
	if e, ok := errors.AsType[*InputError](err); ok {
		p.Field, p.Detail = e.Field, e.Detail
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p.Code, p.Status, p.Detail = "too-large", http.StatusRequestEntityTooLarge,
			"the body is too large"
	}
	if errors.Is(err, errMediaType) || errors.Is(err, errJSONOnly) {
		p.Code, p.Status = "media-type", http.StatusUnsupportedMediaType
	}
	p.write(w)
}
