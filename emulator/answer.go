package emulator

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// answer is a complete response, built before it is sent.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// jsonAnswer returns an answer with v as its body.
func jsonAnswer(status int, v any) answer {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("emulator: an answer that does not marshal: " + err.Error()) // all types are this package's own
	}
	return answer{
		status, http.Header{"Content-Type": {"application/json"}}, bytes.TrimSuffix(body.Bytes(), []byte("\n")),
	}
}

// emptyAnswer returns an answer without a body.
func emptyAnswer(status int) answer { return answer{status: status, header: http.Header{}} }

// succeeded reports whether the status is 2xx.
func (a answer) succeeded() bool { return a.status >= 200 && a.status < 300 }
