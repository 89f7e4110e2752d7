package config

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// WriteTable writes rows as aligned plain text, one line per row under a line of
// headings. It returns the first error of w.
func WriteTable(w io.Writer, rows []Variable) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "VARIABLE\tVALUE\tSOURCE\tDEFAULT\tMEANING")
	for _, row := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			row.Name, cell(row.Value), cell(string(row.Source)), cell(row.Default), row.meaning())
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("writing the table of variables: %w", err)
	}
	return nil
}

// WriteMarkdown writes rows as a Markdown table for the documentation: name, default
// and meaning, without values in force. It returns the first error of w.
func WriteMarkdown(w io.Writer, rows []Variable) error {
	out := bufio.NewWriter(w)
	_, _ = fmt.Fprint(out, "| variable | default | meaning |\n| --- | --- | --- |\n")
	for _, row := range rows {
		def := ""
		if row.Default != "" {
			def = "`" + row.Default + "`"
		}
		_, _ = fmt.Fprintf(out, "| `%s` | %s | %s |\n", row.Name, def, strings.ReplaceAll(row.meaning(), "|", `\|`))
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the table of variables: %w", err)
	}
	return nil
}

// meaning returns the description, with the name of the _FILE form if there is one.
func (v Variable) meaning() string {
	meaning := v.Description
	if v.File {
		meaning += "; or " + v.Name + fileSuffix
	}
	return meaning
}

// cell returns text in the form used in a column: a dash if empty, quoted if it would
// break the line.
func cell(text string) string {
	switch {
	case text == "":
		return "-"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return strconv.Quote(text)
	}
	return text
}
