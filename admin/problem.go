package admin

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error answer (RFC 9457).
type problem struct {
	Code   string // the last part of the type URN
	Status int
	Detail string
	Field  string // the invalid field, if there is one
	Purged *int   // entries dropped by a purge that did not reach all replicas
}

// write sends p.
func (p problem) write(w http.ResponseWriter) {
	// strings and numbers never fail
	body, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Field  string `json:"field,omitempty"`
		Purged *int   `json:"purged,omitempty"`
	}{"urn:osgate:admin:" + p.Code, http.StatusText(p.Status), p.Status, p.Detail, p.Field, p.Purged})
	send(w, p.Status, "application/problem+json", body)
}

// writeJSON sends v as JSON.
func (s *server) writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.unwritable(w, err)
		return
	}
	send(w, status, "application/json", body)
}

// unwritable reports that a value cannot be encoded as JSON.
func (s *server) unwritable(w http.ResponseWriter, err error) {
	s.Logger.Error("admin answer could not be encoded as JSON", "error", err)
	problem{
		Code: "internal", Status: http.StatusInternalServerError,
		Detail: "the answer could not be encoded as JSON; the log contains the reason",
	}.write(w)
}

// badInput reports an invalid field of a request.
func badInput(w http.ResponseWriter, e *InputError) {
	problem{Code: "bad-input", Status: http.StatusBadRequest, Field: e.Field, Detail: e.Detail}.write(w)
}

// send sends a whole body; net/http leaves it out for HEAD.
func send(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error means that the client has left
}
