package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"osgate/admin"
	"osgate/internal/memnet"
)

// timeout is the admin server's timeout for one answer.
const timeout = 30 * time.Second

// listener is a server with the gateway's settings, and a client for it.
type listener struct {
	*http.Client
	server *http.Server
}

func listen(t *testing.T, o admin.Options) *listener {
	t.Helper()
	network := memnet.Listen()
	s := &http.Server{Handler: newHandler(t, o), ReadHeaderTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout}
	go func() { _ = s.Serve(network) }()
	transport := &http.Transport{DialContext: network.Dial}
	t.Cleanup(func() { _ = s.Close(); transport.CloseIdleConnections() })
	return &listener{&http.Client{Transport: transport}, s}
}

// open requests a stream that lasts until ctx ends. Each header is "Name: value".
func (l *listener) open(ctx context.Context, t *testing.T, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	answer, err := l.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// event is one event of a stream.
type event struct {
	Name, Retry string
	Data        struct {
		Time    time.Time
		Session bool
		Traffic map[string]int
	}
}

// next reads one event. ok is false at the end of the stream.
func next(t *testing.T, stream *bufio.Scanner) (e event, ok bool) {
	t.Helper()
	for stream.Scan() {
		field, value, _ := strings.Cut(stream.Text(), ": ")
		switch field {
		case "retry":
			e.Retry = value
		case "event":
			e.Name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.Data); err != nil {
				t.Fatalf("data %q: %v", value, err)
			}
		case "":
			if e.Name != "" {
				return e, true
			}
		}
	}
	return e, false
}

func TestStreamSendsAtOnceAndThenEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, options())
		<-time.After(300 * time.Millisecond)
		answer := l.open(t.Context(), t)
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != http.StatusOK || got != "text/event-stream" {
			t.Fatalf("%d %s, want 200 text/event-stream", answer.StatusCode, got)
		}
		if got := answer.Header.Get("X-Accel-Buffering"); got != "no" {
			t.Errorf("X-Accel-Buffering %q, want no: nginx would hold the events back", got)
		}
		stream := bufio.NewScanner(answer.Body)
		began, before := time.Now(), time.Time{}
		for i := range 100 { // longer than the server's timeout for one answer
			e, ok := next(t, stream)
			if !ok {
				t.Fatalf("the stream ended after %v, with %d events", time.Since(began), i)
			}
			if e.Name != "overview" || e.Data.Traffic["exchanges"] != 42 || (e.Retry == "2000") != (i == 0) {
				t.Fatalf("event %d is %+v", i, e)
			}
			switch {
			case i == 0 && !e.Data.Time.Equal(began):
				t.Errorf("the first event is of %v, want at once", e.Data.Time.Sub(began))
			case i == 1 && e.Data.Time.Sub(before) != 700*time.Millisecond:
				t.Errorf("the second event comes %v after the first, want it with those of all other streams", e.Data.Time.Sub(before))
			case i > 1 && e.Data.Time.Sub(before) != time.Second:
				t.Errorf("event %d comes %v after the one before, want a second", i, e.Data.Time.Sub(before))
			}
			before = e.Data.Time
		}
	})
}

func TestStreamsShareOneEncodingASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		o := options()
		overview := o.Overview
		o.Overview = func(now time.Time) (admin.Health, any, map[string]string) { made.Add(1); return overview(now) }
		l := listen(t, o)
		for range 10 {
			stream := l.open(t.Context(), t)
			go func() { _, _ = io.Copy(io.Discard, stream.Body) }()
		}
		<-time.After(20*time.Second + time.Millisecond)
		if got := made.Load(); got != 21 {
			t.Errorf("ten streams of 20 seconds made %d overviews, want 21", got)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, options())
		ctx, leave := context.WithCancel(t.Context())
		for i := range 16 {
			ctx := ctx
			if i > 0 {
				ctx = t.Context()
			}
			if got := l.open(ctx, t).StatusCode; got != http.StatusOK {
				t.Fatalf("stream %d: %d", i, got)
			}
		}
		refused := l.open(t.Context(), t)
		if p := readProblem(t, refused, http.StatusServiceUnavailable); p.Type != "urn:osgate:admin:too-many-streams" || refused.Header.Get("Retry-After") == "" {
			t.Errorf("the 17th stream: %+v, Retry-After %q", p, refused.Header.Get("Retry-After"))
		}
		leave()
		synctest.Wait()
		if got := l.open(t.Context(), t).StatusCode; got != http.StatusOK {
			t.Errorf("after one has left: %d, want 200", got)
		}
	})
}

func TestStreamEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(l *listener, done chan struct{})
		want time.Duration
	}{
		"after ten minutes":       {func(*listener, chan struct{}) {}, 10 * time.Minute},
		"when the server is done": {func(_ *listener, done chan struct{}) { <-time.After(time.Minute); close(done) }, time.Minute},
		"when the server is closed": {func(l *listener, _ chan struct{}) {
			<-time.After(time.Minute)
			_ = l.server.Close()
		}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, done := options(), make(chan struct{})
				o.Done = done
				l := listen(t, o)
				answer := l.open(t.Context(), t)
				began := time.Now()
				go tt.end(l, done)
				_, _ = io.Copy(io.Discard, answer.Body)
				if got := time.Since(began); got != tt.want {
					t.Errorf("the stream ended after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestReaderThatDoesNotReadLosesItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		o := options()
		o.Overview = func(time.Time) (admin.Health, any, map[string]string) {
			made.Add(1)
			return admin.Health{}, strings.Repeat("x", 1<<16), nil
		}
		l := listen(t, o)
		l.open(t.Context(), t)
		<-time.After(time.Minute)
		if got := made.Load(); got > 3 {
			t.Errorf("%d overviews were made for a reader that takes none, want the stream to end with the first that it does not", got)
		}
	})
}

// sessionCookie logs in and returns the Cookie header of the session.
func sessionCookie(t *testing.T) string {
	t.Helper()
	c := login(t, newHandler(t, public()), token).Cookies()[0]
	return "Cookie: " + c.Name + "=" + c.Value
}

func TestStreamEndsWithItsSession(t *testing.T) {
	for name, tt := range map[string]struct {
		headers func(cookie string) []string
		want    time.Duration
	}{
		"by the cookie": {func(cookie string) []string { return []string{cookie} }, 5 * time.Minute},
		"by the token":  {func(string) []string { return []string{"Authorization: Bearer " + token} }, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, cookie := listen(t, public()), sessionCookie(t)
				<-time.After(12*time.Hour - 5*time.Minute) // that much of the session is left
				answer := l.open(t.Context(), t, tt.headers(cookie)...)
				began := time.Now()
				_, _ = io.Copy(io.Discard, answer.Body)
				if got := time.Since(began); got != tt.want {
					t.Errorf("the stream ended after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestStreamReportsWhetherItsClientIsLoggedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, public())
		for header, want := range map[string]bool{
			sessionCookie(t): true, "Authorization: Bearer " + token: false,
		} {
			e, ok := next(t, bufio.NewScanner(l.open(t.Context(), t, header).Body))
			if !ok || e.Data.Session != want {
				t.Errorf("a stream by %s: session %v, want %v", strings.SplitN(header, ":", 2)[0], e.Data.Session, want)
			}
		}
		if got := l.open(t.Context(), t).StatusCode; got != http.StatusUnauthorized {
			t.Errorf("without either: %d, want 401", got)
		}
	})
}

func TestStreamWithoutJSONEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := options()
		o.Overview = func(time.Time) (admin.Health, any, map[string]string) { return admin.Health{}, func() {}, nil }
		l := listen(t, o)
		if body, err := io.ReadAll(l.open(t.Context(), t).Body); err != nil || len(body) > 0 {
			t.Errorf("%q, %v; want an end", body, err)
		}
		readProblem(t, send(t, newHandler(t, o), http.MethodGet, "/api/overview", ""), http.StatusInternalServerError)
	})
}
