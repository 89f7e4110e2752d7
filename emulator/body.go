package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

const (
	// maxBody is enough for any legal value in JSON, except a long string of which each
	// character is escaped.
	maxBody = 16 << 20
	// maxForm limits the bodies that Access Management and the back door read.
	maxForm = 1 << 20
)

// fields is a JSON object whose members have not been decoded yet. Names are exact:
// encoding/json alone would accept KeyID for keyId, which no Java service does.
type fields map[string]json.RawMessage

// readObject reads the body of r, which must be one JSON object of the media type.
// An empty body is an empty object where optional.
func readObject(r *http.Request, mediaType string, optional bool) (fields, error) {
	body, err := readBody(r, maxBody)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 && optional {
		return fields{}, nil
	}
	if got := mediaTypeOf(r); got != mediaType {
		return nil, problemf(http.StatusUnsupportedMediaType, "Content-Type is %q, not %s", got, mediaType)
	}
	return decodeObject(body)
}

// mediaTypeOf returns the media type of r's body in lower case, without parameters.
func mediaTypeOf(r *http.Request) string {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return mediaType
}

// decodeObject decodes one JSON object without data after it.
func decodeObject(body []byte) (fields, error) {
	if !utf8.Valid(body) {
		return nil, problemf(http.StatusBadRequest, "the body is not UTF-8")
	}
	var f fields
	err := json.Unmarshal(body, &f)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, problemf(http.StatusBadRequest, "the body is malformed JSON at byte %d", syntax.Offset)
	}
	if err != nil || f == nil {
		return nil, problemf(http.StatusBadRequest, "the body is not a JSON object")
	}
	return f, nil
}

// read decodes the member of that name into into, which stays as it is if the member
// is absent or null.
func (f fields) read(name string, into any) error {
	raw, ok := f[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return problemf(http.StatusBadRequest, "%s has the wrong type", name)
	}
	return nil
}

// readBody reads a body of up to limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, problemf(http.StatusUnsupportedMediaType, "Content-Encoding %q is not understood", encoding)
	}
	if r.ContentLength > limit {
		return nil, problemf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", limit)
	}
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buffer.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, problemf(http.StatusBadRequest, "the body ended early or is garbled")
	}
	if int64(buffer.Len()) > limit {
		return nil, problemf(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", limit)
	}
	return buffer.Bytes(), nil
}
