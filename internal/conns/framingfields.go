package conns

import (
	"math"
)

// fields holds the facts about the body that a section of lines contains.
type fields struct {
	section section
	opening bool   // no line of the section was read yet
	current field  // name of the current line
	encoded bool   // a Transfer-Encoding field was read
	counted bool   // a Content-Length field was read
	length  uint64 // value of the first Content-Length field
	number  number // position in the value of the current Content-Length field
	value   uint64 // value of the current Content-Length field so far
}

// section is the kind of lines that are read, up to an empty one.
type section uint8

const (
	sectionHeader section = iota
	sectionTrailer
)

// field is the name of a line, as far as it matters.
type field uint8

const (
	fieldOther field = iota
	fieldEncoding
	fieldLength
)

// The names of the two fields that frame a body.
const (
	nameEncoding = "transfer-encoding"
	nameLength   = "content-length"
)

// number is the position in the value of a Content-Length field.
type number uint8

const (
	numberNone   number = iota // no digit yet
	numberDigits               // digits
	numberOver                 // white space after the digits
)

// lines begins a section.
func (f *framing) lines(s section) {
	f.step = stepLine
	f.fields = fields{section: s, opening: true}
}

// line processes the first byte of a line, or the LF of an empty one. A line that
// begins with white space continues the value of the field before it (RFC 9112 section
// 5.2, obs-fold), except at the beginning of a section.
func (f *framing) line(b byte) {
	opening := f.fields.opening
	f.fields.opening = false
	switch {
	case b == '\n':
		if f.settle() {
			f.end()
		}
	case f.step == stepBlank:
		f.stop()
	case b == '\r':
		f.step = stepBlank
	case b == ' ' || b == '\t':
		f.fold(opening, b)
	default:
		if f.settle() {
			f.field(b)
		}
	}
}

// fold continues the value of the current field on another line.
func (f *framing) fold(opening bool, b byte) {
	switch {
	case opening:
		f.stop()
	case f.fields.current == fieldLength:
		f.step = stepLength
		f.length(b)
	default:
		f.step = stepSkip
	}
}

// field processes the first byte of a field's name.
func (f *framing) field(b byte) {
	f.step, f.place, f.fields.current = stepName, 0, fieldOther
	switch {
	case f.fields.section == sectionTrailer: // trailer fields do not frame a body
		f.step = stepSkip
	case b == 't' || b == 'T':
		f.fields.current = fieldEncoding
	case b == 'c' || b == 'C':
		f.fields.current = fieldLength
	default:
		f.step = stepSkip
	}
	if f.step == stepName {
		f.name(b)
	}
}

// name processes a byte of a field name that may be one of the two. net/http refuses a
// request with white space before the colon.
func (f *framing) name(b byte) {
	word := nameLength
	if f.fields.current == fieldEncoding {
		word = nameEncoding
	}
	if b == ':' && int(f.place) == len(word) {
		f.named()
		return
	}
	if 'A' <= b && b <= 'Z' {
		b += 'a' - 'A'
	}
	if f.place = matched(word, f.place, b); f.place != differs {
		return
	}
	f.fields.current = fieldOther
	f.step = stepSkip
	if b == '\n' { // a line without a colon, which net/http refuses
		f.step = stepLine
	}
}

// named records that the current field is one of the two.
func (f *framing) named() {
	if f.fields.current == fieldEncoding {
		f.fields.encoded = true
		f.step = stepSkip
		return
	}
	f.fields.number, f.fields.value = numberNone, 0
	f.step = stepLength
}

// length processes a byte of the value of a Content-Length field: only digits, with
// white space around them (RFC 9110 section 8.6). net/http refuses all other values.
func (f *framing) length(b byte) {
	s := &f.fields
	switch {
	case b == '\n':
		f.step = stepLine
	case f.step == stepLengthLF:
		f.stop()
	case b == '\r':
		f.step = stepLengthLF
	case b == ' ' || b == '\t':
		if s.number == numberDigits {
			s.number = numberOver
		}
	case b < '0' || b > '9' || s.number == numberOver || s.value > (math.MaxInt64-9)/10:
		f.stop()
	default:
		s.number, s.value = numberDigits, s.value*10+uint64(b-'0')
	}
}

// settle checks the value of a complete Content-Length field, and reports whether it
// can be followed: net/http refuses two different values, and a value without digits.
func (f *framing) settle() bool {
	s := &f.fields
	if s.current != fieldLength {
		return true
	}
	s.current = fieldOther
	if s.number == numberNone || s.counted && s.value != s.length {
		f.stop()
		return false
	}
	s.counted, s.length = true, s.value
	return true
}

// end ends a section. The body follows, or the next request.
func (f *framing) end() {
	switch {
	case f.fields.section == sectionTrailer:
		f.begin()
	case f.fields.encoded && (f.old || f.fields.counted):
		f.stop()
	default:
		f.requests++
		f.follow()
	}
}

// follow begins the body of the request whose header section is complete.
func (f *framing) follow() {
	switch {
	case f.fields.encoded:
		f.body = body{}
		f.step = stepSize
	case f.fields.length > 0:
		f.body = body{left: f.fields.length}
		f.step = stepContent
	default:
		f.begin()
	}
}
