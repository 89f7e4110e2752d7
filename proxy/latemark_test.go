package proxy

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"osgate/cache"
)

// countingCoherence counts marks, renewals included.
type countingCoherence struct {
	cache.Coherence
	marks *int
}

func (c countingCoherence) Mark(ctx context.Context, on cache.Resources, writer cache.ID, lease time.Duration) error {
	*c.marks++
	return c.Coherence.Mark(ctx, on, writer, lease)
}

func TestALongBodyRenewsItsMarkAndALateReadOfItDoesNoHarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := 0
		g := newRig(t, func(o *Options) {
			store, err := cache.New(cache.Options{
				Bytes: 1 << 20, EntryBytes: 1 << 16, WriteLease: time.Minute, Coherence: countingCoherence{cache.NewLocalCoherence(), &marks},
			})
			if err != nil {
				t.Fatal(err)
			}
			o.Cache = store
		})
		x := g.begin(httptest.NewRecorder(), request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "a body"))
		for _, stage := range []func(*exchange) error{g.locate, g.identify, g.answer, g.markWrite} {
			if err := stage(x); err != nil {
				t.Fatal(err)
			}
		}
		read := func() {
			if _, err := x.body.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {deadlineStep / 2, 1}, {deadlineStep, 2}, {0, 2}} {
			<-time.After(step.wait)
			if read(); marks != step.want {
				t.Errorf("marked %d times, want %d", marks, step.want)
			}
		}
		x.conclude(true, 200) // upstream answered while the client was still sending
		<-time.After(2 * deadlineStep)
		if read(); marks != 2 {
			t.Errorf("a write that is over was marked again")
		}
	})
}

func TestAWriteThatCouldOutliveItsMarkIsNotSent(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Timeout = time.Hour }) // the rig's marks last a minute
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
	if w.Code != 503 || codeOf(t, w) != "overloaded" || len(g.sent) != 0 {
		t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, len(g.sent))
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("a read: %d", w.Code)
	}
}
