package proxy

import (
	"testing"
	"time"
)

func TestAWriteThatCouldOutliveItsMarkIsNotSent(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Timeout = time.Hour }) // the rig's marks last a minute
	w := g.do(request(t, "PUT "+keyPath, "Authorization: Bearer one", "", "{}"))
	if w.Code != 503 || codeOf(t, w) != "overloaded" || len(g.sent) != 0 {
		t.Errorf("%d %s, %d requests upstream", w.Code, w.Body, len(g.sent))
	}
	if w := g.get("one", keyPath); w.Code != 200 {
		t.Errorf("a read: %d", w.Code)
	}
}
