package e2e

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestAttackByHTTP2FramesAffectsNoOtherClient sends legal frames in numbers and orders
// that no client needs, and illegal frames (RFC 9113 sections 6 and 10.5).
func TestAttackByHTTP2FramesAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	checkAttacks(t, []attack{
		{name: "HTTP/2 header table size changes", tls: true, run: repeatFrames(2, tableSizes)},
		{name: "HTTP/2 rapid reset", tls: true, run: repeatFrames(4, rapidReset)},
		{name: "HTTP/2 endless CONTINUATION", tls: true, run: repeatFrames(4, endlessContinuation)},
		{name: "HTTP/2 SETTINGS flood", tls: true, run: repeatFrames(4, settingsFlood)},
		{name: "HTTP/2 PING flood", tls: true, run: repeatFrames(4, pingFlood)},
		{name: "HTTP/2 SETTINGS and PING flood, answers unread", tls: true, run: leaveHTTP2AnswersUnread},
		{name: "HTTP/2 empty DATA flood", tls: true, run: repeatFrames(4, emptyData)},
		{name: "HTTP/2 window games", tls: true, run: repeatFrames(4, invalidWindows)},
		{name: "HTTP/2 closed windows", tls: true, settings: exchangeSettings(), waitsUntilReady: true, run: closedWindows("x")},
		{name: "HTTP/2 closed windows, large headers", tls: true, settings: exchangeSettings(), waitsUntilReady: true, run: closedWindows(strings.Repeat("x", 30<<10))},
		{
			name: "HTTP/2 closed windows from many addresses", tls: true, settings: exchangeSettings(), addresses: fullConnections(),
			knownTokensOnly: true, waitsUntilReady: true, run: closedWindows("x"),
		},
		{name: "HTTP/2 wrong content lengths", tls: true, run: repeatFrames(4, wrongLengths)},
		{name: "HTTP/2 header bombs", tls: true, run: repeatFrames(4, headerBombs)},
	}...)
}

// repeatFrames lets n attackers write over connections of their own. Each opens a new
// connection when the gateway has closed the previous one.
func repeatFrames(n int, attack func(*http2Conn) error) func(*attackRun) {
	return func(a *attackRun) {
		a.parallel(n, func(int) {
			a.repeat(func() error {
				h, err := a.dialHTTP2()
				if err != nil {
					return err
				}
				for err == nil && !a.isOver() {
					err = attack(h)
					a.yield()
				}
				return errors.Join(err, h.Conn.Close())
			})
		})
	}
}

// tableSizes changes the size of the gateway's header table between requests. Go 1.26.8
// panics (CVE-2026-97032).
func tableSizes(h *http2Conn) error {
	for _, size := range []uint32{0, 4096, 1, 65_536, 128, 0} {
		err := h.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: size})
		if err != nil {
			return err
		}
		if _, err := h.request(false, h.encode("GET", keyOne, "x-request-id", "of-"+time.Now().Format("150405.000000"))); err != nil {
			return err
		}
	}
	return nil
}

// rapidReset opens streams and resets each at once (CVE-2023-44487).
func rapidReset(h *http2Conn) error {
	stream, err := h.request(false, h.encode("GET", keyOne, "authorization", "Bearer no-such-token"))
	if err != nil {
		return err
	}
	return h.WriteRSTStream(stream, http2.ErrCodeCancel)
}

// endlessContinuation sends a header block without an end (CVE-2023-45288).
func endlessContinuation(h *http2Conn) error {
	stream := h.nextStream()
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.encode("GET", keyOne)})
	for n := 0; err == nil && n < 10_000; n++ {
		err = h.WriteContinuation(stream, false, h.encode("GET", keyOne, "x-field", strings.Repeat("x", 8<<10))[10:])
	}
	return err
}

func settingsFlood(h *http2Conn) error {
	return h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65_535})
}

func pingFlood(h *http2Conn) error { return h.WritePing(false, [8]byte{1}) }

// leaveHTTP2AnswersUnread sends frames that require answers of the gateway, and reads
// no answer (CVE-2019-9512, CVE-2019-9515).
func leaveHTTP2AnswersUnread(a *attackRun) {
	a.parallel(16, func(int) {
		a.repeat(func() error {
			h, err := a.dialHTTP2WithoutReading()
			for n := 0; err == nil && !a.isOver(); n++ {
				err = errors.Join(settingsFlood(h), pingFlood(h))
				if n%100 == 0 {
					a.yield()
				}
			}
			if h != nil {
				_ = h.Conn.Close()
			}
			return err
		})
	})
}

// emptyData sends a body of many empty frames (CVE-2019-9518).
func emptyData(h *http2Conn) error {
	stream, err := h.request(true, h.encode("POST", "/accounts/login", "content-type", "application/json"))
	for n := 0; err == nil && n < 10_000; n++ {
		err = h.WriteData(stream, false, nil)
	}
	return err
}

// invalidWindows opens streams whose windows overflow, do not grow, or shrink below
// zero.
func invalidWindows(h *http2Conn) error {
	stream, err := h.request(false, h.encode("GET", keyOne))
	return errors.Join(err,
		h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
		h.WriteWindowUpdate(stream, 1<<31-1),
		h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}),
		h.WriteWindowUpdate(stream, 0),
	)
}

// closedWindows opens as many streams as the gateway allows, and replaces those that
// end. Each request has a header field with this value. It reads none of the answers'
// bytes.
func closedWindows(value string) func(*attackRun) {
	return func(a *attackRun) {
		a.parallelReady(fullConnections(), func(placed func()) {
			a.repeat(func() error {
				defer placed()
				h, err := a.dialHTTP2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				if err != nil {
					return err
				}
				for n := 0; err == nil && !a.isOver(); n++ {
					if n >= 250 && n%10 == 0 {
						placed()
						a.pause(500 * time.Millisecond)
					}
					_, err = h.request(false, h.encode("GET", keyOne, "x-field", value))
				}
				return errors.Join(err, h.Conn.Close())
			})
		})
	}
}

// wrongLengths sends requests whose content-length differs from their body's length
// (RFC 9113 section 8.1.1).
func wrongLengths(h *http2Conn) error {
	none, err := h.request(false, h.encode("PUT", demoKeys+"/lie", "content-length", "5"))
	_ = none
	if err != nil {
		return err
	}
	some, err := h.request(true, h.encode("PUT", demoKeys+"/lie", "content-length", "0"))
	if err = errors.Join(err, h.WriteData(some, true, []byte("data"))); err != nil {
		return err
	}
	two, err := h.request(true, h.encode("PUT", demoKeys+"/lie", "content-length", "4", "content-length", "8"))
	return errors.Join(err, h.WriteData(two, true, []byte("data")))
}

// headerBombs sends a few bytes that refer to a large field of the table again and
// again.
func headerBombs(h *http2Conn) error {
	first := bytes.Clone(h.encode("GET", keyOne, "x-bomb", strings.Repeat("x", 3000)))
	if _, err := h.request(false, first); err != nil {
		return err
	}
	again := bytes.Clone(h.encode("GET", keyOne, "x-bomb", strings.Repeat("x", 3000)))
	index := again[len(again)-1:]
	bomb := append(again, bytes.Repeat(index, 10_000)...)
	_, err := h.request(false, bomb)
	return err
}
