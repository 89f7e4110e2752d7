package main

import (
	"bytes"
	"os"
)

// keyboard is where keys are pressed while frames are shown.
type keyboard struct {
	file    *os.File      // of a terminal, else nil: nobody presses any
	quit    chan struct{} // closed when somebody wants to go
	restore func()        // the terminal's way with keys from before; nil: it is as it was
}

// newKeyboard reads keys from in until the process ends, if that is a terminal.
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

// read closes quit at the first q, Q or Ctrl-D. It waits for keys as long as the process lives: a read of a terminal cannot be broken off.
func (k *keyboard) read() {
	const keys = "qQ\x04"
	pressed := make([]byte, 64)
	for {
		n, err := k.file.Read(pressed)
		if bytes.ContainsAny(pressed[:n], keys) || n == 0 && err == nil {
			close(k.quit)
			return
		}
		if err != nil { // the terminal is gone, and SIGHUP says so
			return
		}
	}
}

// take begins to take keys without showing them.
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
