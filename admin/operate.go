package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
)

// Operations are the actions of an operator other than the purge. They change this
// process alone. Its functions must be safe for concurrent use.
type Operations interface {
	// Reload reads the files again that may change while the gateway runs, as SIGHUP
	// does, and returns why some of them are not in force.
	Reload(ctx context.Context) []Reason
	// Withdraw makes the process report that it wants no traffic, or ends that.
	// Requests that arrive are served.
	Withdraw(on bool)
	// Shadow puts the policy into shadow mode, or ends that. An error reports that there
	// is no policy.
	Shadow(on bool) error
	// Switches returns what is set.
	Switches() Switches
}

// Switches are the states that an operator can change.
type Switches struct {
	Withdrawn bool `json:"withdrawn"`
	Policy    bool `json:"policy"` // there are rules
	Shadow    bool `json:"shadow"` // all rules are in shadow mode
}

// switchRequest is the body of POST /drain and POST /shadow.
type switchRequest struct {
	On *bool `json:"on"`
}

// LogValue returns the request as attributes.
func (p switchRequest) LogValue() slog.Value { return slog.GroupValue(slog.Bool("on", *p.On)) }

// nothing is an action without parameters.
type nothing struct{}

// LogValue returns no attributes.
func (nothing) LogValue() slog.Value { return slog.GroupValue() }

// maxSwitch is the maximum size of the body of an operation.
const maxSwitch = 1 << 10

// reload serves POST /reload.
func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	if _, err := readSwitch(w, r, false); err != nil {
		refuseInput(w, err)
		return
	}
	reasons := append([]Reason{}, s.Operations.Reload(r.Context())...)
	s.acted(r, "reload", http.StatusOK, nothing{})
	s.Logger.Info("settings reloaded by an operator", "invalid", len(reasons))
	s.writeJSON(w, http.StatusOK, struct {
		Reasons []Reason `json:"reasons"`
	}{reasons})
}

// drain serves POST /drain.
func (s *server) drain(w http.ResponseWriter, r *http.Request) {
	p, err := readSwitch(w, r, true)
	if err != nil {
		refuseInput(w, err)
		return
	}
	s.Operations.Withdraw(*p.On)
	s.acted(r, "drain", http.StatusOK, p)
	s.Logger.Warn("this replica was withdrawn or put back by an operator", "withdrawn", *p.On)
	s.writeJSON(w, http.StatusOK, s.Operations.Switches())
}

// shadow serves POST /shadow.
func (s *server) shadow(w http.ResponseWriter, r *http.Request) {
	p, err := readSwitch(w, r, true)
	if err != nil {
		refuseInput(w, err)
		return
	}
	if err := s.Operations.Shadow(*p.On); err != nil {
		s.acted(r, "shadow", http.StatusConflict, p)
		problem{Code: "no-policy", Status: http.StatusConflict, Detail: "this gateway has no policy (OSGATE_POLICY)"}.write(w)
		return
	}
	s.acted(r, "shadow", http.StatusOK, p)
	s.Logger.Warn("an operator set the mode of the policy", "shadow", *p.On)
	s.writeJSON(w, http.StatusOK, s.Operations.Switches())
}

// readSwitch reads a JSON object, which must have the member "on" if that is required,
// and otherwise none. A page of another site cannot send JSON without the permission of
// this listener, which it never gives.
func readSwitch(w http.ResponseWriter, r *http.Request, required bool) (p switchRequest, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return p, errJSONOnly
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSwitch))
	if err != nil {
		return p, err //nolint:wrapcheck // only refuseInput reads it
	}
	if err := readJSON(text, &p); err != nil {
		return p, err
	}
	switch {
	case required && p.On == nil:
		return p, &InputError{"on", "is required: true or false"}
	case !required && p.On != nil:
		return p, &InputError{"on", "is not a known field"}
	}
	return p, nil
}

// errJSONOnly reports a body that is not JSON.
var errJSONOnly = errors.New("send application/json")
