package proxy

import (
	"testing"

	"osgate/regionmap"
)

// TestARefusalHasTheLocationThatTheRequestNames checks this for a refusal of any stage.
// It is the location that a stage found, or otherwise the one in Host, prefix or
// header. The rig's default region is not named by the request.
func TestARefusalHasTheLocationThatTheRequestNames(t *testing.T) {
	const gateway, eu = "gateway:8080", "X-Osgate-Region: eu/eu-west-1"
	for name, tt := range map[string]struct {
		head, host string
		lines      []string
		code, want string
	}{
		"method, host":            {head: "TRACE " + keyPath, host: host, code: "bad-request", want: "us/us-east-1"},
		"method, prefix":          {head: "TRACE /eu/eu-west-1" + keyPath, code: "bad-request", want: "eu/eu-west-1"},
		"method, header":          {head: "TRACE " + keyPath + "?a=/us/us-east-1/api/", lines: []string{eu}, code: "bad-request", want: "eu/eu-west-1"},
		"method, plane":           {head: "TRACE " + keyPath, lines: []string{"X-Osgate-Region: eu"}, code: "bad-request", want: "eu"},
		"method, nothing":         {head: "TRACE " + keyPath, code: "bad-request"},
		"loop":                    {head: "GET " + keyPath, lines: []string{eu, "Via: 1.1 osgate"}, code: "loop", want: "eu/eu-west-1"},
		"too large":               {head: "PUT " + keyPath, lines: []string{eu, "Content-Length: 99999999"}, code: "too-large", want: "eu/eu-west-1"},
		"no operation":            {head: "GET /us/us-east-2/api/v1/data", code: "not-object-store", want: "us/us-east-2"},
		"no operation, nothing":   {head: "GET /api/v1/data", code: "not-object-store"},
		"bad path":                {head: "GET " + keyPath + "/..", lines: []string{eu}, code: "bad-path", want: "eu/eu-west-1"},
		"not allowed":             {head: "GET " + keyPath, lines: []string{"X-Osgate-Region: gov/us-gov-west-1"}, code: "region-not-allowed", want: "gov/us-gov-west-1"},
		"plane not allowed":       {head: "GET /accounts/api/me", lines: []string{"X-Osgate-Region: gov"}, code: "region-not-allowed", want: "gov"},
		"plane without a region":  {head: "GET " + keyPath, lines: []string{"X-Osgate-Region: eu"}, code: "region-unknown", want: "eu"},
		"a contradiction":         {head: "GET /us/us-east-2" + keyPath, lines: []string{eu}, code: "region-unknown"},
		"an unknown name":         {head: "GET " + keyPath, lines: []string{"X-Osgate-Region: nowhere"}, code: "region-unknown"},
		"foreign absolute form":   {head: "GET http://example.com" + keyPath, lines: []string{eu}, code: "bad-request"},
		"no token, header":        {head: "GET " + keyPath, lines: []string{eu}, code: "no-token", want: "eu/eu-west-1"},
		"no token, default":       {head: "GET " + keyPath, code: "no-token", want: "us/us-east-1"},
		"no token, absolute form": {head: "GET http://" + host + keyPath, host: host, code: "no-token", want: "us/us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, tt.head, tt.lines...)
			if r.Host = tt.host; r.Host == "" {
				r.Host = gateway
			}
			w := newRig(t).do(r)
			if got := w.Header()[regionmap.Header]; codeOf(t, w) != tt.code || len(got) > 1 || w.Header().Get(regionmap.Header) != tt.want {
				t.Errorf("%d %s with %q, want %s with %q", w.Code, w.Body, got, tt.code, tt.want)
			}
		})
	}
}
