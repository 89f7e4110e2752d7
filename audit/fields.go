package audit

import (
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"osgate/record"
)

// The kinds of lines.
const (
	kindBegin    = "begin"    // the first line of a file
	kindResume   = "resume"   // a process continues a file
	kindEnd      = "end"      // a process has ended in an orderly way
	kindTorn     = "torn"     // a crash left an incomplete line, which this line replaces
	kindGap      = "gap"      // lines are missing here
	kindRefusals = "refusals" // more refusals of unidentified clients, without lines of their own
	kindExchange = "exchange"
	kindAction   = "action"
)

// Action is an action of an operator on the admin listener. It must not contain a
// secret, a value or the key of an object.
type Action struct {
	Time       time.Time
	Name       string // "purge"
	Actor      string // how the operator was identified: "token", "loopback"
	RemoteAddr string
	RequestID  string
	Status     int // of the answer
	Parameters []Parameter
}

// Parameter is a parameter of an [Action].
type Parameter struct{ Name, Value string }

// Concerns reports whether an exchange gets a line: a write or delete of Object Store,
// with any outcome, and each refusal for lack of identity or rights.
func Concerns(x *record.Exchange) bool {
	return refused(x) || x.Surface == record.SurfaceObjectStore && x.Operation != "" && writes(x.Method)
}

// refused reports whether the client was refused because of its identity or its rights,
// by the gateway or by upstream.
func refused(x *record.Exchange) bool {
	return x.Denied || x.Status == http.StatusUnauthorized || x.Status == http.StatusForbidden
}

func writes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// Keep implements [record.Keeper]: an exchange that [Concerns] selects gets a line. It
// never waits.
func (w *Writer) Keep(x *record.Exchange) {
	if !Concerns(x) {
		return
	}
	now := time.Now()
	if x.Principal == "" && !w.queue.admits(now) {
		return
	}
	room, _ := w.rooms.Get().(*[]byte)
	*room = append(ofExchange((*room)[:0], x), '\n')
	w.queue.add(*room, now)
	w.rooms.Put(room)
}

// admits reports whether a refusal of a client that was not identified gets a line.
func (q *queue) admits(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settle(now)
	if q.allowed++; q.allowed > maxUnidentified {
		q.more.add(1, now)
		return false
	}
	return true
}

// Act adds the line of an action. It never waits.
func (w *Writer) Act(a Action) { w.queue.add(append(ofAction(nil, a), '\n'), time.Now()) }

// fields are the members of a line between prev and its checksum, without braces.
type fields []byte

// begin starts the members of a line.
func begin(b fields, at time.Time, kind string) fields {
	b = append(b, `"time":"`...)
	b = at.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","kind":"`...)
	b = append(b, kind...)
	return append(b, '"')
}

// ofExchange appends the line of an exchange. The time of the line is its end.
func ofExchange(b fields, x *record.Exchange) fields {
	b = begin(b, x.Start.Add(x.Duration), kindExchange)
	b = b.text("request_id", x.ID)
	b = b.text("caused_by", x.CausedBy)
	b = b.text("principal", x.Principal)
	b = b.text("user", x.User)
	b = b.text("identified_by", x.IdentifiedBy)
	b = b.text("issuer", x.Issuer)
	b = b.text("remote_addr", x.RemoteAddr)
	if x.ClientAddr != x.RemoteAddr {
		b = b.text("client_addr", x.ClientAddr)
	}
	b = b.text("method", x.Method)
	b = b.text("surface", string(x.Surface))
	b = b.text("operation", x.Operation)
	b = b.text("plane", x.Plane)
	b = b.text("region", x.Region)
	b = b.text("organization", x.Organization)
	b = b.text("environment", x.Environment)
	b = b.text("store", x.Store)
	b = b.number("status", uint64(max(0, x.Status)))
	b = b.text("code", string(x.Code))
	b = b.text("cause", x.Cause)
	b = b.text("rule", x.Rule)
	if x.Denied {
		b = append(b, `,"denied":true`...)
	}
	if x.Aborted {
		b = append(b, `,"aborted":true`...)
	}
	b = b.text("upstream_client", x.UpstreamClient)
	if x.UpstreamAttempts > 0 {
		b = b.number("upstream_status", uint64(max(0, x.UpstreamStatus)))
		b = b.text("upstream_request_id", x.UpstreamRequestID)
	}
	return b
}

// ofAction appends the line of an action.
func ofAction(b fields, a Action) fields {
	b = begin(b, a.Time, kindAction)
	b = b.text("request_id", a.RequestID)
	b = b.text("action", a.Name)
	b = b.text("principal", a.Actor)
	b = b.text("remote_addr", a.RemoteAddr)
	b = b.number("status", uint64(max(0, a.Status)))
	if len(a.Parameters) == 0 {
		return b
	}
	b = append(b, `,"parameters":[`...)
	for i, p := range a.Parameters {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = append(b.quote(p.Name), ',')
		b = append(b.quote(p.Value), ']')
	}
	return append(b, ']')
}

// text appends a member; none if the value is empty.
func (b fields) text(name, value string) fields {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return b.quote(value)
}

func (b fields) number(name string, value uint64) fields {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendUint(b, value, 10)
}

// maxText is the maximum length of a text in bytes: that of the longest name of a
// client. A longer text is cut, and ends in "…".
const maxText = 2048

func (b fields) quote(value string) fields {
	if len(value) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	b, _ = jsontext.AppendQuote(b, value) // its error is invalid UTF-8, which it replaces
	return b
}
