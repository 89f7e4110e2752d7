package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Purging names what to forget: all, or a place. A store or a partition goes with all in it; without a store it is the environment's list of stores,
// without an environment the organization's list of regions. Names are plain text, not escaped as in a URL. Partition and key do not show in logs.
type Purging struct {
	All          bool   `json:"all"`
	Location     string `json:"location"` // plane/region, "us/us-east-1"
	Organization string `json:"organization"`
	Environment  string `json:"environment"`
	Store        string `json:"store"`
	Partition    string `json:"partition"`
	Key          string `json:"key"`
}

// LogValue returns the place without partition and key.
func (p Purging) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Bool("all", p.All), slog.String("location", p.Location), slog.String("organization", p.Organization),
		slog.String("environment", p.Environment), slog.String("store", p.Store),
	)
}

// InputError is a request that is wrong in one field.
type InputError struct {
	Field  string // as in the request: "location"
	Detail string // what would be right, without the value
}

// Error returns field and detail.
func (e *InputError) Error() string { return e.Field + ": " + e.Detail }

// maxPurge bounds the body of a purge: a key of 1,024 bytes and the names above it, escaped.
const maxPurge = 64 << 10

// purge forgets what the body names, JSON or a form, and says how many entries this process dropped.
func (s *server) purge(w http.ResponseWriter, r *http.Request) {
	p, err := readPurging(http.MaxBytesReader(w, r.Body, maxPurge), r.Header.Get("Content-Type"))
	if err == nil {
		err = p.check()
	}
	if err != nil {
		refusePurge(w, err)
		return
	}
	n, err := s.Purge(r.Context(), p)
	if _, bad := errors.AsType[*InputError](err); bad {
		refusePurge(w, err)
		return
	}
	if err != nil {
		s.Logger.Error("cache purged here alone", "what", p, "entries", n, "error", err)
		problem{
			Code: "purge-incomplete", Status: http.StatusServiceUnavailable, Purged: &n,
			Detail: "purged in this process, but other replicas may still hold what they have; try again",
		}.write(w)
		return
	}
	s.Logger.Info("cache purged", "what", p, "entries", n)
	s.writeJSON(w, http.StatusOK, struct {
		Purged int `json:"purged"`
	}{n})
}

// errMediaType is a body that is neither JSON nor a form.
var errMediaType = errors.New("send application/json or application/x-www-form-urlencoded")

// readPurging reads a body of the given Content-Type.
func readPurging(body io.Reader, contentType string) (Purging, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return Purging{}, errMediaType
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return Purging{}, fmt.Errorf("reading the body: %w", err)
	}
	switch kind {
	case "application/json":
		return readJSON(text)
	case "application/x-www-form-urlencoded":
		return readForm(string(text))
	}
	return Purging{}, errMediaType
}

// readJSON reads one JSON object that holds no field but ours.
func readJSON(text []byte) (Purging, error) {
	if !utf8.Valid(text) { // encoding/json would replace what is not and purge another key
		return Purging{}, errors.New("the body is not UTF-8")
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.DisallowUnknownFields()
	var p Purging
	if err := d.Decode(&p); err != nil {
		return Purging{}, jsonFault(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Purging{}, errors.New("the body holds more than one JSON value")
	}
	return p, nil
}

// jsonFault says which field a decoder's error is about, as far as it knows, without the value.
func jsonFault(err error) error {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field == "all" {
		return &InputError{e.Field, "must be true or false"}
	} else if ok && e.Field != "" {
		return &InputError{e.Field, "must be a string"}
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok { // encoding/json has no type for it
		return &InputError{strings.Trim(name, `"`), "there is no such field"}
	}
	return errors.New("the body is no JSON object")
}

// readForm reads a form that holds no field but ours, each once.
func readForm(text string) (Purging, error) {
	form, err := url.ParseQuery(text)
	if err != nil {
		return Purging{}, errors.New("the body is no form")
	}
	var p Purging
	fields := map[string]*string{
		"location": &p.Location, "organization": &p.Organization, "environment": &p.Environment,
		"store": &p.Store, "partition": &p.Partition, "key": &p.Key,
	}
	for name, values := range form {
		field, known := fields[name]
		switch {
		case len(values) > 1:
			return Purging{}, &InputError{name, "is given more than once"}
		case known:
			*field = values[0]
		case name != "all":
			return Purging{}, &InputError{name, "there is no such field"}
		case values[0] != "true" && values[0] != "false":
			return Purging{}, &InputError{name, "must be true or false"}
		default:
			p.All = values[0] == "true"
		}
	}
	return p, nil
}

// check returns an *[InputError] where p is neither all nor a place without gaps.
func (p Purging) check() error {
	levels := []struct{ name, value string }{
		{"location", p.Location}, {"organization", p.Organization}, {"environment", p.Environment},
		{"store", p.Store}, {"partition", p.Partition}, {"key", p.Key},
	}
	var gap string // the first level that is not given
	for i, level := range levels {
		switch {
		case !p.All && i < 2 && level.value == "":
			return &InputError{level.name, "is required unless all is true"}
		case level.value == "":
			gap = cmp.Or(gap, level.name)
		case p.All:
			return &InputError{level.name, "cannot go with all"}
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

// isWord reports whether text is one of what planes and regions are made of: a-z, 0-9 and "-".
func isWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

// refusePurge answers a request that names nothing that can be purged.
func refusePurge(w http.ResponseWriter, err error) {
	p := problem{Code: "bad-input", Status: http.StatusBadRequest, Detail: err.Error()}
	if e, ok := errors.AsType[*InputError](err); ok {
		p.Field, p.Detail = e.Field, e.Detail
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		p.Code, p.Status, p.Detail = "too-large", http.StatusRequestEntityTooLarge, "the body is larger than a purge can be"
	}
	if errors.Is(err, errMediaType) {
		p.Code, p.Status = "media-type", http.StatusUnsupportedMediaType
	}
	p.write(w)
}
