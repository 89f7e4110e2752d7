package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"strings"
	"time"
)

// screen is where frames are shown.
type screen struct {
	out    io.Writer
	file   *os.File // of a terminal, else nil
	pipe   bool     // no terminal
	dumb   bool     // a terminal that obeys no escape sequence
	color  bool
	keys   *keyboard
	lookup func(name string) string // of the environment
}

// The escape sequences of ECMA-48 and xterm: the other screen, so that what was on this one comes back; no cursor; and no line that goes on in the next.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	eraseRight  = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// size returns columns and lines as the terminal says them, else as the environment does.
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

func (s *screen) write(text string) error {
	_, err := io.WriteString(s.out, text)
	return err
}

// draw puts a frame in the place of the one before, in one piece. Each line is erased before it is written: after it, the cursor of a line that is full
// stands on its last character.
func (s *screen) draw(frame string, height int) error {
	frame = homeCursor + eraseRight + strings.ReplaceAll(frame, "\n", "\r\n"+eraseRight)
	if strings.Count(frame, "\n")+1 < height {
		frame += "\r\n" + eraseBelow
	}
	return s.write(frame)
}

// watched is what is shown again and again.
type watched struct {
	source   string
	interval time.Duration
	ask      func(context.Context) (overview, error)
	changes  <-chan os.Signal // of the terminal: as windowChanges tells them
}

// watch shows o and then what it asks for, until ctx ends or somebody presses q. However it returns, the terminal is as it was. While the gateway does
// not answer, the last overview stays, faint. It returns what went wrong with the terminal.
func watch(ctx context.Context, s *screen, o overview, w watched) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer func() { // after a panic too
		if left := s.leave(); err == nil {
			err = left
		}
	}()
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	lost := loss{}
	for {
		width, height := s.size()
		shown := frame(o, view{width: width, height: height, color: s.color, source: w.source, lost: lost.String()})
		if err := s.draw(shown, height); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.keys.quit:
			return nil
		case change := <-w.changes:
			if err := s.stopFor(change); err != nil {
				return err
			}
		case <-tick.C:
			next, err := w.ask(ctx)
			if ctx.Err() != nil {
				return nil
			}
			if lost.tell(err, time.Now()); err == nil {
				o = next
			}
		}
	}
}

// stopFor stops the process where change is the wish to stop it (Ctrl-Z), with the terminal as it was until it goes on.
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

// enter takes the terminal for frames.
func (s *screen) enter() error {
	s.keys.take()
	return s.write(enterScreen)
}

// leave gives it back as it was.
func (s *screen) leave() error {
	s.keys.release()
	return s.write(leaveScreen)
}

// loss is a gateway that does not answer. The zero loss is one that does.
type loss struct {
	err   error
	since time.Time
}

// tell takes how the last question ended.
func (l *loss) tell(err error, now time.Time) {
	if err != nil && l.err == nil {
		l.since = now
	}
	l.err = err
}

// String says since when and why, in one line; empty where nothing is lost.
func (l *loss) String() string {
	if l.err == nil {
		return ""
	}
	return "NO ANSWER since " + clock(l.since) + ", retrying: " + l.err.Error()
}
