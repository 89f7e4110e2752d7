package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"osgate/admin"
	"osgate/config"
	"osgate/internal/watch"
)

// settingFiles holds the settings that come from entries files and may change while the
// gateway runs, such as OSGATE_ROUTES. It is safe for concurrent use.
type settingFiles struct {
	apply  func(config.Config) error // applies the changed settings
	logger *slog.Logger

	watchers map[string]*watch.Watcher // by variable

	mu     sync.Mutex // guards the fields below
	config config.Config
	states map[string]settingState // by variable
}

// settingState is the state of one file.
type settingState struct {
	loaded time.Time // when the entries in force were read
	err    error     // why the present content of the file is invalid; nil: it is in force
	since  time.Time // when err first occurred
}

// newSettingFiles returns the settings files of c, with the content in c.
func newSettingFiles(c config.Config, logger *slog.Logger, apply func(config.Config) error) *settingFiles {
	s := &settingFiles{
		apply: apply, logger: logger, watchers: map[string]*watch.Watcher{},
		config: c, states: map[string]settingState{},
	}
	for variable, path := range c.LinesFiles() {
		s.states[variable] = settingState{loaded: time.Now()}
		s.watchers[variable] = watch.New(watch.Options{
			Read: func() ([]watch.File, error) {
				f, err := watch.ReadFile(path, config.MaxLinesBytes)
				return []watch.File{f}, err
			},
			Take: func(files []watch.File, err error) error { return s.take(variable, files, err) },
			Rest: watch.Rest,
		})
	}
	return s
}

// take applies the entries of a file, or returns why they are invalid; then the former
// entries stay in force.
func (s *settingFiles) take(variable string, files []watch.File, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, before := s.config, s.states[variable]
	if err == nil {
		next, err = s.config.WithLines(variable, files[0].Text, checkRegions)
	}
	if err == nil {
		err = s.apply(next)
	}
	if err != nil {
		if before.err == nil {
			before.since = time.Now()
		}
		before.err = err
		s.states[variable] = before
		s.logger.Error("a settings file is invalid; its entries in force stay",
			"variable", variable+"_FILE", "loaded", before.loaded, "cause", err.Error())
		return err
	}
	changed := !reflect.DeepEqual(valueOf(s.config, variable), valueOf(next, variable))
	s.config, s.states[variable] = next, settingState{loaded: time.Now()}
	if changed || before.err != nil {
		s.logger.Info("a settings file was read", "variable", variable+"_FILE", "changed", changed)
	}
	return nil
}

// valueOf returns the text in force of a variable.
func valueOf(c config.Config, variable string) string {
	rows := c.Table()
	i := slices.IndexFunc(rows, func(row config.Variable) bool { return row.Name == variable })
	return rows[i].Value
}

// names returns the variables that have a file, sorted.
func (s *settingFiles) names() []string { return slices.Sorted(maps.Keys(s.watchers)) }

// reload reads the files again once they no longer change.
func (s *settingFiles) reload() {
	var all sync.WaitGroup
	for _, w := range s.watchers {
		all.Go(func() { _ = w.Reload() }) // take reports the error
	}
	all.Wait()
}

// watch applies changed files until ctx ends.
func (s *settingFiles) watch(ctx context.Context) error {
	var all sync.WaitGroup
	for _, w := range s.watchers {
		all.Go(func() { _ = w.Run(ctx) }) // ends with ctx
	}
	all.Wait()
	return nil
}

// reasons reports the files whose present content is invalid.
func (s *settingFiles) reasons() (all []admin.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, variable := range s.names() {
		if state := s.states[variable]; state.err != nil {
			all = append(all, admin.Reason{Part: settingsPart + variable, Detail: fmt.Sprintf(
				"%s_FILE as of %s is invalid, see the log; the entries of %s stay in force",
				variable, state.since.UTC().Format(time.RFC3339), state.loaded.UTC().Format(time.RFC3339))})
		}
	}
	return all
}

// shownSetting is a row of /config.
type shownSetting struct {
	config.Variable
	// Loaded is when the entries of a file were read.
	Loaded *time.Time `json:"loaded,omitempty"`
	// Problem is why the present content of the file is not in force.
	Problem string `json:"problem,omitempty"`
}

// table returns every variable with the value in force.
func (s *settingFiles) table() []shownSetting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []shownSetting
	for _, row := range s.config.Table() {
		shown := shownSetting{Variable: row}
		if state, isFile := s.states[row.Name]; isFile {
			shown.Loaded = new(state.loaded.UTC())
			if state.err != nil {
				shown.Problem = state.err.Error()
			}
		}
		all = append(all, shown)
	}
	return all
}
