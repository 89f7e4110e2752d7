package admin

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// maxStreams is the maximum number of open streams. Each open page uses one.
	maxStreams = 16
	// streamLife is how long a stream lasts. The page then opens the next one, which
	// requires a valid login again.
	streamLife = 10 * time.Minute
	// streamPatience is how long the client of a stream may take to read one overview.
	streamPatience = 10 * time.Second
	// streamRetry is the Retry-After of a refusal because of too many streams. It is
	// long because streams do not end soon.
	streamRetry = 30 * time.Second
	// feedStep is the interval between two overviews of a stream.
	feedStep = time.Second
)

// feed holds the overview of the current step. The first stream that needs it encodes
// it for all streams.
type feed struct {
	start time.Time

	mu      sync.Mutex // guards the fields below; held while an overview is encoded
	step    int64      // the step of encoded; -1: none yet
	encoded []byte     // never modified
}

func newFeed() *feed { return &feed{start: time.Now(), step: -1} }

// at returns the overview of the step that contains now.
func (f *feed) at(now time.Time, encode func(now time.Time) ([]byte, error)) ([]byte, error) {
	step := int64(now.Sub(f.start) / feedStep)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.step < step {
		encoded, err := encode(now)
		if err != nil {
			return nil, err
		}
		f.step, f.encoded = step, encoded
	}
	return f.encoded, nil
}

// next returns the duration from now to the next step.
func (f *feed) next(now time.Time) time.Duration { return feedStep - now.Sub(f.start)%feedStep }

// stream sends an overview at once and then one in each second, as events (HTML Living
// Standard, section "Server-sent events"). It ends when the client leaves, its login
// expires, the server stops or streamLife is over.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", retryAfter(streamRetry))
		problem{
			Code: "too-many-streams", Status: http.StatusServiceUnavailable,
			Detail: "too many pages are open; close one, or try again later",
		}.write(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // otherwise nginx delays the events
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	s.events(w, r.WithContext(ctx))
}

// events writes the events of r's stream until r's context or session ends, or the
// server stops.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	session := s.guard.inSession(r, time.Now())
	opening := "retry: 2000\n\n" // milliseconds that a page waits before it opens the next stream
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-s.Done:
			return
		case <-tick.C:
		}
		now := time.Now()
		if session && !s.guard.inSession(r, now) {
			return
		}
		encoded, err := s.feed.at(now, s.encodeOverview)
		if err != nil {
			s.Logger.Error("admin stream ended", "error", err)
			return
		}
		if !writeEvent(w, now, opening+"event: overview\ndata: ", forViewer(encoded, session)) {
			return
		}
		opening = ""
		tick.Reset(s.feed.next(now))
	}
}

// writeEvent writes one event and reports whether the client received it. The server's
// write timeout is for a whole answer; here each event gets its own deadline.
func writeEvent(w http.ResponseWriter, now time.Time, head string, data []byte) bool {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(now.Add(streamPatience)) // an error means that the writer has no deadline to extend
	event := append(append([]byte(head), data...), "\n\n"...)
	if _, err := w.Write(event); err != nil {
		return false
	}
	return c.Flush() == nil
}
