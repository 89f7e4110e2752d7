// Package config turns the environment into one validated [Config].
//
// A variable is a struct field and nothing else: its tags carry name, default, bounds, choices and description, so that
// [Load], [Variables] and the table an operator prints cannot disagree. Load tells every problem at once, each under the
// name of its variable, and no problem, table or log line ever holds a secret's value.
//
// The tags are
//
//	env         the name, without the prefix OSGATE_
//	envDefault  the text taken where the variable is unset or empty
//	oneof       the words allowed, separated by commas
//	min, max    bounds of a number, a duration or a size, both included; min stands wherever one of these is read
//	file        lines: the _FILE form holds one entry of a list a line, and may change while the gateway runs
//	desc        one line for people
//
// This package checks syntax and what variables say of each other. It knows the five planes by name but no region, opens
// no file but those of the OSGATE_…_FILE forms, and reaches nothing: whether a region exists, a certificate loads or
// Redis answers is found out by the command that wires the gateway.
package config

import "log/slog"

// Prefix begins the name of every variable that is ours. OpenTelemetry's own OTEL_* and HTTPS_PROXY are read by the
// libraries they belong to.
const Prefix = "OSGATE_"

// Minimum returns Level as log/slog counts it: Info where Level is empty.
func (l Log) Minimum() slog.Level {
	switch l.Level {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Key returns the 32 bytes that SECRET encodes, nil where it is unset.
func (c Config) Key() []byte {
	key, err := decodeKey(c.Secret.Reveal())
	if err != nil {
		return nil
	}
	return key
}
