package top

import (
	"bytes"
	"os"
)

// keyboard reads keys while frames are shown.
type keyboard struct {
	file    *os.File      // a terminal, or nil: no keys are read
	quit    chan struct{} // closed when a key requests the end
	restore func()        // restores the terminal's former mode; nil: the mode is unchanged
}

// newKeyboard reads keys from in until the process ends, if in is a terminal.
func newKeyboard(in any) *keyboard {
	k := &keyboard{quit: make(chan struct{})}
	f, ok := in.(*os.File)
	if !ok || !isTerminal(f) {
		return k
	}
	k.file = f
	go k.read()
	return k
}

// read closes quit at the first q, Q or Ctrl-D. It reads until the process ends,
// because a read from a terminal cannot be canceled.
func (k *keyboard) read() {
	const keys = "qQ\x04"
	pressed := make([]byte, 64)
	for {
		n, err := k.file.Read(pressed)
		if bytes.ContainsAny(pressed[:n], keys) || n == 0 && err == nil {
			close(k.quit)
			return
		}
		if err != nil { // the terminal was closed, which SIGHUP reports
			return
		}
	}
}

// take starts to read keys without showing them.
func (k *keyboard) take() {
	if k.file != nil && k.restore == nil {
		k.restore = mute(k.file)
	}
}

// release lets the terminal show keys again.
func (k *keyboard) release() {
	if k.restore != nil {
		k.restore()
		k.restore = nil
	}
}
