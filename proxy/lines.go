package proxy

import "net/http"

// lines is memory for the values of header fields, so that a field with one value needs
// none of its own. The zero lines is ready. Only the goroutine of an exchange calls its
// methods. A value is never changed, because others may read a header after the exchange.
type lines struct {
	values [16]string // an exchange with one attempt has up to 14
	used   int
}

// of returns a list of one value. Appending to the list copies it.
func (l *lines) of(value string) []string {
	if l.used == len(l.values) {
		return []string{value}
	}
	l.values[l.used] = value
	l.used++
	return l.values[l.used-1 : l.used : l.used]
}

// add adds a value to the field with this canonical name, as the last one.
func (l *lines) add(h http.Header, name, value string) {
	if values := h[name]; len(values) > 0 {
		h[name] = append(values, value)
	} else {
		h[name] = l.of(value)
	}
}

// span is a part of a text that several fields share.
type span struct{ from, to int }

func (s span) of(text string) string { return text[s.from:s.to] }
