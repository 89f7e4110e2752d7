package top

import (
	"cmp"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// screen is the output for frames.
type screen struct {
	out    io.Writer
	file   *os.File // a terminal, or nil
	pipe   bool     // the output is not a terminal
	dumb   bool     // the terminal does not support escape sequences
	color  bool
	keys   *keyboard
	lookup func(name string) string // reads a variable of the environment
}

// The size of a frame if the size of the terminal is unknown. Output that is not a
// terminal gets a width that a long name fits in.
const (
	defaultWidth  = 80
	defaultHeight = 24
	pipeWidth     = 120
	maxWidth      = 1000
)

// The escape sequences of ECMA-48 and xterm. They switch to the alternate screen, so
// that the former content can be restored, hide the cursor, and turn off line wrapping.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	eraseRight  = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// size returns columns and lines as reported by the terminal, otherwise by the
// environment.
func (s *screen) size() (width, height int) {
	if s.file != nil {
		width, height = windowSize(s.file)
	}
	width, height = cmp.Or(width, s.number("COLUMNS"), defaultWidth), cmp.Or(height, s.number("LINES"), defaultHeight)
	return min(width, maxWidth), height
}

// columns returns the width of a frame that is shown once.
func (s *screen) columns() int {
	if s.pipe {
		return min(cmp.Or(s.number("COLUMNS"), pipeWidth), maxWidth)
	}
	width, _ := s.size()
	return width
}

// number returns the value of a variable that is a whole number above 0, otherwise 0.
func (s *screen) number(name string) int {
	n, err := strconv.Atoi(s.lookup(name))
	if err != nil || n < 1 {
		return 0
	}
	return n
}

func (s *screen) write(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

// draw replaces the last frame in one write. Each line is erased before it is written:
// after a full line, the cursor is still on its last character.
func (s *screen) draw(frame string, height int) error {
	frame = homeCursor + eraseRight + strings.ReplaceAll(frame, "\n", "\r\n"+eraseRight)
	if strings.Count(frame, "\n")+1 < height {
		frame += "\r\n" + eraseBelow
	}
	return s.write(frame)
}

// watched describes an overview that is shown again and again.
type watched struct {
	source   string
	interval time.Duration
	client   string // the id of the client that is open at first; empty: none
	ask      func(ctx context.Context, client string) (overview, error)
	changes  <-chan os.Signal // of the terminal, see windowChanges
}

// watch shows o and then each new overview, until ctx ends or q is pressed. It restores
// the terminal in any case. While the gateway does not answer, the last overview stays,
// in faint text. It returns an error of the terminal.
func watch(ctx context.Context, s *screen, o overview, w watched) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { // also after a panic
		if left := s.leave(); err == nil {
			err = left
		}
	}()
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	lost, chosen := loss{}, choice{client: w.client}
	for {
		width, height := s.size()
		shown := frame(o, view{
			width: width, height: height, color: s.color, source: w.source, lost: lost.String(), choice: chosen,
		})
		if err := s.draw(shown, height); err != nil {
			return err
		}
		var due bool // a new overview
		select {
		case <-ctx.Done():
			return nil
		case key := <-s.keys.pressed:
			before := chosen.client
			var end bool
			if chosen, end = chosen.press(key, chosen.first(o)); end {
				return nil
			}
			due = chosen.client != "" && chosen.client != before
		case change := <-w.changes:
			if err := s.stopFor(change); err != nil {
				return err
			}
		case <-tick.C:
			due = true
		}
		if !due {
			continue
		}
		next, err := w.ask(ctx, chosen.client)
		if ctx.Err() != nil {
			return nil
		}
		if lost.record(err, time.Now()); err == nil {
			o = next
		}
	}
}

// stopFor stops the process if change is the signal to stop (Ctrl-Z). The terminal is
// restored until the process continues.
func (s *screen) stopFor(change os.Signal) error {
	if !isStop(change) {
		return nil
	}
	if err := s.leave(); err != nil {
		return err
	}
	if err := stopSelf(); err != nil {
		return err
	}
	return s.enter()
}

// enter prepares the terminal for frames.
func (s *screen) enter() error {
	s.keys.take()
	return s.write(enterScreen)
}

// leave restores the terminal.
func (s *screen) leave() error {
	s.keys.release()
	return s.write(leaveScreen)
}

// loss records that a gateway does not answer. The zero value means that it answers.
type loss struct {
	err   error
	since time.Time
}

// record records the result of the last request.
func (l *loss) record(err error, now time.Time) {
	if err != nil && l.err == nil {
		l.since = now
	}
	l.err = err
}

// String returns in one line since when and why the gateway does not answer; "" if it
// answers.
func (l *loss) String() string {
	if l.err == nil {
		return ""
	}
	return "NO ANSWER since " + clock(l.since) + ", retrying: " + l.err.Error()
}
