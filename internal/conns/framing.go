package conns

import (
	"bytes"
	"sync/atomic"
)

// framing follows the HTTP/1.x requests in the bytes that a server reads from one
// connection: request line, header section, body, next request. It finds the first
// request whose end two servers can place differently: one with Transfer-Encoding and
// Content-Length, or one of HTTP/1.0 with Transfer-Encoding (RFC 9112 sections 6.1 and
// 6.3). net/http hides such requests: it deletes one of the two fields.
//
// It agrees with net/http on the end of each request. A request that it cannot follow
// counts as ambiguous; net/http refuses such requests too. It stores a few numbers and
// no bytes. The zero value is a new connection. Calls of scan must not overlap;
// ambiguous may be called at any time.
type framing struct {
	first    atomic.Int64 // number of the first ambiguous request, from 1; 0: none yet
	requests int64        // header sections that are complete

	begun  bool   // a byte of the next request, or of an empty line before it, was read
	step   step   // the element that the next byte belongs to
	place  uint8  // matched bytes of the word that is being compared
	blanks uint8  // bytes of empty lines that may still precede a request line
	post   bool   // the request is a POST
	old    bool   // the request's version is HTTP/1.0
	fields fields // of the header section
	body   body
}

// step is the element that the next byte belongs to.
type step uint8

const (
	stepLeading   step = iota // empty lines before a request line
	stepMethod                // the method
	stepTarget                // the request target
	stepVersion               // the protocol version
	stepLine                  // the first byte of a line of a section
	stepBlank                 // the LF of an empty line
	stepName                  // a field name
	stepSkip                  // the rest of a line that is ignored
	stepLength                // the value of a Content-Length field
	stepLengthLF              // the LF after a Content-Length field
	stepContent               // a body of a known length
	stepSize                  // the size of a chunk
	stepSizeBlank             // white space after the size of a chunk
	stepExtension             // the extensions of a chunk
	stepSizeLF                // the LF after a chunk's size
	stepChunk                 // the data of a chunk
	stepChunkCR               // the CR after it
	stepChunkLF               // the LF after that CR
	stepStopped               // no element: a request was ambiguous
)

// maxLeading is how many bytes of empty lines net/http skips after a POST.
const maxLeading = 4

// stop ends the scan: the current request is ambiguous or, within a body, the next one
// is.
func (f *framing) stop() {
	f.step = stepStopped
	f.first.Store(f.requests + 1)
}

// scan processes the bytes that were read next.
func (f *framing) scan(p []byte) {
	for len(p) > 0 {
		switch f.step {
		case stepStopped:
			return
		case stepSkip:
			p = f.skip(p)
		case stepTarget:
			p = f.target(p)
		case stepContent, stepChunk:
			p = f.content(p)
		default:
			f.take(p[0])
			p = p[1:]
		}
	}
}

// skip ignores the rest of a line, and returns the rest of p.
func (f *framing) skip(p []byte) []byte {
	_, rest, found := bytes.Cut(p, []byte("\n"))
	if found {
		f.step = stepLine
	}
	return rest
}

// take processes one byte.
func (f *framing) take(b byte) {
	switch f.step {
	case stepLeading:
		f.leading(b)
	case stepMethod:
		f.method(b)
	case stepVersion:
		f.version(b)
	case stepLine, stepBlank:
		f.line(b)
	case stepName:
		f.name(b)
	case stepLength, stepLengthLF:
		f.length(b)
	default:
		f.chunk(b)
	}
}

// begin begins the next request.
func (f *framing) begin() {
	f.blanks = 0
	if f.post {
		f.blanks = maxLeading
	}
	f.step, f.old, f.begun = stepLeading, false, false
}

// leading skips empty lines before a request line where net/http does.
func (f *framing) leading(b byte) {
	f.begun = true
	if f.blanks > 0 && (b == '\r' || b == '\n') {
		f.blanks--
		return
	}
	f.step, f.place = stepMethod, 0
	f.method(b)
}

// method processes a byte of the method.
func (f *framing) method(b byte) {
	const post = "POST"
	switch {
	case b == '\n':
		f.stop()
	case b == ' ':
		f.post = int(f.place) == len(post)
		f.step = stepTarget
	default:
		f.place = matched(post, f.place, b)
	}
}

// differs is the value of place after a byte that differs from the word.
const differs = 255

// matched returns how many bytes of word have matched after b, if the first place bytes
// matched before it, and differs if b is another byte.
func matched(word string, place uint8, b byte) uint8 {
	if int(place) < len(word) && word[place] == b {
		return place + 1
	}
	return differs
}

// target processes bytes of the request target up to the space after it, and returns
// the rest of p.
func (f *framing) target(p []byte) []byte {
	for i, b := range p {
		switch b {
		case ' ':
			f.step, f.place = stepVersion, 0
			return p[i+1:]
		case '\n':
			f.stop()
			return nil
		}
	}
	return nil
}

// version processes a byte of the protocol version.
func (f *framing) version(b byte) {
	const old = "HTTP/1.0"
	switch {
	case b == '\n':
		f.old = int(f.place) >= len(old) && f.place != differs
		f.lines(sectionHeader)
	case b == '\r' && int(f.place) == len(old):
		f.place++ // the end of the line, or net/http refuses the request
	default:
		f.place = matched(old, f.place, b)
	}
}

// body is the position in a request's body.
type body struct {
	left   uint64 // remaining bytes of the body, or of the chunk
	digits uint8  // digits of the chunk's size that were read
}

// maxDigits is how many digits of a chunk's size net/http reads.
const maxDigits = 16

// content skips bytes of a body or of a chunk, and returns the rest of p.
func (f *framing) content(p []byte) []byte {
	if n := uint64(len(p)); n < f.body.left {
		f.body.left -= n
		return nil
	}
	p = p[f.body.left:]
	f.body = body{}
	if f.step == stepContent {
		f.begin()
	} else {
		f.step = stepChunkCR
	}
	return p
}

// chunk processes a byte between the data of chunks (RFC 9112 section 7.1).
func (f *framing) chunk(b byte) {
	switch f.step {
	case stepSize:
		f.size(b)
	case stepSizeBlank: // net/http accepts no extension after white space
		if b != ' ' && b != '\t' {
			f.expect('\r', b, stepSizeLF)
		}
	case stepExtension:
		f.extension(b)
	case stepSizeLF:
		f.sized(b)
	case stepChunkCR:
		f.expect('\r', b, stepChunkLF)
	case stepChunkLF:
		f.expect('\n', b, stepSize)
	default:
		f.stop()
	}
}

// expect continues with step next if b is the byte that must follow.
func (f *framing) expect(want, b byte, next step) {
	f.step = next
	if b != want {
		f.stop()
	}
}

// size processes a byte of a chunk's size.
func (f *framing) size(b byte) {
	digit := hexadecimal(b)
	switch {
	case digit < 16 && f.body.digits < maxDigits:
		f.body.left, f.body.digits = f.body.left<<4|uint64(digit), f.body.digits+1
	case digit < 16 || f.body.digits == 0:
		f.stop()
	case b == ';':
		f.step = stepExtension
	case b == ' ' || b == '\t':
		f.step = stepSizeBlank
	default:
		f.expect('\r', b, stepSizeLF)
	}
}

// hexadecimal returns the value of a hexadecimal digit, 16 for any other byte.
func hexadecimal(b byte) byte {
	switch {
	case '0' <= b && b <= '9':
		return b - '0'
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10
	}
	return 16
}

// extension processes a byte of a chunk's extensions.
func (f *framing) extension(b byte) {
	switch b {
	case '\r':
		f.step = stepSizeLF
	case '\n':
		f.stop()
	}
}

// sized processes the LF after a chunk's size. A size of 0 ends the data; trailers
// follow.
func (f *framing) sized(b byte) {
	switch {
	case b != '\n':
		f.stop()
	case f.body.left == 0:
		f.lines(sectionTrailer)
	default:
		f.step = stepChunk
	}
}
