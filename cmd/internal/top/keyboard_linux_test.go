package top

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudoTerminal returns a pseudo terminal: bytes written to hold are the keys that
// program reads.
func pseudoTerminal(t *testing.T) (hold, program *os.File) {
	t.Helper()
	hold, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hold.Close() })
	if err := unix.IoctlSetPointerInt(int(hold.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(hold.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return hold, program
}

// modes returns the flags of a terminal that control how keys are handled.
func modes(t *testing.T, f *os.File) uint32 {
	t.Helper()
	settings, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return settings.Lflag & (unix.ECHO | unix.ICANON | unix.ISIG)
}

// TestTopEndsAtOneKeyThatIsNotShown also checks that the terminal's mode is restored.
func TestTopEndsAtOneKeyThatIsNotShown(t *testing.T) {
	for name, keys := range map[string]string{"q": "xyq", "Q": "Q", "Ctrl-D": "\x04"} {
		t.Run(name, func(t *testing.T) {
			hold, program := pseudoTerminal(t)
			before := modes(t, program)
			out, _ := terminal()
			out.keys = newKeyboard(program)
			ended := make(chan error, 1)
			shown := make(chan struct{}, 1)
			go func() {
				ended <- watch(t.Context(), out, overview{}, watched{interval: time.Hour, changes: nil, source: "x"})
			}()
			go func() { // until top has set the mode
				for modes(t, program) == before {
					<-time.After(time.Millisecond)
				}
				close(shown)
			}()
			<-shown
			if got := modes(t, program); got != unix.ISIG {
				t.Errorf("modes %b, want those of signals alone", got)
			}
			if _, err := hold.WriteString(keys); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if got := modes(t, program); got != before {
				t.Errorf("modes %b afterwards, were %b", got, before)
			}
		})
	}
}

func TestKeysOfNoTerminalAreNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if _, err := w.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	k := newKeyboard(r)
	k.take()
	k.release()
	if k.file != nil {
		t.Error("a pipe is taken for a keyboard")
	}
}
