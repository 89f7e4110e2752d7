package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is what a program has written. It is safe for concurrent use.
type output struct {
	mu      sync.Mutex
	text    strings.Builder // guarded by mu
	printed chan struct{}   // closed when the tour is complete
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if strings.Contains(string(p), "Ctrl-C") {
		close(o.printed)
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestVariablesSetTheLogOfTheDemo: the demo logs errors alone, as text. The variables of
// the log replace that.
func TestVariablesSetTheLogOfTheDemo(t *testing.T) {
	for name, tt := range map[string]struct{ variables, want string }{
		"errors alone":  {"", ""},
		"info, text":    {"OSGATE_LOG_LEVEL=info", " route=/accounts/oauth2/token "},
		"info, as JSON": {"OSGATE_LOG_LEVEL=info OSGATE_LOG_FORMAT=json", `"route":"/accounts/oauth2/token"`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			variables := append(strings.Fields(tt.variables), "OSGATE_LISTEN=127.0.0.1:0", "OSGATE_ADMIN_LISTEN=127.0.0.1:0")
			out, log := &output{printed: make(chan struct{})}, &output{}
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, variables, out, log) }() // ends with ctx
			select {
			case <-out.printed:
			case err := <-ended:
				t.Fatalf("osdemo ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatalf("osdemo printed no tour: %s", out)
			}
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if got := log.String(); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("the log is %q, want %q in it", got, tt.want)
			}
		})
	}
}
