package top

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cmd/internal/table"
)

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
	lookup := func(name string) string { return size[name] }
	return &screen{out: out, color: true, keys: newKeyboard(nil), lookup: lookup}, out
}

func TestTopKeepsTheLastFrameWhileTheGatewayIsUnreachable(t *testing.T) {
	o := busy(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		screen, out := terminal()
		var away atomic.Pointer[error]
		ended := make(chan error)
		go func() {
			ask := func(context.Context, string) (overview, error) {
				next := o
				next.Version = "v1.2.4"
				if err := away.Load(); err != nil {
					return overview{}, *err
				}
				return next, nil
			}
			ended <- watch(ctx, screen, o, watched{interval: 2 * time.Second, ask: ask})
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
			lost := table.Bad.Escape() + "NO ANSWER since " + since + ", retrying: connection refused"
			shows("while it is away", lost, true)
		}
		away.Store(nil)
		<-time.After(2 * time.Second)
		shows("when it is back", table.Warning.Escape()+"DEGRADED", false)
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

func TestTopAlwaysRestoresTheTerminal(t *testing.T) {
	screen, out := terminal()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		ask := func(context.Context, string) (overview, error) { panic("a bug") }
		_ = watch(t.Context(), screen, busy(t), watched{interval: time.Nanosecond, ask: ask})
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
