package redisconn

import (
	"strconv"
	"strings"
)

// Request is a list of commands, encoded as they are sent. Each command begins with
// Command; its other words follow. The zero value has no commands. It is for one
// goroutine at a time.
type Request struct {
	encoded  []byte
	commands int
}

// Command begins a command of so many words, its name included.
func (r *Request) Command(name string, words int) {
	r.commands++
	r.encoded = appendLength(r.encoded, '*', words)
	r.Text(name)
}

// Text adds a word.
func (r *Request) Text(word string) {
	r.encoded = append(append(appendLength(r.encoded, '$', len(word)), word...), '\r', '\n')
}

// Bytes adds a word.
func (r *Request) Bytes(word []byte) {
	r.encoded = append(appendText(r.encoded, word), '\r', '\n')
}

// Int adds a number.
func (r *Request) Int(n int64) {
	var room [20]byte
	r.Bytes(strconv.AppendInt(room[:0], n, 10))
}

// Argument is an argument of a script. Its value is a text, unless [Int] or [Float]
// made it.
type Argument struct {
	kind   argumentKind
	text   string
	number int64
	float  float64
}

type argumentKind uint8

const (
	argumentText argumentKind = iota
	argumentInt
	argumentFloat
)

// Text returns an argument that is a text.
func Text(text string) Argument { return Argument{text: text} }

// Int returns an argument that is a number.
func Int(n int64) Argument { return Argument{kind: argumentInt, number: n} }

// Float returns an argument that is a number, in the form in which go-redis sends it.
func Float(f float64) Argument { return Argument{kind: argumentFloat, float: f} }

// appendTo adds a to r.
func (a Argument) appendTo(r *Request) {
	var room [32]byte
	switch a.kind {
	case argumentInt:
		r.Int(a.number)
	case argumentFloat:
		r.Bytes(strconv.AppendFloat(room[:0], a.float, 'f', -1, 64))
	case argumentText:
		r.Text(a.text)
	}
}

// value returns a as go-redis takes it. It copies the text, so that a itself need not be
// on the heap.
func (a Argument) value() any {
	switch a.kind {
	case argumentInt:
		return a.number
	case argumentFloat:
		return a.float
	case argumentText:
	}
	return strings.Clone(a.text)
}
