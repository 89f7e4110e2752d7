package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestAnUnreadLogDoesNotBlock(t *testing.T) {
	reader, out := io.Pipe() // a write waits until it is read
	w := newLineWriter(out)
	for i := range 3 * linesWaiting {
		fmt.Fprintf(w, "line %d\n", i)
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	// At most one line is read before there is room for the last line.
	for w.lost.Load() > 0 {
		<-time.After(time.Millisecond)
	}
	fmt.Fprintln(w, "the last")
	w.close()
	_ = out.Close()
	text := <-read
	if !strings.Contains(text, "line 0\n") || !strings.Contains(text, "lines are missing here") || !strings.HasSuffix(text, "the last\n") {
		t.Errorf("%d bytes were written, from %.20q", len(text), text)
	}
}

func TestTheLogIsWrittenToItsEnd(t *testing.T) {
	var out bytes.Buffer
	w := newLineWriter(&out)
	for i := range 100 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.close()
	if n := strings.Count(out.String(), "\n"); n != 100 {
		t.Errorf("%d lines, want 100", n)
	}
}
