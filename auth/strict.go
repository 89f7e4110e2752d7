package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unclearError is an answer of a control plane that was read to its end and does not
// name the principal of the token. It concerns that token alone: lookups of other
// tokens may succeed. Its text quotes no part of the answer.
type unclearError string

// Error returns what is wrong with the answer.
func (e unclearError) Error() string { return string(e) }

// errNameless is an answer that names no principal.
const errNameless = unclearError("it names neither client nor user")

// errNoObject is an answer that is no JSON object: a page of a proxy, or an answer that
// was cut. It does not come from the control plane's API, so it does not concern one
// token alone.
var errNoObject = errors.New("it is no JSON object")

// readObject reads a body of one JSON object, at most limit bytes long, into v. Errors:
// [unclearError] for an object that is too long or that [parse] refuses, [errNoObject],
// and those of reading.
func readObject(body io.Reader, limit int64, v any) error {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return err
	case int64(len(text)) > limit:
		return unclearError(fmt.Sprintf("it has more than %d bytes", limit))
	}
	return parse(text, v)
}

// parse reads text, one JSON object (RFC 8259), into v. Names are compared exactly. It
// refuses text that two readers may read differently: a name that occurs twice anywhere
// (RFC 8259 section 4), text that is not UTF-8, and data after the object. Members that
// v does not have are allowed. Errors: [unclearError], [errNoObject].
func parse(text []byte, v any) error {
	whole := bytes.Trim(text, " \t\r\n")
	if !bytes.HasPrefix(whole, []byte("{")) || !bytes.HasSuffix(whole, []byte("}")) {
		return errNoObject
	}
	if err := json.Unmarshal(whole, v); err != nil {
		return unclearError(fault(err))
	}
	return nil
}

// fault returns a description of an error of the JSON library, whose own text may quote
// its input.
func fault(err error) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return "a member name occurs twice"
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("malformed JSON at byte %d", syntax.ByteOffset)
	}
	if wrong, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Sprintf("a member has the wrong type at byte %d", wrong.ByteOffset)
	}
	return "a member has the wrong form"
}
