package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"osgate/admin"
)

// switched records what operators set.
type switched struct {
	switches admin.Switches
	reloads  int
	noPolicy error
}

func (s *switched) Reload(context.Context) []admin.Reason {
	s.reloads++
	return nil
}

func (s *switched) Withdraw(on bool) { s.switches.Withdrawn = on }

func (s *switched) Shadow(on bool) error {
	if s.noPolicy == nil {
		s.switches.Shadow = on
	}
	return s.noPolicy
}

func (s *switched) Switches() admin.Switches { return s.switches }

// TestOperationsAreDoneAndReported, each as an action for the audit file.
func TestOperationsAreDoneAndReported(t *testing.T) {
	done := &switched{}
	o := options()
	o.Operations = done
	var acted []string
	o.Acted = func(a admin.Action) { acted = append(acted, fmt.Sprintf("%s%v%d", a.Name, a.Parameters, a.Status)) }
	h := newHandler(t, o)
	for _, step := range []struct {
		path, body, want, action string
		switches                 admin.Switches
	}{
		{"/reload", "{}", `{"reasons":[]}`, "reload[]200", admin.Switches{}},
		{"/drain", `{"on":true}`, `{"withdrawn":true,"policy":false,"shadow":false}`, "drain[on=true]200", admin.Switches{Withdrawn: true}},
		{"/shadow", `{"on":true}`, `{"withdrawn":true,"policy":false,"shadow":true}`, "shadow[on=true]200", admin.Switches{Withdrawn: true, Shadow: true}},
		{"/drain", `{"on":false}`, `{"withdrawn":false,"policy":false,"shadow":true}`, "drain[on=false]200", admin.Switches{Shadow: true}},
	} {
		acted = nil
		answer := send(t, h, http.MethodPost, step.path, step.body, asJSON)
		if got := text(t, answer); answer.StatusCode != http.StatusOK || got != step.want {
			t.Errorf("%s %s answers %d %s, want %s", step.path, step.body, answer.StatusCode, got, step.want)
		}
		if fmt.Sprint(acted) != "["+step.action+"]" || done.switches != step.switches {
			t.Errorf("%s %s: actions %v, switches %+v", step.path, step.body, acted, done.switches)
		}
		var shown struct{ Switches admin.Switches }
		if err := json.Unmarshal([]byte(text(t, send(t, h, http.MethodGet, "/api/overview", ""))), &shown); err != nil || shown.Switches != step.switches {
			t.Errorf("the overview has %+v, %v", shown, err)
		}
	}
	if done.reloads != 1 {
		t.Errorf("%d reloads", done.reloads)
	}
	done.noPolicy, acted = errors.New("none"), nil
	if p := readProblem(t, send(t, h, http.MethodPost, "/shadow", `{"on":true}`, asJSON), http.StatusConflict); p.Type != "urn:osgate:admin:no-policy" || len(acted) != 1 {
		t.Errorf("without a policy: %+v, actions %v", p, acted)
	}
}

// TestOperationsNeedAnOperator: no page of another site, and nobody without the token,
// can do one.
func TestOperationsNeedAnOperator(t *testing.T) {
	for _, path := range []string{"/reload", "/drain", "/shadow", "/cache/purge"} {
		for name, tt := range map[string]struct {
			headers []string
			body    string
			status  int
		}{
			"without the token": {[]string{asJSON}, `{"on":true}`, http.StatusUnauthorized},
			"from another site": {[]string{asJSON, "Authorization: Bearer " + token, "Origin: https://evil.example"}, `{"on":true}`, http.StatusForbidden},
			"fetched cross-site": {
				[]string{asJSON, "Authorization: Bearer " + token, "Sec-Fetch-Site: cross-site"}, `{"on":true}`, http.StatusForbidden,
			},
		} {
			done := &switched{}
			o := public()
			o.Operations = done
			o.Acted = func(a admin.Action) { t.Errorf("%s %s: action %+v", path, name, a) }
			if answer := send(t, newHandler(t, o), http.MethodPost, path, tt.body, tt.headers...); answer.StatusCode != tt.status {
				t.Errorf("%s %s: %d, want %d", path, name, answer.StatusCode, tt.status)
			}
			if done.reloads > 0 || done.switches != (admin.Switches{}) {
				t.Errorf("%s %s: it was done", path, name)
			}
		}
	}
}

func TestOperationsReadTheirBodyStrictly(t *testing.T) {
	for _, tt := range []struct {
		path, body, kind string
		status           int
	}{
		{"/drain", `{"on":true}`, "text/plain", 415},
		{"/drain", `on=true`, "application/x-www-form-urlencoded", 415},
		{"/reload", ``, "", 415},
		{"/drain", `{}`, "application/json", 400},
		{"/drain", `{"on":1}`, "application/json", 400},
		{"/drain", `{"on":true,"x":1}`, "application/json", 400},
		{"/drain", `{"on":true}{}`, "application/json", 400},
		{"/drain", `{"on":true}]`, "application/json", 400},
		{"/reload", `{"on":true}`, "application/json", 400},
		{"/shadow", `nonsense`, "application/json", 400},
	} {
		done := &switched{}
		o := options()
		o.Operations = done
		answer := send(t, newHandler(t, o), http.MethodPost, tt.path, tt.body, "Content-Type: "+tt.kind)
		readProblem(t, answer, tt.status)
		if done.reloads > 0 || done.switches != (admin.Switches{}) {
			t.Errorf("%s %q: it was done", tt.path, tt.body)
		}
	}
}
