package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"osgate/objectstore"
)

func TestStatisticsGoOutInTheirMediaType(t *testing.T) {
	g := newRig(t)
	w := g.do(request(t, "GET /api/v1/organizations/o?period=1day", "Authorization: Bearer one"))
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json; of=statistics" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// mute is a source of statistics that returns only an error.
type mute struct{ err error }

func (m mute) Answer(context.Context, string, objectstore.Operation, []string, time.Time) ([]byte, string, error) {
	return nil, "", m.err
}

func TestUnavailableStatisticsNameTheCause(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		detail string
	}{
		{ErrStatisticsBusy, 503, "too many requests for statistics are under way"},
		{fmt.Errorf("%w: redis is down", ErrStatisticsUnavailable), 503, "the statistics store does not answer"},
		{fmt.Errorf("%w: %w", ErrStatisticsUnavailable, context.DeadlineExceeded), 503, "the statistics store does not answer"},
		{errors.New("odd"), 503, "the gateway cannot answer this request at the moment"},
	} {
		g := newRig(t, func(o *Options) { o.Statistics = mute{tt.err} })
		w := g.get("one", "/api/v1/organizations/o?period=1day")
		if w.Code != tt.status || !strings.Contains(w.Body.String(), `"detail":"`+tt.detail+`"`) {
			t.Errorf("%v: %d %s, want %d %q", tt.err, w.Code, w.Body, tt.status, tt.detail)
		}
		if tt.status == 503 && (codeOf(t, w) != "overloaded" || w.Header().Get("Retry-After") != "1" || g.last().Cause != tt.err.Error()) {
			t.Errorf("%v: %v, cause %q; want overloaded, Retry-After 1 and the cause in the log", tt.err, w.Header(), g.last().Cause)
		}
	}
}

func TestASumLeavesOutOrganizationsThatRulesDeny(t *testing.T) {
	for rules, want := range map[string][]string{
		"":        {"o", "sub-one", "sub-two"},
		permitAll: {"o", "sub-one", "sub-two"},
		permitAll + `forbid(principal, action == Action::"readStats", resource) when { resource.organization == "sub-one" };`: {"o", "sub-two"},
	} {
		change := func(*Options) {}
		if rules != "" {
			change, _ = ruled(t, rules)
		}
		g := newRig(t, change)
		w := g.get("root", "/api/v1/organizations/o?period=1day&isMaster=true")
		if w.Code != 200 || !slices.Equal(g.readable, want) {
			t.Errorf("rules %q: %d, of %v; want %v", rules, w.Code, g.readable, want)
		}
	}
}
