package config

import (
	"reflect"
	"strings"
)

// Source is where the value in force came from.
type Source string

// The sources of a value: the default of the variable, the variable itself, or the file
// that its _FILE form names.
const (
	FromDefault     Source = "default"
	FromEnvironment Source = "environment"
	FromFile        Source = "file"
)

// Variable is one row of the table of settings.
type Variable struct {
	// Name is the full name, prefix included.
	Name string `json:"name"`
	// Default is the text in force if the variable is unset; "" if there is none.
	Default string `json:"default"`
	// Value is the text in force: "[redacted]" for a secret that is set, a URL without
	// its query. Only [Config.Table] sets it.
	Value string `json:"value"`
	// Source is where Value came from. Only [Config.Table] sets it.
	Source Source `json:"source,omitempty"`
	// Description is a description of one line.
	Description string `json:"description"`
	// File reports whether the variable may be given as Name + "_FILE", whose value is
	// the path of a file with the value.
	File bool `json:"file,omitempty"`
}

// setting is the value that the environment gave one variable.
type setting struct {
	value  string // masked where secret
	source Source
}

// Variables returns every variable in the order of the documentation, without values.
func Variables() []Variable {
	fields := fields()
	rows := make([]Variable, len(fields))
	for i, f := range fields {
		rows[i] = f.Variable
	}
	return rows
}

// Table returns every variable with the value that [Load] read and its source, secrets
// masked.
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

// Given reports whether the environment sets a variable, such as "BUDGET".
func (c Config) Given(variable string) bool {
	_, given := c.settings[Prefix+variable]
	return given
}

// FileOf returns the path of the file that a variable, such as "UPSTREAM_CLIENT_SECRET",
// was read from, "" if it was not read from a file.
func (c Config) FileOf(variable string) string { return c.files[Prefix+variable] }

// field is a Variable and the rules in its tags.
type field struct {
	Variable
	choices  []string // the allowed words
	min, max string   // bounds as text, "" for none
	url      bool     // the value is a URL
	secret   bool     // the value is never shown
	lines    bool     // the value is a list; its file has one entry per line
}

// fields reads the tags of Config.
func fields() []field { return appendFields(nil, reflect.TypeFor[Config]()) }

// appendFields appends the variables of one section and of the sections inside it, in
// the order of the source.
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
