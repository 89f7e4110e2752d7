package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// gatewayOf returns the address of an admin listener that answers with status and body
// if the request has this token.
func gatewayOf(t *testing.T, token string, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/api/overview" {
			status = http.StatusTeapot
		}
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTopPrintsOnePlainFrameWhereNobodyWatches(t *testing.T) {
	body, err := os.ReadFile("testdata/top/overview.json")
	if err != nil {
		t.Fatal(err)
	}
	address := gatewayOf(t, "the-token", http.StatusOK, string(body))
	listen := "OSGATE_ADMIN_LISTEN=" + strings.TrimPrefix(address, "http://")
	want, err := os.ReadFile("testdata/top/120-unbounded.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"top"}, {"top", "-once"}, {"top", "-admin", address}, {"top", "-admin", strings.TrimPrefix(address, "http://") + "/"}} {
		environ := []string{"OSGATE_ADMIN_TOKEN=the-token", "TERM=xterm", "OSGATE_POLICY=/is/not/there"}
		if len(args) < 3 {
			environ = append(environ, listen)
		}
		status, out, complaints := ran(t, environ, args...)
		if got := strings.ReplaceAll(out, address, "http://127.0.0.1:8081"); status != exitOK || got != string(want) {
			t.Errorf("%q: exit %d, %s\n%s", args, status, complaints, got)
		}
	}
	status, out, _ := ran(t, []string{"OSGATE_ADMIN_TOKEN=the-token", "COLUMNS=50", listen}, "top")
	if fits(t, strings.TrimSuffix(out, "\n"), view{width: 50}); status != exitOK {
		t.Errorf("exit %d", status)
	}
}

func TestTopSaysWhyThereIsNothingToShow(t *testing.T) {
	for _, tt := range []struct {
		name, admin, says string
	}{
		{"nobody there", "http://127.0.0.1:1", "connection refused"},
		{"another token", gatewayOf(t, "another", http.StatusOK, "{}"), "OSGATE_ADMIN_TOKEN"},
		{"no admin listener", gatewayOf(t, "", http.StatusNotFound, ""), "answered 404"},
		{"a redirect", gatewayOf(t, "", http.StatusFound, ""), "answered 302"},
		{"no JSON", gatewayOf(t, "", http.StatusOK, "<html>"), "reading the overview"},
		{"too much", gatewayOf(t, "", http.StatusOK, `{"version":"`+strings.Repeat("x", maxOverviewBytes)+`"}`), "more than"},
	} {
		status, out, complaints := ran(t, []string{"OSGATE_ADMIN_TOKEN=mine-alone"}, "top", "-admin", tt.admin)
		if status != exitFailed || out != "" || !strings.Contains(complaints, tt.says) || !strings.Contains(complaints, tt.admin) || strings.Count(complaints, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q, want 1 and %q", tt.name, status, out, complaints, tt.says)
		}
		if strings.Contains(complaints, "mine-alone") {
			t.Errorf("%s: the token is told", tt.name)
		}
	}
}

func TestTopRefusesMisuse(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"-x"}, {"-interval", "1ms"}, {"-interval", "2h"}, {"-interval", "x"}, {"-admin", "ftp://x"}, {"-admin", "http://"}, {"-admin", "http://user:word@x"}, {"-admin", "http://x?y"},
	} {
		status, out, complaints := ran(t, nil, append([]string{"top"}, args...)...)
		if status != exitMisuse || out != "" || strings.Count(complaints, "\n") != 1 || strings.Contains(complaints, "word") {
			t.Errorf("%q: exit %d, %q, %q", args, status, out, complaints)
		}
	}
}

// paper is a terminal that keeps the text written to it. It is safe for concurrent use.
type paper struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (p *paper) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

// take returns the text written since the last call.
func (p *paper) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

// terminal returns a screen of 100 columns and 30 lines, and the text written there.
func terminal() (*screen, *paper) {
	out := &paper{}
	size := map[string]string{"COLUMNS": "100", "LINES": "30"}
	return &screen{out: out, color: true, keys: newKeyboard(nil), lookup: func(name string) string { return size[name] }}, out
}

func TestTopKeepsTheLastFrameWhileTheGatewayIsAway(t *testing.T) {
	o := busy(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		screen, out := terminal()
		var away atomic.Pointer[error]
		ended := make(chan error)
		go func() {
			ended <- watch(ctx, screen, o, watched{interval: 2 * time.Second, ask: func(context.Context) (overview, error) {
				next := o
				next.Version = "v1.2.4"
				if err := away.Load(); err != nil {
					return overview{}, *err
				}
				return next, nil
			}})
		}()
		shows := func(when, want string, lost bool) {
			t.Helper()
			synctest.Wait()
			if got := out.take(); !strings.Contains(got, want) || strings.Contains(got, "NO ANSWER") != lost {
				t.Errorf("%s, want %q, lost %v: %q", when, want, lost, got)
			}
		}
		shows("at first", enterScreen+homeCursor, false)
		<-time.After(2 * time.Second)
		shows("after the interval", "v1.2.4", false)
		refused := errors.New("connection refused")
		away.Store(&refused)
		since := clock(time.Now().Add(2 * time.Second))
		for range 2 {
			<-time.After(2 * time.Second)
			shows("while it is away", sgr[bad]+"NO ANSWER since "+since+", retrying: connection refused", true)
		}
		away.Store(nil)
		<-time.After(2 * time.Second)
		shows("when it is back", sgr[warning]+"DEGRADED", false)
		cancel()
		if err, left := <-ended, out.take(); err != nil || left != leaveScreen {
			t.Errorf("at the end: %v, %q, want the terminal as it was", err, left)
		}
	})
}

func TestTopDrawsAgainWhenTheTerminalChanges(t *testing.T) {
	o := busy(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		screen, out := terminal()
		changes, ended := make(chan os.Signal), make(chan error)
		go func() { ended <- watch(ctx, screen, o, watched{interval: time.Hour, changes: changes}) }()
		synctest.Wait()
		out.take()
		screen.lookup = func(string) string { return "33" }
		changes <- syscall.SIGCONT
		synctest.Wait()
		shown, _ := strings.CutPrefix(out.take(), homeCursor)
		shown = strings.NewReplacer(eraseRight, "", "\r", "").Replace(shown)
		fits(t, shown, view{width: 33, height: 33, color: true})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestTopLeavesTheTerminalAsItWasWhateverHappens(t *testing.T) {
	screen, out := terminal()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = watch(t.Context(), screen, busy(t), watched{interval: time.Nanosecond, ask: func(context.Context) (overview, error) { panic("a bug") }})
	}()
	if got := out.take(); !strings.HasSuffix(got, leaveScreen) {
		t.Errorf("after a panic: %q", got)
	}
	screen.out = brokenTerminal{}
	if err := watch(t.Context(), screen, busy(t), watched{interval: time.Hour}); !errors.Is(err, syscall.EIO) {
		t.Errorf("a terminal that is gone: %v, want its error", err)
	}
}

type brokenTerminal struct{}

func (brokenTerminal) Write([]byte) (int, error) { return 0, syscall.EIO }

func TestAFullLineIsNotErasedByWhatFollows(t *testing.T) {
	screen, out := terminal()
	if err := screen.draw("full\nlast", 2); err != nil {
		t.Fatal(err)
	}
	if got, want := out.take(), homeCursor+eraseRight+"full\r\n"+eraseRight+"last"; got != want {
		t.Errorf("drawn %q, want %q", got, want)
	}
	if err := screen.draw("one", 2); err != nil {
		t.Fatal(err)
	}
	if got, want := out.take(), homeCursor+eraseRight+"one\r\n"+eraseBelow; got != want {
		t.Errorf("drawn %q, want %q", got, want)
	}
}
