package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"osgate/record"
)

// wire writes a GET to the server and returns all that the server sends until it closes
// the connection.
func wire(t *testing.T, addr, lines string, half bool) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "GET "+keyPath+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer one\r\nConnection: close\r\n"+lines+"\r\n"); err != nil {
		t.Fatal(err)
	}
	if half {
		_ = c.(*net.TCPConn).CloseWrite() //nolint:errcheck // it was dialed so
	}
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNoContentTypeIsGuessed checks answers of upstream without a Content-Type: with a
// guessed one, a browser would show a value that looks like a page as a page.
func TestNoContentTypeIsGuessed(t *testing.T) {
	for _, value := range []string{"<html><script>alert(1)</script>", "{}", "\x89PNG\r\n\x1a\n", strings.Repeat("<html>", 10_000)} {
		_, front := socketRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, value)
		})
		for _, way := range []string{"miss", "hit"} {
			text := wire(t, front.Listener.Addr().String(), "", false)
			head, body, _ := strings.Cut(text, "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 200") || strings.Contains(strings.ToLower(head), "content-type") || !strings.HasSuffix(body, value) && len(value) < 100 {
				t.Errorf("%s: %.500s, want the value and no Content-Type", way, text)
			}
		}
	}
}

// TestTrailersHoldOnlyWhatMayFollowABody checks trailers that upstream announces and
// trailers that it does not.
func TestTrailersHoldOnlyWhatMayFollowABody(t *testing.T) {
	sent := map[string]string{"X-Checksum": "abc", "Set-Cookie": "s=1", "Etag": `"v"`, "X-Request-Id": "theirs", "X-Both": "trailer", "Www-Authenticate": "Basic"}
	for _, tt := range []struct {
		announced bool
		size      int      // a short body is read to its end, with its trailers, before the client gets any of it
		want      []string // announced to the client
	}{
		{true, 2, []string{"X-Checksum", "X-Never"}},
		{true, 4 << 20, []string{"X-Checksum", "X-Never"}},
		{false, 2, []string{"X-Checksum"}},
		{false, 4 << 20, nil},
	} {
		announced := tt.announced
		_, front := socketRig(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Both", "header")
			prefix := http.TrailerPrefix
			if announced {
				prefix = ""
				w.Header()["Trailer"] = []string{"X-Checksum, Set-Cookie, Etag, X-Request-Id, X-Both, X-Never"}
			}
			_, _ = io.WriteString(w, strings.Repeat("x", tt.size))
			_ = http.NewResponseController(w).Flush()
			for name, value := range sent {
				if announced && name == "Www-Authenticate" {
					continue
				}
				w.Header().Set(prefix+name, value)
			}
		})
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+keyPath, nil)
		r.Header.Set("Authorization", "Bearer one")
		answer, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for name := range answer.Trailer {
			names = append(names, name)
		}
		slices.Sort(names)
		if diff := cmp.Diff(tt.want, names); diff != "" {
			t.Errorf("%+v: Trailer (-want +got):\n%s", tt, diff)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || len(body) != tt.size || answer.Body.Close() != nil {
			t.Errorf("%+v: %d bytes, %v", tt, len(body), err)
		}
		for name, values := range answer.Trailer {
			if name != "X-Checksum" && name != "X-Never" || name == "X-Checksum" && !slices.Equal(values, []string{"abc"}) {
				t.Errorf("%+v: trailer %s: %q", tt, name, values)
			}
		}
		if answer.Trailer.Get("X-Checksum") != "abc" || answer.Header.Get("X-Both") != "header" || answer.Header.Get("X-Request-Id") == "theirs" {
			t.Errorf("%+v: header %v, trailer %v", tt, answer.Header, answer.Trailer)
		}
	}
}

// TestAHalfClosedClientGetsTheAnswerOrNothing also checks that it never gets a 499,
// which is not a status of HTTP.
func TestAHalfClosedClientGetsTheAnswerOrNothing(t *testing.T) {
	g, front := socketRig(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the gateway gives up
	})
	if text := wire(t, front.Listener.Addr().String(), "", true); text != "" {
		t.Errorf("%.200s, want nothing", text)
	}
	if x := records(t, g, 1)[0]; x.Status != record.StatusClientLeft || x.Code != "" {
		t.Errorf("recorded %d %s, want %d", x.Status, x.Code, record.StatusClientLeft)
	}
	left := newRig(t, func(o *Options) { o.Statistics = mute{fmt.Errorf("waiting: %w", context.Canceled)} })
	if w := left.get("one", "/api/v1/organizations/o?period=1day"); w.Body.Len() > 0 || len(w.Header()) > 0 || left.last().Status != record.StatusClientLeft {
		t.Errorf("statistics: %v %s, recorded %d", w.Header(), w.Body, left.last().Status)
	}
	asked, closed := make(chan struct{}, 1), make(chan struct{})
	_, quick := socketRig(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked <- struct{}{}
		<-closed
		_, _ = w.Write(body)
	})
	c, err := net.Dial("tcp", quick.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, "PUT "+keyPath+" HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer one\r\nContent-Length: 2\r\n\r\n{}")
	<-asked
	_ = c.(*net.TCPConn).CloseWrite() //nolint:errcheck // it was dialed so
	close(closed)
	text, _ := io.ReadAll(c)
	if !strings.HasPrefix(string(text), "HTTP/1.1 200") { // a write continues until its answer
		t.Errorf("a write: %.200s, want its answer", text)
	}
}
