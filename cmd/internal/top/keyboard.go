package top

import "os"

// keyboard reads keys while frames are shown.
type keyboard struct {
	file    *os.File  // a terminal, or nil: no keys are read
	pressed chan byte // the keys; nil: none are read
	restore func()    // restores the terminal's former mode; nil: the mode is unchanged
}

// newKeyboard reads keys from in until the process ends, if in is a terminal.
func newKeyboard(in any) *keyboard {
	k := &keyboard{}
	f, ok := in.(*os.File)
	if !ok || !isTerminal(f) {
		return k
	}
	k.file, k.pressed = f, make(chan byte)
	go k.read()
	return k
}

// read passes on each key. It reads until the process ends, because a read from a
// terminal cannot be canceled.
func (k *keyboard) read() {
	pressed := make([]byte, 64)
	for {
		n, err := k.file.Read(pressed)
		for _, key := range pressed[:n] {
			k.pressed <- key
		}
		if n == 0 && err == nil { // Ctrl-D at a terminal whose mode could not be set
			k.pressed <- keyEnd
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
