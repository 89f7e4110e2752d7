package serve

import (
	"io"
	"maps"
	"net/http"
	"strings"
)

// bare returns a handler that writes the header fields of a cached answer of osgate and
// a body of 1 KiB, without any decision: no program on net/http can be faster.
func bare() http.Handler {
	fields := http.Header{
		"Age":                   {"0"},
		"Cache-Control":         {"private, no-cache"},
		"Cache-Status":          {"osgate; hit; ttl=3599"},
		"Content-Length":        {"1024"},
		"Content-Type":          {"application/json"},
		"Etag":                  {`W/"osg-uKQp7-_cLzz_BWm2MLgfMA"`},
		"Ratelimit":             {`"client";r=999998;t=1`},
		"Ratelimit-Policy":      {`"client";q=1000000;w=1`},
		"Via":                   {"1.1 osgate"},
		"X-Osgate-Region":       {"us/us-east-1"},
		"X-Ratelimit-Limit":     {"1000000"},
		"X-Ratelimit-Remaining": {"999998"},
		"X-Ratelimit-Reset":     {"1796110003"},
		"X-Request-Id":          {"rn27i2uzyynhej6y3idpcxz6no"},
	}
	body := strings.Repeat("0123456789abcdef", 1024/16)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), fields)
		_, _ = io.WriteString(w, body)
	})
}
