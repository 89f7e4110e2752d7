package redisconn

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// This file is the Redis protocol (RESP2) as a [group] needs it: commands of the types
// that osgate sends in a group, and replies of a bounded size. Every other command uses
// go-redis's own connections.

const (
	// maxReply bounds a string in a reply, in bytes, and maxElements the elements of an
	// array. Replies in a group are some hundred bytes.
	maxReply    = 1 << 20
	maxElements = 1 << 16
	// maxDepth bounds arrays in arrays.
	maxDepth = 8
	// readBuffer is the size of the buffer for replies, in bytes. A status, an error or
	// a length is shorter.
	readBuffer = 16 << 10
)

// replyError is an error reply of Redis.
type replyError string

var _ redis.Error = replyError("")

func (e replyError) Error() string { return string(e) }

// RedisError implements [redis.Error].
func (replyError) RedisError() {}

// errProtocol means that the server did not answer in RESP2, or not in the form of the
// command.
var errProtocol = errors.New("it did not answer in the protocol of Redis")

func appendCommand(b []byte, args ...any) (_ []byte, ok bool) {
	b = appendLength(b, '*', len(args))
	for _, arg := range args {
		var room [32]byte
		switch v := arg.(type) {
		case string:
			b = append(appendLength(b, '$', len(v)), v...)
		case []byte:
			b = append(appendLength(b, '$', len(v)), v...)
		case int:
			b = appendText(b, strconv.AppendInt(room[:0], int64(v), 10))
		case int64:
			b = appendText(b, strconv.AppendInt(room[:0], v, 10))
		case float64:
			b = appendText(b, strconv.AppendFloat(room[:0], v, 'f', -1, 64))
		default:
			return b, false
		}
		b = append(b, '\r', '\n')
	}
	return b, true
}

func appendLength(b []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), '\r', '\n')
}

func appendText(b, text []byte) []byte { return append(appendLength(b, '$', len(text)), text...) }

// readReply reads the reply to cmd and sets it. The error is that of the connection or
// errProtocol; an error reply is in cmd.
func readReply(r *bufio.Reader, cmd redis.Cmder) error {
	value, err := readValue(r, 0)
	if err != nil {
		return err
	}
	if reply, ok := value.(replyError); ok {
		cmd.SetErr(reply)
		return nil
	}
	if value == nil {
		cmd.SetErr(redis.Nil)
		return nil
	}
	return set(cmd, value)
}

// set sets the value of a command.
func set(cmd redis.Cmder, value any) error {
	switch cmd := cmd.(type) {
	case *redis.Cmd:
		cmd.SetVal(value)
		return nil
	case *redis.StringCmd:
		if text, ok := value.(string); ok {
			cmd.SetVal(text)
			return nil
		}
	case *redis.StatusCmd:
		if text, ok := value.(string); ok {
			cmd.SetVal(text)
			return nil
		}
	case *redis.IntCmd:
		if n, ok := value.(int64); ok {
			cmd.SetVal(n)
			return nil
		}
	}
	return errProtocol
}

// readValue reads a string, an int64, a replyError, a []any of these, or nil.
func readValue(r *bufio.Reader, depth int) (any, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	kind, text := line[0], line[1:]
	switch kind {
	case '+':
		return string(text), nil
	case '-':
		return replyError(text), nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64) // the compiler keeps the conversion on the stack
	if err != nil {
		return nil, errProtocol
	}
	switch {
	case kind == ':':
		return n, nil
	case n == -1 && (kind == '$' || kind == '*'):
		return nil, nil //nolint:nilnil // that is Redis's nil
	case kind == '$' && n >= 0 && n <= maxReply:
		return readString(r, int(n))
	case kind == '*' && n >= 0 && n <= maxElements && depth < maxDepth:
		return readArray(r, int(n), depth+1)
	}
	return nil, errProtocol
}

// readLine reads a line of at least one byte. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errProtocol
	case err != nil:
		return nil, err //nolint:wrapcheck // its kind decides what the caller does
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, errProtocol
	}
	return line, nil
}

// readString reads a string of n bytes and the end of its line.
func readString(r *bufio.Reader, n int) (any, error) {
	if whole, err := r.Peek(min(n+2, readBuffer)); err == nil && len(whole) == n+2 {
		text := string(whole[:n])
		_, _ = r.Discard(n + 2) // they are in the buffer
		return text, nil
	}
	text := make([]byte, n+2)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err //nolint:wrapcheck // as in readLine
	}
	return string(text[:n]), nil
}

func readArray(r *bufio.Reader, n, depth int) (any, error) {
	all := make([]any, 0, min(n, 64))
	for range n {
		value, err := readValue(r, depth)
		if err != nil {
			return nil, err
		}
		all = append(all, value)
	}
	return all, nil
}
