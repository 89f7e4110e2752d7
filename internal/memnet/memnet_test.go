package memnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"osgate/internal/memnet"
)

func TestTimePassesInABubbleWhileHTTPWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			<-time.After(time.Hour)
			_, _ = io.WriteString(w, "at last")
		})}
		go func() { _ = server.Serve(l) }()
		transport := &http.Transport{DialContext: l.Dial}
		start := time.Now()
		answer, err := (&http.Client{Transport: transport}).Get("http://memory/")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if took := time.Since(start); string(body) != "at last" || took != time.Hour {
			t.Errorf("got %q after %v", body, took)
		}
		transport.CloseIdleConnections()
		_ = server.Close()
	})
}

func TestAClosedListenerRefuses(t *testing.T) {
	l := memnet.Listen()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Dial(ctx, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial without Accept: %v", err)
	}
	_ = l.Close()
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := l.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
}
