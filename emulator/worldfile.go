package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// ParseWorld reads a world in JSON, as the -world flag does. Every problem is reported
// with name, line and member, as in "world.json:12: clients[2].organization: …".
func ParseWorld(name string, text []byte) (*World, error) {
	at, err := positionsOf(text)
	if err != nil {
		return nil, locatedJSONError(name, text, err)
	}
	if problems := unknownMembers(name, at); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	w := &World{}
	if err := json.Unmarshal(text, w); err != nil {
		return nil, locatedJSONError(name, text, err)
	}
	w.position = func(path string) string {
		// A member that is missing is reported at its object.
		for p := path; p != ""; p = parentPath(p) {
			if line, ok := at[p]; ok {
				return fmt.Sprintf("%s:%d: %s", name, line, path)
			}
		}
		return fmt.Sprintf("%s: %s", name, path)
	}
	return w, errors.Join(w.check()...)
}

// positionsOf returns the line of every value in a JSON text by its path, such as
// clients[2].id.
func positionsOf(text []byte) (map[string]int, error) {
	p := &positions{decoder: json.NewDecoder(bytes.NewReader(text)), text: text, at: map[string]int{}, line: 1}
	if err := p.value(""); err != nil {
		return nil, err
	}
	if _, err := p.decoder.Token(); err == nil {
		return nil, errors.New("there is more behind the end")
	}
	return p.at, nil
}

// positions walks through a JSON text.
type positions struct {
	decoder *json.Decoder
	text    []byte
	at      map[string]int
	line    int // of offset
	offset  int64
}

// here returns the line of the decoder, which only moves forward.
func (p *positions) here() int {
	to := p.decoder.InputOffset()
	p.line += bytes.Count(p.text[p.offset:to], []byte("\n"))
	p.offset = to
	return p.line
}

func (p *positions) value(path string) error {
	token, err := p.decoder.Token()
	if err != nil {
		return err
	}
	if _, twice := p.at[path]; twice {
		return fmt.Errorf("line %d: %s is given twice", p.here(), path)
	}
	p.at[path] = p.here()
	switch token {
	case json.Delim('{'):
		return p.members(path)
	case json.Delim('['):
		return p.elements(path)
	}
	return nil
}

func (p *positions) members(path string) error {
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // it is one, or Token had failed
		member := strings.TrimPrefix(path+"."+name, ".")
		if err := p.value(member); err != nil {
			return err
		}
	}
	_, err := p.decoder.Token()
	return err
}

func (p *positions) elements(path string) error {
	for i := 0; p.decoder.More(); i++ {
		if err := p.value(path + "[" + strconv.Itoa(i) + "]"); err != nil {
			return err
		}
	}
	_, err := p.decoder.Token()
	return err
}

// parentPath returns the path of the object or list that holds path.
func parentPath(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// unknownMembers returns a problem for every member that a world does not have. Editors
// put "$schema" at the top; it is accepted.
func unknownMembers(name string, at map[string]int) []error {
	known := map[string]bool{}
	knownMembers(reflect.TypeFor[World](), "", known)
	byLine := map[int]error{}
	last := 0
	for path, line := range at {
		if path == "" || path == "$schema" || known[shape(path)] || known[shape(parentPath(path))+".*"] {
			continue
		}
		byLine[line] = errors.Join(byLine[line], fmt.Errorf("%s:%d: %s: there is no such member", name, line, path))
		last = max(last, line)
	}
	var problems []error
	for line := range last + 1 {
		if byLine[line] != nil {
			problems = append(problems, byLine[line])
		}
	}
	return problems
}

// shape returns a path without its indexes: clients[].id.
func shape(path string) string {
	var b strings.Builder
	for i, part := range strings.Split(path, "[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "]")
			b.WriteString("[]")
		}
		b.WriteString(part)
	}
	return b.String()
}

// knownMembers adds the shapes of all members below a type.
func knownMembers(t reflect.Type, path string, known map[string]bool) {
	known[path] = true
	switch t.Kind() {
	case reflect.Pointer:
		knownMembers(t.Elem(), path, known)
	case reflect.Slice:
		knownMembers(t.Elem(), path+"[]", known)
	case reflect.Map:
		known[path+".*"] = true
	case reflect.Struct:
		for field := range t.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "" {
				knownMembers(field.Type, strings.TrimPrefix(path+"."+name, "."), known)
			}
		}
	default: // a value without members
	}
}

// locatedJSONError reports the position of a JSON error in a text, without quoting the
// text.
func locatedJSONError(name string, text []byte, err error) error {
	line := func(offset int64) int {
		return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n"))
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("%s:%d: malformed JSON: %w", name, line(syntax.Offset), err)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s:%d: %s: a %s where a %s should be",
			name, line(wrong.Offset), wrong.Field, wrong.Value, wrong.Type)
	}
	return fmt.Errorf("%s: %w", name, err)
}
