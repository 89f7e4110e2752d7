// Package sdnotify reports the state of this process to systemd, as sd_notify(3) does:
// that it is ready, reads its files again, stops, and is alive.
//
// The idea a reader needs: each report is one datagram to the socket in NOTIFY_SOCKET.
// Without that variable there is no [Notifier]; the methods of a nil Notifier do
// nothing, so that callers need no condition.
package sdnotify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Notifier sends reports to systemd. It is safe for concurrent use.
type Notifier struct {
	address  net.UnixAddr
	watchdog time.Duration // 0: systemd expects no signs of life
}

// New returns a Notifier for the variables NOTIFY_SOCKET, WATCHDOG_USEC and
// WATCHDOG_PID of the process pid, which lookup returns, "" if one is not set. It
// returns nil without NOTIFY_SOCKET. A socket is a path or, with @ as its first
// character, a name in the abstract namespace; every other form is an error.
func New(lookup func(name string) string, pid int) (*Notifier, error) {
	socket := lookup("NOTIFY_SOCKET")
	if socket == "" {
		return nil, nil //nolint:nilnil // a process that systemd did not start has no Notifier
	}
	if socket[0] != '/' && socket[0] != '@' || len(socket) < 2 {
		return nil, fmt.Errorf("NOTIFY_SOCKET %q is neither a path nor an abstract name", socket)
	}
	n := &Notifier{address: net.UnixAddr{Net: "unixgram", Name: socket}}
	every := lookup("WATCHDOG_USEC")
	if owner := lookup("WATCHDOG_PID"); every == "" || owner != "" && owner != strconv.Itoa(pid) {
		return n, nil // the watchdog is off, or is that of another process
	}
	usec, err := strconv.ParseInt(every, 10, 64)
	if err != nil || usec <= 0 || usec > int64(maxWatchdog/time.Microsecond) {
		return nil, fmt.Errorf("WATCHDOG_USEC %q is not a number of microseconds", every)
	}
	n.watchdog = time.Duration(usec) * time.Microsecond
	return n, nil
}

// maxWatchdog bounds the interval of the watchdog; a longer one is a mistake.
const maxWatchdog = 365 * 24 * time.Hour

// Ready reports that the process serves, at the start and after [Notifier.Reloading].
// Status is one line for people.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", state(status)) }

// Reloading reports that the process reads its files again. [Notifier.Ready] must
// follow.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10), state("reloading"))
}

// Stopping reports that the process ends, and that it needs the duration within for
// that at most.
func (n *Notifier) Stopping(status string, within time.Duration) error {
	return n.send("STOPPING=1", "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(within.Microseconds(), 10), state(status))
}

// statusEvery is the interval at which [Notifier.Run] looks for a new status.
const statusEvery = 5 * time.Second

// Run reports a changed status and, if systemd's watchdog is on, signs of life, until
// ctx ends. Status must return one line for people. While it does not return there are
// no signs of life, so that it should wait for everything without which the process
// cannot work. Run calls failed for the first report that fails after one that did not.
// It returns nil.
func (n *Notifier) Run(ctx context.Context, status func() string, failed func(error)) error {
	if n == nil {
		return nil
	}
	every := statusEvery
	if n.watchdog > 0 {
		every = min(every, n.watchdog/2)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, broken := "", false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := status()
		err := n.report(now, now != last)
		if err != nil && !broken {
			failed(err)
		}
		last, broken = now, err != nil
	}
}

// report sends a sign of life, if one is expected, with the status if that is new.
func (n *Notifier) report(status string, isNew bool) error {
	var lines []string
	if n.watchdog > 0 {
		lines = append(lines, "WATCHDOG=1")
	}
	if isNew {
		lines = append(lines, state(status))
	}
	if len(lines) == 0 {
		return nil
	}
	return n.send(lines...)
}

// state returns the assignment of a status, which is one line.
func state(status string) string {
	return "STATUS=" + strings.Join(strings.FieldsFunc(status, func(r rune) bool { return r < ' ' }), " ")
}

// sendWithin bounds how long a report waits for room in the socket of a busy systemd.
const sendWithin = time.Second

// send sends one report: a datagram with a line for each assignment. Like sd_notify it
// connects for each, so that a new socket at the same address is used.
func (n *Notifier) send(lines ...string) error {
	if n == nil {
		return nil
	}
	c, err := net.DialUnix(n.address.Net, nil, &n.address)
	if err != nil {
		return fmt.Errorf("connecting to systemd: %w", err)
	}
	err = c.SetWriteDeadline(time.Now().Add(sendWithin))
	if err == nil {
		_, err = c.Write([]byte(strings.Join(lines, "\n")))
	}
	if err = errors.Join(err, c.Close()); err != nil {
		return fmt.Errorf("sending to systemd: %w", err)
	}
	return nil
}
