// Package deploy checks the files in this folder, as far as that is possible without
// Docker.
package deploy

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is an instruction of a Dockerfile, with its lines joined.
type instruction struct {
	word, rest string
}

// stage is a FROM instruction with the instructions that follow it.
type stage struct {
	name, from string
	platform   string // the flag of FROM, "" if there is none
	steps      []instruction
}

// all returns the arguments of each instruction with this word.
func (s stage) all(word string) []string {
	var rest []string
	for _, i := range s.steps {
		if i.word == word {
			rest = append(rest, i.rest)
		}
	}
	return rest
}

// copies returns the COPY instructions as source, destination and source stage.
func (s stage) copies(t *testing.T) (list []struct{ from, source, to string }) {
	t.Helper()
	for _, rest := range s.all("COPY") {
		from := ""
		var plain []string
		for word := range strings.FieldsSeq(rest) {
			if value, ok := strings.CutPrefix(word, "--from="); ok {
				from = value
			} else if !strings.HasPrefix(word, "--") {
				plain = append(plain, word)
			}
		}
		if len(plain) < 2 {
			t.Fatalf("COPY %s: no source and destination", rest)
		}
		to := plain[len(plain)-1]
		for _, source := range plain[:len(plain)-1] {
			list = append(list, struct{ from, source, to string }{from, source, to})
		}
	}
	return list
}

var (
	comment      = regexp.MustCompile(`(?m)^\s*#.*\n`)
	continuation = regexp.MustCompile(`\\\n\s*`)
)

// stages parses deploy/Dockerfile.
func stages(t *testing.T) []stage {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"ARG", "CMD", "COPY", "ENTRYPOINT", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "USER", "WORKDIR"}
	var list []stage
	for line := range strings.Lines(continuation.ReplaceAllString(comment.ReplaceAllString(string(text), ""), "")) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "":
		case !slices.Contains(known, word):
			t.Fatalf("%s: no instruction that this test knows", word)
		case word == "FROM":
			from, name, _ := strings.Cut(rest, " AS ")
			platform, image, ok := strings.Cut(from, " ")
			if !ok {
				platform, image = "", from
			}
			list = append(list, stage{name: name, from: image, platform: platform})
		default:
			last := &list[len(list)-1]
			last.steps = append(last.steps, instruction{word, rest})
		}
	}
	return list
}

// target returns the stage with this name.
func target(t *testing.T, name string) stage {
	t.Helper()
	for _, s := range stages(t) {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("the Dockerfile has no target %s", name)
	return stage{}
}

// execForm parses ["/program", "argument"].
func execForm(t *testing.T, text string) []string {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(text), &words); err != nil || len(words) == 0 {
		t.Fatalf("%s: not in exec form, and there is no shell: %v", text, err)
	}
	return words
}

func TestImagesHoldWhatTheyRun(t *testing.T) {
	for _, name := range []string{"osgate", "osemu"} {
		s := target(t, name)
		if s.from != "scratch" {
			t.Errorf("%s: from %s, want scratch", name, s.from)
		}
		held := map[string]string{}
		for _, c := range s.copies(t) {
			if c.from != "build" {
				t.Errorf("%s: COPY %s is not from the build stage", name, c.source)
			}
			held[c.to] = c.source
		}
		entry := execForm(t, s.all("ENTRYPOINT")[0])
		if held[entry[0]] != "/out/"+name {
			t.Errorf("%s: runs %s, which is a copy of %q", name, entry[0], held[entry[0]])
		}
		if user := s.all("USER"); len(user) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user[0]) {
			t.Errorf("%s: USER %q is not one by number who is not root", name, user)
		}
	}
}

// Each COPY has a source, in the tree or in the output of the build stage.
func TestCopiedFilesExist(t *testing.T) {
	built := strings.Join(target(t, "build").all("RUN"), "\n")
	for _, s := range stages(t) {
		for _, c := range s.copies(t) {
			switch {
			case c.from == "":
				if found, err := filepath.Glob(filepath.Join("..", c.source)); err != nil || len(found) == 0 {
					t.Errorf("%s: COPY %s: there is none", s.name, c.source)
				}
			case c.source == "/out/data":
				if !strings.Contains(built, "mkdir -p /out/data") {
					t.Errorf("%s: nobody makes /out/data", s.name)
				}
			case strings.HasPrefix(c.source, "/out/"):
				command := "cmd/" + path.Base(c.source)
				if _, err := os.Stat(filepath.Join("..", command, "main.go")); err != nil || !strings.Contains(built, "./"+command) {
					t.Errorf("%s: nobody builds %s", s.name, c.source)
				}
			case c.source != "/etc/ssl/certs/ca-certificates.crt":
				t.Errorf("%s: COPY %s: not known to be there", s.name, c.source)
			}
		}
	}
}

func TestImagesAreBuiltByTheGoOfTheModule(t *testing.T) {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(module))[1]
	if from := target(t, "build").from; from != "golang:"+version {
		t.Errorf("built from %s, go.mod says %s", from, version)
	}
}

// A build for another platform compiles on that of the builder, for that of the image,
// and stamps the version and the commit.
func TestProgramsAreCompiledForThePlatformOfTheImage(t *testing.T) {
	build := target(t, "build")
	if build.platform != "--platform=$BUILDPLATFORM" {
		t.Errorf("the build stage has %q, so that it is emulated", build.platform)
	}
	for _, name := range []string{"osgate", "osemu"} {
		if p := target(t, name).platform; p != "" {
			t.Errorf("%s has %q, want the platform that is asked for", name, p)
		}
	}
	compile := strings.Join(build.all("RUN"), "\n")
	for _, want := range []string{
		"CGO_ENABLED=0", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH",
		"-trimpath", "-buildvcs=$BUILDVCS", "-X main.version=$VERSION",
	} {
		if !strings.Contains(compile, want) {
			t.Errorf("no %s in %s", want, compile)
		}
	}
	declared := strings.Join(build.all("ARG"), " ")
	for _, want := range []string{"TARGETOS", "TARGETARCH", "VERSION=devel", "BUILDVCS=auto"} {
		if !slices.Contains(strings.Fields(declared), want) {
			t.Errorf("ARG %s is missing: %s", want, declared)
		}
	}
	ignored, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(strings.Split(string(ignored), "\n"), ".git") {
		t.Error(".git is left out: the commit cannot be stamped")
	}
}

// The gateway's image has CA certificates, because its upstream uses HTTPS, and a
// health check that needs no shell.
func TestGatewayImageChecksItself(t *testing.T) {
	s := target(t, "osgate")
	if !slices.ContainsFunc(s.copies(t), func(c struct{ from, source, to string }) bool {
		return c.to == "/etc/ssl/certs/ca-certificates.crt"
	}) {
		t.Error("no CA certificates")
	}
	_, command, _ := strings.Cut(s.all("HEALTHCHECK")[0], "CMD ")
	if got := execForm(t, command); !slices.Equal(got, []string{"/osgate", "healthcheck"}) {
		t.Errorf("the health check is %v", got)
	}
	if all := stages(t); all[len(all)-1].name != "osgate" {
		t.Errorf("a build without --target makes %s", all[len(all)-1].name)
	}
}
