package conns

// body is how far a request's body is.
type body struct {
	left   uint64 // bytes still to come of the body, or of the chunk
	digits uint8  // of the chunk's size
}

// maxDigits is how many digits of a chunk's size net/http reads.
const maxDigits = 16

// content drops bytes of a body or of a chunk, and returns the rest of p.
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

// chunk takes a byte of what is around the data of chunks (RFC 9112 section 7.1).
func (f *framing) chunk(b byte) {
	switch f.step {
	case stepSize:
		f.size(b)
	case stepSizeBlank: // net/http takes no extension after it
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

// expect goes on to next where b is the byte that must come.
func (f *framing) expect(want, b byte, next step) {
	f.step = next
	if b != want {
		f.stop()
	}
}

// size takes a byte of a chunk's size.
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

// hexadecimal returns the value of a digit, 16 for any other byte.
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

// extension takes a byte of a chunk's extensions.
func (f *framing) extension(b byte) {
	switch b {
	case '\r':
		f.step = stepSizeLF
	case '\n':
		f.stop()
	}
}

// sized takes the LF after a chunk's size. A size of 0 is the end of the data, and
// trailers follow.
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
