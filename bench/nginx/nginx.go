// Package nginx holds the configuration of the peer: nginx with Lua and Redis.
package nginx

import (
	"embed"
	"os"
	"path/filepath"
	"strings"
)

//go:embed nginx.conf gateway.lua redis_rate/allow.lua
var files embed.FS

// Write makes a folder for nginx and writes its configuration there, with the values in
// place of the names in double braces.
func Write(dir string, values map[string]string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "{{"+name+"}}", value)
	}
	for _, name := range []string{"nginx.conf", "gateway.lua"} {
		text := strings.NewReplacer(pairs...).Replace(read(name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Script returns the script that counts a quota in Redis: the one that osgate uses too.
func Script() string { return read("redis_rate/allow.lua") }

// read returns an embedded file.
func read(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the compiler has embedded it
	}
	return string(text)
}
