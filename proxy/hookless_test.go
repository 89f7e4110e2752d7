package proxy

import (
	"context"
	"net/http/httptrace"
	"testing"
)

type valueKey struct{}

// TestAContextWithoutHooksEndsWhatIsMadeOfIt checks that the children of such a context
// end at once with it, without a goroutine for each child, and that it keeps every
// value except the hooks.
func TestAContextWithoutHooksEndsWhatIsMadeOfIt(t *testing.T) {
	outer := &httptrace.ClientTrace{}
	request := httptrace.WithClientTrace(context.WithValue(t.Context(), valueKey{}, "of the request"), outer)
	parent, end := context.WithCancel(context.WithoutCancel(request))
	hooked := httptrace.WithClientTrace(parent, &httptrace.ClientTrace{Got1xxResponse: nil})
	own := new(sending)
	child, cancel := context.WithCancelCause(hookless{hooked, request, own})
	defer cancel(nil)
	if got := child.Value(valueKey{}); got != "of the request" {
		t.Errorf("the value is %v", got)
	}
	if got := sendingOf(child); got != own {
		t.Errorf("the sending is %p, want %p", got, own)
	}
	if got := httptrace.ContextClientTrace(child); got != outer {
		t.Errorf("the hooks are %p, want those of the request, %p", got, outer)
	}
	end()
	if child.Err() == nil {
		t.Error("its end reaches what is made of it by a goroutine, want at once")
	}
}
