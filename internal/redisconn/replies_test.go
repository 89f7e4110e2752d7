package redisconn

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"testing"
)

// repliesTo returns the replies that a connection receives.
func repliesTo(t *testing.T, text string) *Replies {
	t.Helper()
	var r Replies
	from := bufio.NewReaderSize(strings.NewReader(text), readBuffer)
	for from.Buffered() > 0 || len(r.values) == 0 {
		if err := r.read(from, 0); err != nil {
			t.Fatalf("%.40q: %v", text, err)
		}
	}
	return &r
}

func TestRepliesAreReadInOrder(t *testing.T) {
	long := strings.Repeat("x", 2*readBuffer)
	r := repliesTo(t, "*4\r\n:-1\r\n$2\r\nab\r\n$-1\r\n*2\r\n+OK\r\n:7\r\n$0\r\n\r\n:9\r\n$32768\r\n"+long+"\r\n")
	if n, first, second, third := r.Array(), r.Int(), r.Text(), r.Text(); n != 4 || first != -1 || string(second) != "ab" || third != nil {
		t.Errorf("got %d elements: %d, %q, %q", n, first, second, third)
	}
	r.Skip() // the inner array
	if text, n, last := r.Text(), r.Int(), r.Text(); text == nil || len(text) != 0 || n != 9 || string(last) != long {
		t.Errorf("got %q, %d and %d bytes", text, n, len(last))
	}
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if r.Int(); !errors.Is(r.Err(), errOddReply) {
		t.Errorf("after the end: %v", r.Err())
	}
}

func TestValuesOfAnotherKindAreNoted(t *testing.T) {
	for name, read := range map[string]func(*Replies){
		"number": func(r *Replies) { r.Int() }, "array": func(r *Replies) { r.Array() },
	} {
		r := repliesTo(t, "$1\r\n1\r\n")
		if read(r); !errors.Is(r.Err(), errOddReply) {
			t.Errorf("a text as %s: %v", name, r.Err())
		}
	}
	r := repliesTo(t, "*1\r\n:1\r\n")
	if r.Text(); !errors.Is(r.Err(), errOddReply) {
		t.Errorf("an array as text: %v", r.Err())
	}
	r = repliesTo(t, "*2\r\n:1\r\n-OOM x\r\n")
	if err := r.Err(); err == nil || err.Error() != "OOM x" || r.outage == nil {
		t.Errorf("an error reply in an array: %v, outage %v", err, r.outage)
	}
}

// TestRepliesOfGoRedisAreTheSame: a value is read alike, whichever client received it.
func TestRepliesOfGoRedisAreTheSame(t *testing.T) {
	sent := repliesTo(t, "*4\r\n:-1\r\n$2\r\nab\r\n$-1\r\n*1\r\n:7\r\n")
	got := RepliesOf([]any{int64(-1), "ab", nil, []any{int64(7)}})
	if !slices.Equal(sent.values, got.values) || string(sent.text) != string(got.text) {
		t.Errorf("got %v %q, want %v %q", got.values, got.text, sent.values, sent.text)
	}
	if r := RepliesOf(1.5); r.Err() == nil {
		t.Error("a value of an unknown type is no error")
	}
}

// TestRepliesThatAreNotRedisEndTheConnection, without much memory.
func TestRepliesThatAreNotRedisEndTheConnection(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "\r\n", "+OK\n", "$x\r\n", "$-2\r\n", "$9999999999\r\n", "*9999999999\r\n", ":\r\n",
		"%1\r\n", strings.Repeat("*1\r\n", 100), "+" + strings.Repeat("x", 2*readBuffer),
	} {
		var r Replies
		if err := r.read(bufio.NewReaderSize(strings.NewReader(text), readBuffer), 0); !errors.Is(err, errProtocol) {
			t.Errorf("%.40q: %v, want errProtocol", text, err)
		}
	}
}
