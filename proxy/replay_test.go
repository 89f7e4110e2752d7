package proxy

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"osgate/record"
)

// TestReplayOfNetHTTPIsCounted lets a kept-alive connection die while the second
// read uses it: Object Store may have answered both sendings.
func TestReplayOfNetHTTPIsCounted(t *testing.T) {
	var asked atomic.Int32
	g, front := socketRig(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) != 2 {
			_, _ = io.WriteString(w, "v")
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = c.Close()
	}, func(o *Options) {
		o.Trace = func(record.Trace, bool) record.Trace {
			return record.Trace{ID: [16]byte{1}, Span: [8]byte{2}, Sampled: true}
		}
	})
	for _, key := range []string{"1", "2"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front.URL+"/us/us-east-1"+keyPath+key, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer one")
		answer, err := front.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", key, answer.Status)
		}
	}
	all := records(t, g, 2)
	first, second := all[0], all[1]
	if first.UpstreamAttempts != 1 || second.UpstreamAttempts != 2 || asked.Load() != 3 {
		t.Errorf("%d and %d attempts, upstream was asked %d times; want 1, 2 and 3", first.UpstreamAttempts, second.UpstreamAttempts, asked.Load())
	}
	if len(first.Attempts) != 1 || first.Attempts[0].Resend != 0 || len(second.Attempts) != 1 || second.Attempts[0].Resend != 1 {
		t.Errorf("attempts %+v and %+v, want one each, the second resent once", first.Attempts, second.Attempts)
	}
}
