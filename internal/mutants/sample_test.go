package main

import (
	"fmt"
	"slices"
	"testing"
)

// texts returns the mutations as text, in their order.
func texts(mutations []Mutation) []string {
	var texts []string
	for _, m := range mutations {
		texts = append(texts, fmt.Sprint(m.start, m))
	}
	return texts
}

func TestASeedDecidesTheOrder(t *testing.T) {
	var mutations []Mutation
	for i := range 100 {
		mutations = append(mutations, Mutation{File: "p.go", From: "a", To: fmt.Sprint("b", i/2), start: i}) // each text twice
	}
	number(mutations)
	one := texts(shuffle(mutations, 1))
	if !slices.Equal(one, texts(shuffle(mutations, 1))) {
		t.Error("the same seed gives another order")
	}
	if slices.Equal(one, texts(shuffle(mutations, 2))) {
		t.Error("another seed gives the same order")
	}
	if slices.Equal(one, texts(mutations)) {
		t.Error("the order is that of the file")
	}
	fewer := texts(shuffle(slices.Delete(slices.Clone(mutations), 40, 42), 1))
	rest := slices.DeleteFunc(slices.Clone(one), func(text string) bool { return !slices.Contains(fewer, text) })
	if len(fewer) != 98 || !slices.Equal(fewer, rest) {
		t.Error("mutations that are gone change the order of the other ones")
	}
	slices.Sort(one)
	all := texts(mutations)
	slices.Sort(all)
	if !slices.Equal(one, all) {
		t.Error("mutations are lost")
	}
}
