package proxy

import (
	"errors"
	"io"

	"osgate/policy"
)

// heldBody is a request body that is judged while it streams. It holds back the last
// byte until the whole body has been judged: without that byte upstream does not
// receive a complete request.
type heldBody struct {
	*requestBody
	judge  *policy.Judge
	decide func(policy.Head) error // called once, with the facts about the whole body

	last  byte // held back
	holds bool
	end   error // the error after the last byte; nil: the body has not ended
}

// Read implements [io.Reader].
func (b *heldBody) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil && len(p) > 0 {
		n, err = b.readSome(p)
	}
	return n, err
}

// readSome is Read, but may return 0 bytes without an error if the only byte is held
// back.
func (b *heldBody) readSome(p []byte) (int, error) {
	if b.end != nil {
		return b.release(p)
	}
	n := 0
	var spare [1]byte
	room := p
	if b.holds {
		p[0], n, room = b.last, 1, p[1:]
	}
	if len(room) == 0 {
		room = spare[:]
	}
	read, err := b.requestBody.Read(room)
	_, _ = b.judge.Write(room[:read]) // never fails
	if errors.Is(err, io.EOF) {
		if refused := b.decide(b.judge.Head(true)); refused != nil {
			err = refused
			b.noteRead(nil, err)
		}
	}
	if b.end = err; err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if read == 0 { // the held byte is in p already
		b.holds = b.holds && b.end == nil
		if b.end == nil {
			n = 0
		}
		return n, b.end
	}
	b.last, b.holds = room[read-1], true
	return n + read - 1, nil
}

// release returns the held byte and the error after it.
func (b *heldBody) release(p []byte) (int, error) {
	if !b.holds || !errors.Is(b.end, io.EOF) {
		return 0, b.end
	}
	p[0], b.holds = b.last, false
	return 1, b.end
}
