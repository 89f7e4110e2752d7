package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error answer (RFC 9457).
type problem struct {
	Code   string // the end of the type
	Status int
	Detail string
	Field  string // of the input, where one is to blame
	Purged *int   // by a purge that did not reach everybody
}

// write answers with p.
func (p problem) write(w http.ResponseWriter) {
	body, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Field  string `json:"field,omitempty"`
		Purged *int   `json:"purged,omitempty"`
	}{"urn:osgate:admin:" + p.Code, http.StatusText(p.Status), p.Status, p.Detail, p.Field, p.Purged}) // strings and numbers cannot fail to marshal
	send(w, p.Status, "application/problem+json", body)
}

// writeJSON answers with v.
func (s *server) writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.unwritable(w, err)
		return
	}
	send(w, status, "application/json", body)
}

// unwritable answers where a value of ours cannot be written as JSON.
func (s *server) unwritable(w http.ResponseWriter, err error) {
	s.Logger.Error("admin answer could not be written as JSON", "error", err)
	problem{Code: "internal", Status: http.StatusInternalServerError, Detail: "the answer could not be written as JSON; the log says why"}.write(w)
}

// badInput answers a request that is wrong in one field.
func badInput(w http.ResponseWriter, e *InputError) {
	problem{Code: "bad-input", Status: http.StatusBadRequest, Field: e.Field, Detail: e.Detail}.write(w)
}

// send answers with a whole body; net/http leaves it out for HEAD.
func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an operator who left
}
