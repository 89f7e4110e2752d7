package config

import (
	"reflect"
	"strings"
)

// Source says where the value in force came from.
type Source string

// The sources of a value: the default of the variable, the variable itself, or the file that its _FILE form names.
const (
	FromDefault     Source = "default"
	FromEnvironment Source = "environment"
	FromFile        Source = "file"
)

// Variable is one row of the table of settings.
type Variable struct {
	// Name is the full name, prefix included.
	Name string `json:"name"`
	// Default is the text in force where the variable is unset; "" where there is none.
	Default string `json:"default"`
	// Value is the text in force: "[redacted]" for a secret that is set, a URL without its query.
	// Only [Config.Table] fills it.
	Value string `json:"value"`
	// Source says where Value came from. Only [Config.Table] fills it.
	Source Source `json:"source,omitempty"`
	// Description is one line for people.
	Description string `json:"description"`
	// File reports whether the variable may be given as Name + "_FILE", the path of a file that holds the value.
	File bool `json:"file,omitempty"`
}

// setting is what the environment said of one variable.
type setting struct {
	value  string // masked where secret
	source Source
}

// Variables returns every variable there is, in the order of the documentation, without values.
func Variables() []Variable {
	fields := fields()
	rows := make([]Variable, len(fields))
	for i, f := range fields {
		rows[i] = f.Variable
	}
	return rows
}

// Table returns every variable with the value in force and its source, secrets masked. It tells what [Load] read.
func (c Config) Table() []Variable {
	rows := Variables()
	for i := range rows {
		row := &rows[i]
		row.Value, row.Source = row.Default, FromDefault
		if s, given := c.settings[row.Name]; given {
			row.Value, row.Source = s.value, s.source
		}
	}
	return rows
}

// field is a Variable and the rules its tags hold.
type field struct {
	Variable
	choices  []string // the words allowed
	min, max string   // bounds as text, "" for none
	url      bool     // the value is a URL
	secret   bool     // the value is never shown
	lines    bool     // the value is a list, whose file holds an entry a line
}

// masked returns a value of f, which was read without a problem, as people may see it.
func (f *field) masked(text string) string {
	switch {
	case f.secret:
		return redacted
	case f.url:
		return withoutQuery(text)
	}
	return text
}

// fields reads the tags of Config.
func fields() []field { return appendFields(nil, reflect.TypeFor[Config]()) }

// appendFields appends the variables of one section and of the sections inside it, in the order of the source.
func appendFields(all []field, section reflect.Type) []field {
	for f := range section.Fields() {
		switch _, isVariable := f.Tag.Lookup("env"); {
		case isVariable:
			all = append(all, newField(f))
		case f.IsExported() && f.Type.Kind() == reflect.Struct:
			all = appendFields(all, f.Type)
		}
	}
	return all
}

// newField reads the tags of one struct field.
func newField(sf reflect.StructField) field {
	f := field{
		Variable: Variable{
			Name:        Prefix + sf.Tag.Get("env"),
			Default:     sf.Tag.Get("envDefault"),
			Description: sf.Tag.Get("desc"),
			File:        sf.Type == reflect.TypeFor[Secret]() || sf.Tag.Get("file") == "lines",
		},
		min: sf.Tag.Get("min"),
		max: sf.Tag.Get("max"),
		url: sf.Type == reflect.TypeFor[URL](),

		secret: sf.Type == reflect.TypeFor[Secret](),
		lines:  sf.Tag.Get("file") == "lines",
	}
	if words := sf.Tag.Get("oneof"); words != "" {
		f.choices = strings.Split(words, ",")
	}
	return f
}
