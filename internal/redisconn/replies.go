package redisconn

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Replies are the replies to the commands of a [Request], in their order, as one list of
// values: an array is followed by its elements. They are read from the first to the
// last. A value of another kind than the caller expects is noted for Err, and read as
// empty, so that a caller checks once, at the end.
//
// Replies keep their memory for the next round trip. They belong to one goroutine at a
// time.
type Replies struct {
	values  []value
	text    []byte // of all values
	next    int    // the value to be read next
	refused error  // the first error reply; nil: none
	outage  error  // the first error reply that is an outage; nil: none
	odd     bool   // a value was not of the expected kind
}

// value is a value in [Replies]: a number, the length of an array, or a text and where it
// begins. Kinds are those of RESP2; a missing value has the kind 0.
type value struct {
	kind   byte
	number int
	from   int
}

// errOddReply is the error of replies that have another form than the caller expects.
var errOddReply = errors.New("a reply of Redis has an unexpected form")

// RepliesOf returns the replies of a value in the form in which go-redis returns it. It is
// for tests and for commands that go-redis sends.
func RepliesOf(value any) *Replies {
	r := &Replies{}
	r.add(value)
	return r
}

// Err returns the first error reply, or an error if a value that was read is of another
// kind than expected, or is missing.
func (r *Replies) Err() error {
	if r.refused == nil && r.odd {
		return errOddReply
	}
	return r.refused
}

// Array returns the number of the elements of the next value, an array. They follow.
func (r *Replies) Array() int { return r.take('*').number }

// Int returns the next value, a number.
func (r *Replies) Int() int { return r.take(':').number }

// Text returns the next value, a text, and nil if it is missing (Redis's nil). It is
// valid as long as the Replies are.
func (r *Replies) Text() []byte {
	if r.next < len(r.values) {
		switch v := r.values[r.next]; v.kind {
		case 0:
			r.next++
			return nil
		case '+', '$':
			r.next++
			return r.text[v.from : v.from+v.number : v.from+v.number]
		}
	}
	r.odd = true
	return nil
}

// Skip skips the next value, with its elements.
func (r *Replies) Skip() {
	for left := 1; left > 0; left-- {
		if r.next >= len(r.values) {
			r.odd = true
			return
		}
		if v := r.values[r.next]; v.kind == '*' {
			left += v.number
		}
		r.next++
	}
}

// take returns the next value, which must be of a kind.
func (r *Replies) take(kind byte) value {
	if r.next >= len(r.values) || r.values[r.next].kind != kind {
		r.odd = true
		return value{}
	}
	r.next++
	return r.values[r.next-1]
}

// reset removes all values. Much memory is given up.
func (r *Replies) reset() {
	if cap(r.text) > keptBuffer {
		r.text = nil
	}
	*r = Replies{values: r.values[:0], text: r.text[:0]}
}

// read adds the next reply. Its error is that of the connection or errProtocol.
func (r *Replies) read(from *bufio.Reader, depth int) error {
	line, err := readLine(from)
	if err != nil {
		return err
	}
	kind, text := line[0], line[1:]
	switch kind {
	case '+':
		r.values = append(r.values, value{kind: kind, number: len(text), from: len(r.text)})
		r.text = append(r.text, text...)
		return nil
	case '-':
		r.refuse(replyError(text))
		r.values = append(r.values, value{kind: kind})
		return nil
	}
	n, err := strconv.Atoi(string(text)) // the compiler keeps the conversion on the stack
	switch {
	case err != nil:
		return errProtocol
	case kind == ':':
		r.values = append(r.values, value{kind: kind, number: n})
		return nil
	case n == -1 && (kind == '$' || kind == '*'):
		r.values = append(r.values, value{})
		return nil
	case kind == '$' && n >= 0 && n <= maxReply:
		return r.readText(from, n)
	case kind == '*' && n >= 0 && n <= maxElements && depth < maxDepth:
		r.values = append(r.values, value{kind: kind, number: n})
		for range n {
			if err := r.read(from, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return errProtocol
}

// readText adds a text of n bytes, and reads the end of its line.
func (r *Replies) readText(from *bufio.Reader, n int) error {
	at := len(r.text)
	r.values = append(r.values, value{kind: '$', number: n, from: at})
	r.text = append(r.text, make([]byte, n)...) // does not allocate what it appends
	if _, err := io.ReadFull(from, r.text[at:]); err != nil {
		return err //nolint:wrapcheck // as in readLine
	}
	if _, err := from.Discard(2); err != nil { // the end of the line
		return err //nolint:wrapcheck // as in readLine
	}
	return nil
}

// refuse notes an error reply.
func (r *Replies) refuse(reply replyError) {
	if r.refused == nil {
		r.refused = reply
	}
	if r.outage == nil && isOutage(reply) {
		r.outage = reply
	}
}

// add adds a value of go-redis.
func (r *Replies) add(result any) {
	switch v := result.(type) {
	case string:
		r.values = append(r.values, value{kind: '$', number: len(v), from: len(r.text)})
		r.text = append(r.text, v...)
	case int64:
		r.values = append(r.values, value{kind: ':', number: int(v)})
	case []any:
		r.values = append(r.values, value{kind: '*', number: len(v)})
		for _, element := range v {
			r.add(element)
		}
	case error:
		r.refuse(replyError(v.Error()))
		r.values = append(r.values, value{kind: '-'})
	case nil:
		r.values = append(r.values, value{})
	default:
		r.refuse(replyError(fmt.Sprintf("a reply is a %T", result)))
	}
}
