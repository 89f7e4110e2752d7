package conns

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
