package policy

// The bounds of a [Judge]. A body that exceeds one of them cannot be judged.
const (
	maxNesting = 64  // objects and arrays in each other, the top-level object included
	maxToken   = 256 // bytes of a name or a scalar value of the top-level object, as they stand in the text
)

// scanState is the next thing that a scanner expects.
type scanState uint8

const (
	atStart       scanState = iota // the top-level object
	wantValue                      // a value
	wantFirst                      // the first value of an array, or its end
	wantName                       // a member's name
	wantFirstName                  // the first member's name, or the object's end
	wantColon
	afterValue // a comma, or the end of the object or array
	atEnd      // white space
	inString
	inEscape
	inHex
	inWord // the rest of true, false or null
	broken // no more input: the text is not a JSON object, or exceeds a bound

	afterMinus // from here on: inside a number
	inZero
	inInteger
	afterPoint
	inFraction
	afterE
	afterSign
	inExponent
)

// scanner parses one JSON object (RFC 8259) in UTF-8 that arrives in pieces of any
// size. It reports the names and values of the object's direct members and holds one of
// them at a time. The zero value with both functions set is ready for use.
type scanner struct {
	named func(token []byte) // called at the end of a name; nil: it is longer than maxToken
	// Called at the end of a scalar value; nil: the value is longer than maxToken, or an
	// object or array.
	valued func(token []byte)

	state   scanState
	depth   int
	objects uint64 // bit n: the container at depth n+1 is an object, not an array
	name    bool   // the string is a name
	word    string // the rest of true, false or null that must follow
	hex     int    // hexadecimal digits that must follow

	follow    int  // bytes of a UTF-8 sequence that must follow
	low, high byte // the range of the next of these

	token []byte // of depth 1, as it stands in the text
	long  bool   // token is cut at maxToken
}

// feed parses p, the next piece of the text.
func (s *scanner) feed(p []byte) {
	for len(p) > 0 && s.state != broken {
		if s.state == inString && s.follow == 0 {
			n := plain(p)
			s.keep(p[:n])
			if p = p[n:]; len(p) == 0 {
				return
			}
		}
		s.next(p[0])
		p = p[1:]
	}
}

// plain returns the number of leading bytes of p that are ASCII and have no special
// meaning in a string.
func plain(p []byte) int {
	for i, c := range p {
		if c < ' ' || c >= 0x80 || c == '"' || c == '\\' {
			return i
		}
	}
	return len(p)
}

// keep appends p to the token if the token belongs to a direct member.
func (s *scanner) keep(p []byte) {
	if s.depth != 1 || s.long {
		return
	}
	if s.long = len(s.token)+len(p) > maxToken; !s.long {
		s.token = append(s.token, p...)
	}
}

// begin starts a token with c.
func (s *scanner) begin(state scanState, c byte) {
	s.state, s.token, s.long = state, s.token[:0], false
	s.keep([]byte{c})
}

// end ends a token.
func (s *scanner) end() {
	name := s.state == inString && s.name
	s.state = afterValue
	if name {
		s.state = wantColon
	}
	if s.depth != 1 {
		return
	}
	token := s.token
	if s.long {
		token = nil
	}
	if name {
		s.named(token)
	} else {
		s.valued(token)
	}
}

// next parses one byte.
func (s *scanner) next(c byte) {
	switch {
	case s.state > broken:
		if after := afterDigit(s.state, c); after != afterValue {
			s.state = after
			s.keep([]byte{c})
			return
		}
		s.end()
		s.between(c)
	case s.state == inString:
		s.inside(c)
	case s.state == inEscape, s.state == inHex:
		s.escaped(c)
	case s.state == inWord:
		if c != s.word[0] {
			s.state = broken
			return
		}
		s.keep([]byte{c})
		if s.word = s.word[1:]; s.word == "" {
			s.end()
		}
	default:
		s.between(c)
	}
}

// inside parses one byte of a string.
func (s *scanner) inside(c byte) {
	switch {
	case s.follow > 0 && (c < s.low || c > s.high):
		s.state = broken
		return
	case s.follow > 0:
		s.follow, s.low, s.high = s.follow-1, 0x80, 0xbf
	case c == '\\':
		s.state = inEscape
	case c < ' ', c >= 0x80 && !s.lead(c):
		s.state = broken
		return
	}
	s.keep([]byte{c})
	if c == '"' {
		s.end()
	}
}

// lead starts a UTF-8 sequence (RFC 3629 section 4) with c, and reports whether c is a
// valid first byte.
func (s *scanner) lead(c byte) bool {
	s.low, s.high = 0x80, 0xbf
	switch {
	case c >= 0xc2 && c <= 0xdf:
		s.follow = 1
	case c >= 0xe0 && c <= 0xef:
		s.follow = 2
	case c >= 0xf0 && c <= 0xf4:
		s.follow = 3
	default:
		return false
	}
	switch c { // excludes overlong forms, surrogates and code points above U+10FFFF
	case 0xe0:
		s.low = 0xa0
	case 0xed:
		s.high = 0x9f
	case 0xf0:
		s.low = 0x90
	case 0xf4:
		s.high = 0x8f
	}
	return true
}

// escaped parses one byte of an escape sequence.
func (s *scanner) escaped(c byte) {
	hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	switch {
	case s.state == inHex && hex:
		if s.hex--; s.hex == 0 {
			s.state = inString
		}
	case s.state == inHex:
		s.state = broken
	case c == 'u':
		s.state, s.hex = inHex, 4
	case c == '"', c == '\\', c == '/', c == 'b', c == 'f', c == 'n', c == 'r', c == 't':
		s.state = inString
	default:
		s.state = broken
	}
	s.keep([]byte{c})
}

// between parses one byte outside of tokens.
func (s *scanner) between(c byte) {
	if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
		return
	}
	inObject := s.depth > 0 && s.objects>>(s.depth-1)&1 == 1
	switch {
	case s.state == atStart && c == '{':
		s.open(true)
	case s.state == wantFirst && c == ']', s.state == wantFirstName && c == '}',
		s.state == afterValue && inObject && c == '}', s.state == afterValue && !inObject && c == ']':
		s.shut()
	case s.state == wantValue, s.state == wantFirst:
		s.value(c)
	case (s.state == wantName || s.state == wantFirstName) && c == '"':
		s.name = true
		s.begin(inString, c)
	case s.state == wantColon && c == ':':
		s.state = wantValue
	case s.state == afterValue && c == ',' && inObject:
		s.state = wantName
	case s.state == afterValue && c == ',':
		s.state = wantValue
	default:
		s.state = broken
	}
}

// value starts a value with c.
func (s *scanner) value(c byte) {
	switch {
	case c == '{', c == '[':
		if s.depth == 1 {
			s.valued(nil)
		}
		s.open(c == '{')
	case c == '"':
		s.name = false
		s.begin(inString, c)
	case c == '-':
		s.begin(afterMinus, c)
	case c == '0':
		s.begin(inZero, c)
	case c >= '1' && c <= '9':
		s.begin(inInteger, c)
	case c == 't', c == 'f', c == 'n':
		s.word = map[byte]string{'t': "true", 'f': "false", 'n': "null"}[c][1:]
		s.begin(inWord, c)
	default:
		s.state = broken
	}
}

// open enters an object or an array.
func (s *scanner) open(object bool) {
	if s.depth == maxNesting {
		s.state = broken
		return
	}
	s.objects &^= 1 << s.depth
	s.state = wantFirst
	if object {
		s.objects |= 1 << s.depth
		s.state = wantFirstName
	}
	s.depth++
}

// shut leaves an object or an array.
func (s *scanner) shut() {
	s.depth--
	s.state = afterValue
	if s.depth == 0 {
		s.state = atEnd
	}
}

// afterDigit returns the state of a number after one more byte c; afterValue: the
// number has ended before c; broken: it is none.
func afterDigit(state scanState, c byte) scanState {
	digit := c >= '0' && c <= '9'
	point, e := c == '.', c == 'e' || c == 'E'
	switch {
	case state == afterMinus && c == '0':
		return inZero
	case digit && (state == afterMinus || state == inInteger):
		return inInteger
	case digit && (state == afterPoint || state == inFraction):
		return inFraction
	case digit && state != inZero: // afterE, afterSign, inExponent
		return inExponent
	case point && (state == inZero || state == inInteger):
		return afterPoint
	case e && (state == inZero || state == inInteger || state == inFraction):
		return afterE
	case state == afterE && (c == '+' || c == '-'):
		return afterSign
	case state == inZero && !digit, state == inInteger, state == inFraction, state == inExponent:
		return afterValue
	}
	return broken
}
