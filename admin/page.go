package admin

import (
	"bytes"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// pages are the files of the page, as they are served.
//
//go:embed page
var pages embed.FS

// openAsset is the one asset that the login page has too.
const openAsset = "assets/style.css"

// assets returns the names of all files below page/assets, as [file] wants them. It panics if the folder cannot be read.
func assets() (names []string) {
	err := fs.WalkDir(pages, "page/assets", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(name, "page/"))
		}
		return err
	})
	if err != nil {
		panic("admin: " + err.Error())
	}
	return names
}

// file returns a handler for one of the embedded files. It panics if there is none of that name, when the handler is made.
func file(name string) http.HandlerFunc {
	body, contentType := load(name), contentTypeOf(name)
	return func(w http.ResponseWriter, _ *http.Request) { send(w, http.StatusOK, contentType, body) }
}

func load(name string) []byte {
	body, err := pages.ReadFile(path.Join("page", name))
	if err != nil {
		panic("admin: " + err.Error())
	}
	return body
}

// contentTypeOf returns the media type of a file by its ending. The system's table of types is not asked, since it differs between systems.
func contentTypeOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// noProblem is where login.html says what was wrong with the last try.
const noProblem = `<p id="problem" hidden></p>`

// sendLogin answers with the login form and, where there is one, a problem, which is plain text of ours.
func sendLogin(w http.ResponseWriter, status int, wrong string) {
	page := load("login.html")
	if wrong != "" {
		page = bytes.Replace(page, []byte(noProblem), []byte(`<p id="problem" role="alert">`+wrong+`</p>`), 1)
	}
	send(w, status, contentTypeOf("login.html"), page)
}
