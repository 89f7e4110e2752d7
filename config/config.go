// Package config turns the environment into one validated [Config].
//
// A variable is one struct field. Its tags hold the name, default, bounds, choices and
// description, so that [Load], [Variables] and the table for operators cannot disagree.
// Load reports every problem at once, each under the name of its variable. No problem,
// table or log line contains the value of a secret.
//
// The tags are
//
//	env         the name, without the prefix OSGATE_
//	envDefault  the text used if the variable is unset or empty
//	oneof       the allowed words, separated by commas
//	min, max    bounds of a number, a duration or a size, inclusive; each of these needs a min
//	file        "lines": the _FILE form holds one list entry per line, and may change
//	            while the gateway runs
//	desc        a description of one line
//
// This package checks the syntax of variables and how they fit together. It knows the
// five planes by name but no region, opens only the files that the OSGATE_…_FILE
// variables name, and makes no connection. Whether a region exists, a certificate loads
// or Redis answers is checked by the command that builds the gateway.
package config

import "log/slog"

// Prefix begins the name of every osgate variable. The OTEL_* variables and HTTPS_PROXY
// are read by the libraries that define them.
const Prefix = "OSGATE_"

// Minimum returns Level as a log/slog level; Info if Level is empty.
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

// Key returns the 32 bytes that SECRET encodes, nil if it is unset.
func (c Config) Key() []byte {
	key, err := decodeKey(c.Secret.Reveal())
	if err != nil {
		return nil
	}
	return key
}
