package admin

import (
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	// maxStreams bounds the streams that are open: one for each page that somebody looks at.
	maxStreams = 16
	// streamLife is how long a stream lasts. The page opens the next one, for which it must still be logged in.
	streamLife = 10 * time.Minute
	// streamPatience is how long a stream's reader may take to read one overview.
	streamPatience = 10 * time.Second
	// streamRetry is when to try again where there are too many streams: they do not end soon.
	streamRetry = 30 * time.Second
	// feedStep is how often streams get an overview.
	feedStep = time.Second
)

// feed holds the overview of the step that is running, encoded once for all streams by whichever comes first.
type feed struct {
	start time.Time

	mu      sync.Mutex // guards all below; held while the overview is encoded, which every stream waits for
	step    int64      // that encoded is of; -1: none
	encoded []byte     // never written to
}

func newFeed() *feed { return &feed{start: time.Now(), step: -1} }

// at returns the overview of the step at now.
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

// next is how long after now the next step begins.
func (f *feed) next(now time.Time) time.Duration { return feedStep - now.Sub(f.start)%feedStep }

// stream answers with an overview at once and one in each second, as events (HTML Living Standard, section "Server-sent events"), until the client goes, its
// login expires, the server ends or streamLife is over.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		w.Header().Set("Retry-After", retryAfter(streamRetry))
		problem{Code: "too-many-streams", Status: http.StatusServiceUnavailable, Detail: "as many pages as this listener serves are open"}.write(w)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold events back
	if r.Method == http.MethodHead {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	s.events(w, r.WithContext(ctx))
}

// events writes the events of r's stream until r's context, its session or the server ends.
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

// writeEvent writes one event and reports whether its reader is still there. The server's time limit is for one answer; here it is for one event.
func writeEvent(w http.ResponseWriter, now time.Time, head string, data []byte) bool {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(now.Add(streamPatience)) // without support for it there is no limit to extend
	event := append(append([]byte(head), data...), "\n\n"...)
	if _, err := w.Write(event); err != nil {
		return false
	}
	return c.Flush() == nil
}
