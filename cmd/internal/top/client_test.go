package top

import (
	"context"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// opened returns busy with the client billing-batch open.
func opened(t testing.TB) overview {
	t.Helper()
	body, err := os.ReadFile("testdata/client.json")
	if err != nil {
		t.Fatal(err)
	}
	client, names, err := readClient(http.StatusOK, body)
	if err != nil {
		t.Fatal(err)
	}
	o := busy(t)
	o.client, o.Names = client, maps.Clone(names)
	return o
}

// The frames are updated as those of the overview.
func TestAClientFitsTheTerminal(t *testing.T) {
	for _, width := range []int{80, 120, 200} {
		t.Run(strconv.Itoa(width), func(t *testing.T) {
			v := view{width: width, height: 40, source: "http://127.0.0.1:8081", choice: choice{client: "billing-batch"}}
			got := frame(opened(t), v)
			golden(t, "client-"+strconv.Itoa(width), got+"\n")
			fits(t, got, v)
		})
	}
}

func TestAClientThatIsNotKnownIsNoError(t *testing.T) {
	o, v := busy(t), view{width: 80, choice: choice{client: "app-\x1bseven"}}
	got := frame(o, v)
	fits(t, got, v)
	if !strings.Contains(got, "app-?seven") || !strings.Contains(got, "seen nothing of it") {
		t.Errorf("the frame is %s", got)
	}
}

// TestTopRequestsTheOpenClient with the overview, and reads its names.
func TestTopRequestsTheOpenClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file := "testdata/overview.json"
		switch {
		case r.URL.Path == "/api/client" && r.URL.Query().Get("id") == "billing-batch":
			file = "testdata/client.json"
		case r.URL.Path != "/api/overview":
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.ServeFile(w, r, file)
	}))
	defer server.Close()
	who := operator{base: server.URL, transport: server.Client().Transport}
	for id, want := range map[string]bool{"": false, "billing-batch": true, "another&id=billing-batch": false} {
		o, err := who.overview(t.Context(), id)
		if err != nil || o.client.known != want || o.Version == "" {
			t.Errorf("client %q: %v, known %v, want %v", id, err, o.client.known, want)
		}
		if want && (o.nameOf(id) != "Billing" || !math.IsNaN(o.client.Trail.Remaining[0])) {
			t.Errorf("client %q has the name %q and the quota %v, want NaN at first", id, o.nameOf(id), o.client.Trail.Remaining)
		}
	}
}

// TestEnterOpensTheFirstClient of the list, at once, and Escape closes it.
func TestEnterOpensTheFirstClient(t *testing.T) {
	o := opened(t)
	synctest.Test(t, func(t *testing.T) {
		screen, out := terminal()
		screen.keys.pressed = make(chan byte)
		ended := make(chan error)
		ask := func(_ context.Context, client string) (overview, error) {
			next := o
			next.client.known = client == "billing-batch"
			return next, nil
		}
		go func() { ended <- watch(t.Context(), screen, o, watched{interval: time.Hour, ask: ask}) }()
		last := func() string {
			synctest.Wait()
			frames := strings.Split(out.take(), homeCursor)
			return frames[len(frames)-1]
		}
		for _, key := range []byte("/bill\r\r") {
			screen.keys.pressed <- key
		}
		if got := last(); !strings.Contains(got, "POLICY RULE THAT DECIDED LAST") || !strings.Contains(got, "Quota left") {
			t.Errorf("after Enter: %q", got)
		}
		screen.keys.pressed <- keyEscape
		if got := last(); !strings.Contains(got, "REQUESTS") || strings.Contains(got, "Quota left") || !strings.Contains(got, "filter: bill") {
			t.Errorf("after Escape: %q", got)
		}
		screen.keys.pressed <- 'q'
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestBytesAreShort(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 102400: "100 KiB", 1 << 20: "1 MiB", 3 << 29: "1.5 GiB", 5 << 40: "5.0 TiB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
}
