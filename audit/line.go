package audit

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// maxLine is the maximum length of a line in bytes. A line of a [Writer] is far shorter.
const maxLine = 1 << 20

// Hash is the SHA-256 of a line.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// seal makes and checks the checksums of lines. It is not safe for concurrent use.
type seal struct {
	name string // of the last member
	sum  hash.Hash
}

// newSeal returns the seal of a secret; without one, lines get a plain hash.
func newSeal(secret []byte) *seal {
	if len(secret) == 0 {
		return &seal{"sum", sha256.New()}
	}
	derived := hmac.New(sha256.New, secret)
	derived.Write([]byte("osgate audit file"))
	return &seal{"mac", hmac.New(sha256.New, derived.Sum(nil))}
}

// lineStart begins each line.
const lineStart = `{"seq":`

// closing is the length of the last member with the closing brace.
const closing = len(`,"sum":"`) + 2*sha256.Size + len(`"}`)

// appendTo appends a line with its line feed, and returns the hash of the line.
func (s *seal) appendTo(b []byte, seq uint64, prev Hash, f fields) ([]byte, Hash) {
	start := len(b)
	b = append(b, lineStart...)
	b = strconv.AppendUint(b, seq, 10)
	b = append(b, `,"prev":"`...)
	b = hex.AppendEncode(b, prev[:])
	b = append(b, `",`...)
	b = append(b, f...)
	b = s.appendSum(b, b[start:])
	line := Hash(sha256.Sum256(b[start:]))
	return append(b, '\n'), line
}

// appendSum appends the last member of a line with the other members body.
func (s *seal) appendSum(b, body []byte) []byte {
	s.sum.Reset()
	s.sum.Write(body)
	var sum [sha256.Size]byte
	s.sum.Sum(sum[:0])
	b = append(append(append(b, `,"`...), s.name...), `":"`...)
	b = hex.AppendEncode(b, sum[:])
	return append(b, `"}`...)
}

// parsed is a line of the right form.
type parsed struct {
	Seq  uint64 `json:"seq"`
	Prev string `json:"prev"`
	Kind string `json:"kind"`
	Time string `json:"time"`
	Lost uint64 `json:"lost"` // of a gap

	keyed bool // it has a mac, which was not checked
	hash  Hash
}

// parse parses a line without its line feed. It reports false if the line is not whole:
// its checksum is another one. A mac cannot be checked without the secret.
func (s *seal) parse(line []byte) (p parsed, whole bool) {
	if len(line) < closing {
		return p, false
	}
	body := line[:len(line)-closing]
	p.hash = sha256.Sum256(line)
	p.keyed = s.name == "sum" && bytes.HasPrefix(line[len(body):], []byte(`,"mac":"`))
	if !p.keyed && !hmac.Equal(s.appendSum(nil, body), line[len(body):]) {
		return p, false
	}
	return p, json.Unmarshal(line, &p) == nil
}

// VerifyOptions are the options of [Verify].
type VerifyOptions struct {
	Secret []byte // with which the file was written; nil: macs are not checked
	Head   string // hash of a line that the file must contain, in hexadecimal; empty: none
}

// Summary describes a file.
type Summary struct {
	Lines       uint64 // whole lines
	First, Last uint64 // their numbers
	From, Until string // times of the first and the last line
	Before      string // hash of the line before the first one, in another file; empty: a chain begins here
	Head        Hash   // of the last line
	Kinds       map[string]uint64
	Lost        uint64 // lines that the file states to be missing
	Unchecked   uint64 // lines with a mac that could not be checked without the secret
}

// BrokenError reports the first place where a file is not as it was written.
type BrokenError struct {
	Line    int // from 1; that after the last one if the end is missing
	Problem string
}

// Error implements error.
func (e *BrokenError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// Verify reads a file, or several in the order in which they were written, and checks
// the chain. It returns a *[BrokenError] for the first line that was changed, removed,
// moved or added, or that is incomplete, with a Summary of the lines before. Lines that
// were cut off at the end are found only if VerifyOptions.Head is the hash of one of
// them. Without a secret, the chain shows changes only if the later lines
// were not all written again.
func Verify(r io.Reader, o VerifyOptions) (Summary, error) {
	c := newChain(newSeal(o.Secret), strings.ToLower(o.Head))
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var rest []byte // behind the last line feed
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		end := bytes.IndexByte(data, '\n')
		if end < 0 && atEOF {
			rest = bytes.Clone(data)
			return len(data), nil, nil
		}
		if end < 0 {
			return 0, nil, nil
		}
		return end + 1, data[:end:end], nil
	})
	for lines.Scan() {
		if err := c.step(lines.Bytes()); err != nil {
			return c.summary, err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		c.line++
		return c.summary, c.broken("it is too long for a line of an audit file")
	case err != nil:
		return c.summary, fmt.Errorf("reading line %d: %w", c.line+1, err)
	}
	return c.summary, c.finish(rest)
}

// chain follows the lines of a file. It is not safe for concurrent use.
type chain struct {
	seal    *seal
	want    string // the head that must occur; empty: none, or it has occurred
	partial bool   // the first line may be any: only the end of a file is read
	line    int    // of the file
	summary Summary
}

func newChain(s *seal, head string) *chain {
	return &chain{seal: s, want: head, summary: Summary{Kinds: map[string]uint64{}}}
}

func (c *chain) broken(format string, args ...any) error {
	return &BrokenError{c.line, fmt.Sprintf(format, args...)}
}

// step takes the next line, without its line feed.
func (c *chain) step(line []byte) error {
	c.line++
	p, whole := c.seal.parse(line)
	if !whole {
		return c.broken("it was changed, or was written with another secret")
	}
	s := &c.summary
	switch {
	case s.Lines == 0 && p.Kind != kindBegin && !c.partial:
		return c.broken("it is not of kind %q: the beginning of the file is missing", kindBegin)
	case s.Lines == 0:
		s.First, s.From = p.Seq, p.Time
		if p.Prev != (Hash{}).String() {
			s.Before = p.Prev
		}
	case p.Seq > s.Last+1:
		return c.broken("%d lines are missing before it (%d to %d)", p.Seq-s.Last-1, s.Last+1, p.Seq-1)
	case p.Seq <= s.Last:
		return c.broken("its number is %d after %d: it was repeated or moved", p.Seq, s.Last)
	case p.Prev != s.Head.String():
		return c.broken("it does not follow the line before it: one of the two was replaced")
	}
	c.count(p)
	return nil
}

// count adds a line that follows the last one.
func (c *chain) count(p parsed) {
	s := &c.summary
	s.Lines++
	s.Kinds[p.Kind]++
	s.Last, s.Until, s.Head = p.Seq, p.Time, p.hash
	s.Lost += p.Lost
	if p.keyed {
		s.Unchecked++
	}
	if c.want == s.Head.String() {
		c.want = ""
	}
}

// finish checks the end of a file; rest is the text behind the last line feed.
func (c *chain) finish(rest []byte) error {
	c.line++
	switch {
	case len(rest) > 0:
		return c.broken("it is incomplete: the process that wrote it was stopped, or it is being written now")
	case c.summary.Lines == 0:
		return c.broken("the file is empty")
	case c.want != "":
		return c.broken("no line has the hash %s: the end of the file is missing", c.want)
	}
	return nil
}
