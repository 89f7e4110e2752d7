package audit

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// chainOf returns a file of n writes between its first and its last line.
func chainOf(t testing.TB, n int, secret []byte) []byte {
	t.Helper()
	path := newPath(t)
	w := opened(t, Options{Path: path, Secret: secret})
	for i := range n {
		w.Keep(write(i))
	}
	closed(t, w)
	return content(t, path)
}

// wantBroken checks that a file is refused, and returns the line and the text of the
// error.
func wantBroken(t *testing.T, text []byte, o VerifyOptions, what string) (line int, problem string) {
	t.Helper()
	_, err := Verify(bytes.NewReader(text), o)
	broken, ok := errors.AsType[*BrokenError](err)
	if !ok {
		t.Fatalf("%s was not found: %v", what, err)
	}
	return broken.Line, broken.Error()
}

// TestEveryChangeIsFound for each byte and each line, with and without a secret. Only
// the last line can be removed without a trace, unless its hash was kept.
func TestEveryChangeIsFound(t *testing.T) {
	for name, secret := range map[string][]byte{"hash": nil, "mac": []byte("secret")} {
		t.Run(name, func(t *testing.T) {
			text, o := chainOf(t, 6, secret), VerifyOptions{Secret: secret}
			whole, err := Verify(bytes.NewReader(text), o)
			if err != nil || whole.Lines != 8 || whole.First != 1 || whole.Last != 8 || whole.Unchecked != 0 || whole.Kinds[kindExchange] != 6 || whole.Before != "" {
				t.Fatalf("%+v, %v", whole, err)
			}
			number := 1
			for i := range text {
				for bit := range 8 {
					changed := bytes.Clone(text)
					changed[i] ^= 1 << bit
					if line, problem := wantBroken(t, changed, o, "a flipped bit"); line < number || line > number+1 {
						t.Errorf("bit %d of byte %d in line %d: %s", bit, i, number, problem)
					}
				}
				if text[i] == '\n' {
					number++
				}
			}
			lines := slices.Collect(bytes.Lines(text))
			file := func(all ...[]byte) []byte { return slices.Concat(all...) }
			for i := range lines {
				if i < len(lines)-1 {
					wantBroken(t, file(slices.Delete(slices.Clone(lines), i, i+1)...), o, "a removed line")
				}
				wantBroken(t, file(slices.Insert(slices.Clone(lines), i, lines[i])...), o, "a repeated line")
				for j := range i {
					swapped := slices.Clone(lines)
					swapped[i], swapped[j] = lines[j], lines[i]
					wantBroken(t, file(swapped...), o, "two swapped lines")
				}
			}
			for cut := 1; cut < len(text); cut++ {
				if text[cut-1] != '\n' {
					wantBroken(t, text[:cut], o, "an incomplete end")
				}
			}
			short := file(lines[:7]...)
			if _, err := Verify(bytes.NewReader(short), o); err != nil {
				t.Errorf("without its last line: %v", err)
			}
			o.Head = strings.ToUpper(whole.Head.String())
			wantBroken(t, short, o, "a missing end")
			if _, err := Verify(bytes.NewReader(text), o); err != nil {
				t.Errorf("with its head: %v", err)
			}
		})
	}
}

// TestRewritingTheChainNeedsTheSecret since a chain of plain hashes can be made
// again.
func TestRewritingTheChainNeedsTheSecret(t *testing.T) {
	forge := func(text, secret []byte) (forged []byte) {
		seal, head := newSeal(secret), Hash{}
		for i, line := range slices.Collect(bytes.Lines(text)) {
			start, _, _ := bytes.Cut(line, []byte(`"time"`))
			fields := bytes.Replace(line[len(start):len(line)-1-closing], []byte(`"app"`), []byte(`"abc"`), 1)
			forged, head = seal.appendTo(forged, uint64(i)+1, head, fields)
		}
		return forged
	}
	plain, keyed := chainOf(t, 3, nil), chainOf(t, 3, []byte("secret"))
	if _, err := Verify(bytes.NewReader(forge(plain, nil)), VerifyOptions{}); err != nil {
		t.Errorf("the forgery is not made as intended: %v", err)
	}
	for _, secret := range [][]byte{nil, []byte("guess")} {
		wantBroken(t, forge(keyed, secret), VerifyOptions{Secret: []byte("secret")}, "a forged file")
	}
	wantBroken(t, plain, VerifyOptions{Secret: []byte("secret")}, "a file without macs")
	s, err := Verify(bytes.NewReader(keyed), VerifyOptions{})
	if err != nil || s.Unchecked != 5 {
		t.Errorf("without the secret: %+v, %v; want the chain checked and 5 macs not", s, err)
	}
}

func TestAFileThatIsNoneIsRefused(t *testing.T) {
	text := chainOf(t, 3, nil)
	for name, other := range map[string][]byte{
		"empty": nil, "a line feed": []byte("\n"), "text": []byte("hello\n"), "zeros": make([]byte, 3<<20), "zeros within": append(append(bytes.Clone(text), make([]byte, 4096)...), '\n'),
		"a long line": append(bytes.Repeat([]byte("a"), 3<<20), '\n'), "CRLF": bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
	} {
		wantBroken(t, other, VerifyOptions{}, name)
	}
}

func TestProblemsAreNamedWithTheirLine(t *testing.T) {
	lines := slices.Collect(bytes.Lines(chainOf(t, 6, nil)))
	other := slices.Collect(bytes.Lines(chainOf(t, 6, nil)))
	for want, file := range map[string][][]byte{
		"line 1: it is not of kind":                      lines[1:],
		"line 3: 2 lines are missing before it (3 to 4)": append(slices.Clone(lines[:2]), lines[4:]...),
		"line 4: its number is 2 after 3":                append(slices.Clone(lines[:3]), lines[1]),
		"line 4: it does not follow the line before":     append(slices.Clone(lines[:3]), other[3]),
		"line 3: it was changed":                         {lines[0], lines[1], bytes.Replace(lines[2], []byte("putKey"), []byte("getKey"), 1), lines[3]},
		"line 3: it is incomplete":                       {lines[0], lines[1], lines[2][:9]},
	} {
		if _, got := wantBroken(t, slices.Concat(file...), VerifyOptions{}, want); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func FuzzVerifyNeverPanics(f *testing.F) {
	text := chainOf(f, 2, nil)
	f.Add(text, "")
	f.Add(text[:100], "secret")
	f.Add([]byte(`{"seq":1,"prev":"`+strings.Repeat("0", 64)+`","kind":"begin","sum":"`+strings.Repeat("0", 64)+"\"}\n"), "")
	f.Fuzz(func(t *testing.T, text []byte, secret string) {
		s, err := Verify(bytes.NewReader(text), VerifyOptions{Secret: []byte(secret)})
		if err == nil && s.Lines != uint64(bytes.Count(text, []byte("\n"))) {
			t.Errorf("%d lines in %q", s.Lines, text)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := chainOf(b, 5000, nil)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Verify(bytes.NewReader(text), VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
