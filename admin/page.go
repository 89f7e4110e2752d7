package admin

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// pages contains the files of the page, as they are served.
//
//go:embed page
var pages embed.FS

// openAsset is the only asset that the login form uses.
const openAsset = "assets/style.css"

// assets returns the names of all files below page/assets, in the form that [file]
// needs. It panics if the folder cannot be read.
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

// file returns a handler for one of the embedded files, which is sent compressed to
// browsers. It panics if no file has that name.
func file(name string) http.HandlerFunc {
	body, contentType := load(name), contentTypeOf(name)
	small := compressed(body)
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		if !acceptsGzip(r.Header.Get("Accept-Encoding")) {
			send(w, http.StatusOK, contentType, body)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		send(w, http.StatusOK, contentType, small)
	}
}

// compressed returns body in the form of gzip.
func compressed(body []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = w.Write(body)                                    // a buffer accepts all
	_ = w.Close()
	return out.Bytes()
}

// acceptsGzip reports whether a client that sends this Accept-Encoding accepts gzip. It
// understands what browsers send; other clients may get the plain file.
func acceptsGzip(accepted string) bool {
	for coding := range strings.SplitSeq(accepted, ",") {
		if name, quality, _ := strings.Cut(strings.TrimSpace(coding), ";"); strings.EqualFold(name, "gzip") {
			return quality == ""
		}
	}
	return false
}

func load(name string) []byte {
	body, err := pages.ReadFile(path.Join("page", name))
	if err != nil {
		panic("admin: " + err.Error())
	}
	return body
}

// contentTypeOf returns the media type of a file by its extension. It does not use the
// table of the operating system, because that differs between systems.
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

// noProblem is the element of login.html that is replaced by the error of a failed
// login.
const noProblem = `<p id="problem" hidden></p>`

// sendLogin sends the login form and, if wrong is not empty, an error. wrong is plain
// text from this package, so it needs no escaping.
func sendLogin(w http.ResponseWriter, status int, wrong string) {
	page := load("login.html")
	if wrong != "" {
		page = bytes.Replace(page, []byte(noProblem), []byte(`<p id="problem" role="alert">`+wrong+`</p>`), 1)
	}
	send(w, status, contentTypeOf("login.html"), page)
}
