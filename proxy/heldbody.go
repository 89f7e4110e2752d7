package proxy

import (
	"errors"
	"io"

	"osgate/policy"
)

// heldBody is a body that is judged while it streams. Its last byte is held back until all of it has been judged: a server that gets the others alone has got
// no complete request.
type heldBody struct {
	*requestBody
	judge   *policy.Judge
	verdict func(policy.Head) error // asked once, with what all of the body tells

	last  byte // held back
	holds bool
	end   error // what follows last; nil: more of the body
}

// Read implements [io.Reader].
func (b *heldBody) Read(p []byte) (n int, err error) {
	for n == 0 && err == nil && len(p) > 0 {
		n, err = b.some(p)
	}
	return n, err
}

// some is Read that may return nothing: what came is held back.
func (b *heldBody) some(p []byte) (int, error) {
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
		if refused := b.verdict(b.judge.Head(true)); refused != nil {
			err = refused
			b.note(nil, err)
		}
	}
	if b.end = err; err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if read == 0 { // what is held back is in p already
		b.holds = b.holds && b.end == nil
		if b.end == nil {
			n = 0
		}
		return n, b.end
	}
	b.last, b.holds = room[read-1], true
	return n + read - 1, nil
}

// release returns what is held back, and what follows it.
func (b *heldBody) release(p []byte) (int, error) {
	if !b.holds || !errors.Is(b.end, io.EOF) {
		return 0, b.end
	}
	p[0], b.holds = b.last, false
	return 1, b.end
}
