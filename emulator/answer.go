package emulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// answer is a complete response, built before it is sent.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// jsonAnswer returns an answer with v as its body.
func jsonAnswer(status int, v any) answer {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("emulator: an answer that does not marshal: " + err.Error()) // all types are this package's own
	}
	return answer{
		status, http.Header{"Content-Type": {"application/json"}}, bytes.TrimSuffix(body.Bytes(), []byte("\n")),
	}
}

// emptyAnswer returns an answer without a body.
func emptyAnswer(status int) answer { return answer{status: status, header: http.Header{}} }

// succeeded reports whether the status is 2xx.
func (a answer) succeeded() bool { return a.status >= 200 && a.status < 300 }

// send sends the answer.
func (a answer) send(w http.ResponseWriter) {
	a.writeHeader(w)
	_, _ = w.Write(a.body) // the client may have closed its connection
}

func (a answer) writeHeader(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	if len(a.body) > 0 || a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
}

// slowness is the duration of a slow answer.
const slowness = time.Second

// sendFaulty sends the answer with the fault.
func (a answer) sendFaulty(w http.ResponseWriter, r *http.Request, fault faultKind) {
	switch fault {
	case resetFault:
		reset(w)
	case cutFault:
		if len(a.body) > 0 {
			a.writeHeader(w)
			_, _ = w.Write(a.body[:len(a.body)/2])
			_ = http.NewResponseController(w).Flush()
		}
		panic(http.ErrAbortHandler)
	case slowFault:
		a.sendSlowly(w, r)
	default:
		a.send(w)
	}
}

// sendSlowly sends the answer in ten parts over a second.
func (a answer) sendSlowly(w http.ResponseWriter, r *http.Request) {
	const parts = 10
	if len(a.body) == 0 {
		wait(r, slowness)
		a.send(w)
		return
	}
	a.writeHeader(w)
	for i := range parts {
		_, err := w.Write(a.body[len(a.body)*i/parts : len(a.body)*(i+1)/parts])
		if err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		wait(r, slowness/parts)
	}
}

// reset ends the connection with a TCP reset, or, if that is impossible (HTTP/2),
// aborts the exchange.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	under := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		under = t.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // makes Close send RST
		under.Close()
		return
	}
	conn.Close()
}

// wait waits for d, or until the client has closed its connection.
func wait(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
