package redisconn

import (
	"bufio"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestCommandsAreEncoded(t *testing.T) {
	got, ok := appendCommand(nil, "set", []byte("a\r\n"), 1, int64(-2), 0.5, "")
	const want = "*6\r\n$3\r\nset\r\n$3\r\na\r\n\r\n$1\r\n1\r\n$2\r\n-2\r\n$3\r\n0.5\r\n$0\r\n\r\n"
	if !ok || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, ok, want)
	}
	if _, ok := appendCommands(nil, []redis.Cmder{redis.NewCmd(t.Context(), "set", "a", true)}); ok {
		t.Error("an argument of another type is encoded")
	}
	if _, ok := appendCommands(nil, []redis.Cmder{redis.NewMapStringStringCmd(t.Context(), "hgetall", "a")}); ok {
		t.Error("a command of another type is carried")
	}
}

func TestRepliesAreDecoded(t *testing.T) {
	long := strings.Repeat("x", 2*readBuffer)
	for text, want := range map[string]any{
		"+OK\r\n":                         "OK",
		"-NOSCRIPT No\r\n":                replyError("NOSCRIPT No"),
		":-12\r\n":                        int64(-12),
		"$3\r\na\r\n\r\n":                 "a\r\n",
		"$0\r\n\r\n":                      "",
		"$-1\r\n":                         nil,
		"*-1\r\n":                         nil,
		"*0\r\n":                          []any{},
		"*3\r\n:1\r\n*1\r\n$-1\r\n-E\r\n": []any{int64(1), []any{nil}, replyError("E")},
		"$32768\r\n" + long + "\r\n":      long,
	} {
		got, err := readValue(bufio.NewReaderSize(strings.NewReader(text), readBuffer), 0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q: got %.40v, %v, want %.40v", text, got, err, want)
		}
	}
}

// TestInvalidRESPEndsTheConnection, without much memory.
func TestInvalidRESPEndsTheConnection(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 400 Bad Request\r\n", "\r\n", "+OK\n", "$x\r\n", "$-2\r\n", "$9999999999\r\n", "*9999999999\r\n", ":\r\n",
		"%1\r\n",
		strings.Repeat("*1\r\n", 100), "+" + strings.Repeat("x", 2*readBuffer),
	} {
		got, err := readValue(bufio.NewReaderSize(strings.NewReader(text), readBuffer), 0)
		if !errors.Is(err, errProtocol) {
			t.Errorf("%.40q: got %v, %v, want errProtocol", text, got, err)
		}
	}
	for _, text := range []string{"", "$5\r\nabc", "*2\r\n:1\r\n", "+OK"} {
		_, err := readValue(bufio.NewReader(strings.NewReader(text)), 0)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v, want the end", text, err)
		}
	}
	if err := readReply(bufio.NewReader(strings.NewReader(":1\r\n")), redis.NewStringCmd(t.Context())); !errors.Is(err, errProtocol) {
		t.Errorf("a number for a text: %v", err)
	}
}

func TestRepliesAreSet(t *testing.T) {
	read := func(text string, cmd redis.Cmder) {
		t.Helper()
		if err := readReply(bufio.NewReader(strings.NewReader(text)), cmd); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	missing, refused := redis.NewStringCmd(t.Context()), redis.NewIntCmd(t.Context())
	read("$-1\r\n", missing)
	read("-WRONGTYPE x\r\n", refused)
	if !errors.Is(missing.Err(), redis.Nil) || !redis.HasErrorPrefix(refused.Err(), "WRONGTYPE") {
		t.Errorf("got %v and %v", missing.Err(), refused.Err())
	}
	status, number, list := redis.NewStatusCmd(t.Context()), redis.NewIntCmd(t.Context()), redis.NewCmd(t.Context())
	read("+OK\r\n", status)
	read(":7\r\n", number)
	read("*1\r\n$1\r\na\r\n", list)
	if texts, err := list.StringSlice(); status.Val() != "OK" || number.Val() != 7 || err != nil || texts[0] != "a" {
		t.Errorf("got %v, %v, %v", status, number, list)
	}
}
