package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"osgate/internal/lengthprefix"
)

// TagBytes is the length of a tag.
const TagBytes = 16

// MAC authenticates short records that need not be secret: a program that can write to
// the shared place can neither forge a record nor move it to another name. It is
// HMAC-SHA256 (FIPS 198-1), truncated to 128 bits, under a key derived like that of a
// [Sealer]. It is safe for concurrent use.
type MAC struct{ states sync.Pool }

// macState is a keyed hash with a buffer for its input and output, so that a tag needs
// no allocation.
type macState struct {
	hash.Hash
	room []byte
}

// NewMAC returns a MAC for a purpose. Its errors are those of [New].
func NewMAC(secret []byte, purpose string) (*MAC, error) {
	key, err := derive(secret, purpose)
	if err != nil {
		return nil, err
	}
	return &MAC{sync.Pool{New: func() any { return &macState{Hash: hmac.New(sha256.New, key)} }}}, nil
}

// Tag returns the tag of text under name, the place where the record is stored. The tag
// is not valid under another name.
func (m *MAC) Tag(name, text string) (tag [TagBytes]byte) {
	s, _ := m.states.Get().(*macState)
	s.room = append(lengthprefix.Append(s.room[:0], name), text...)
	s.Reset()
	_, _ = s.Write(s.room) // never fails (hash.Hash)
	s.room = s.Sum(s.room[:0])
	copy(tag[:], s.room)
	m.states.Put(s)
	return tag
}

// Valid reports whether tag is the tag of text under name. It takes the same time for
// every wrong tag.
func (m *MAC) Valid(name, text, tag string) bool {
	want := m.Tag(name, text)
	return hmac.Equal(want[:], []byte(tag))
}

// Format prints a fixed text, whatever the verb: a MAC holds a key.
func (*MAC) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns the same fixed text, for slog.
func (*MAC) LogValue() slog.Value { return slog.StringValue(redacted) }
