package record

import "testing"

func TestEachLineHasOneClass(t *testing.T) {
	for name, tt := range map[string]struct {
		x    Exchange
		want string
	}{
		"forwarded":                  {Exchange{Status: 200, UpstreamAttempts: 1}, "ok"},
		"304":                        {Exchange{Status: 304}, "ok"},
		"hit":                        {Exchange{Status: 200, Hit: true}, "hit"},
		"hit of an absent key":       {Exchange{Status: 404, Hit: true}, "client_error"},
		"upstream's 404":             {Exchange{Status: 404, UpstreamStatus: 404}, "client_error"},
		"upstream's 429":             {Exchange{Status: 429, UpstreamStatus: 429}, "client_error"},
		"client left":                {Exchange{Status: 499, Code: "bad-request"}, "client_error"},
		"client left in the answer":  {Exchange{Status: 499, Aborted: true}, "client_error"},
		"over quota":                 {Exchange{Status: 429, Code: "over-quota"}, "refused"},
		"draining":                   {Exchange{Status: 503, Code: "draining"}, "error"},
		"upstream's 500":             {Exchange{Status: 500, UpstreamStatus: 500}, "error"},
		"broken off by upstream":     {Exchange{Status: 200, Aborted: true}, "error"},
		"a rule that cannot be read": {Exchange{Status: 200, PolicyErrors: []string{"r"}}, "error"},
	} {
		if got := tt.x.class().String(); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
