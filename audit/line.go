package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"

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
