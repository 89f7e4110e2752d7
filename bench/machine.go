package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"osgate/bench/report"
)

// build builds osgate from the checkout that this program's folder is in, as make build
// does.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-C", "..", "-trimpath", "-tags", "grpcnotrace",
		"-ldflags", "-s -w", "-o", to, "./cmd/osgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it then ends its compilers
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building osgate: %w\n%s", err, out)
	}
	return nil
}

// describe returns a run with everything but the samples.
func describe(ctx context.Context, o options) *report.Run {
	osgate := output(ctx, "git", "describe", "--tags", "--always", "--dirty")
	if o.given {
		osgate = o.osgate
	}
	if o.base != "" {
		osgate += " (before: " + o.base + ")"
	}
	return &report.Run{
		Started: time.Now(), Rounds: o.rounds, Seconds: o.seconds, Machine: machine(), Load: loadAverage(),
		Command: "make bench-peers" + makeVariables(o),
		Versions: map[string]string{
			"osgate": osgate,
			"Go":     strings.TrimPrefix(runtime.Version(), "go"),
			"nginx":  behind(output(ctx, "nginx", "-v"), "nginx/"),
			"Redis":  field(output(ctx, "redis-server", "--version"), "v="),
			"wrk":    field(output(ctx, "wrk", "-v"), "debian/"),
			"Linux":  output(ctx, "uname", "-r"),
		},
	}
}

// makeVariables returns the settings that differ from the defaults, as make takes them.
func makeVariables(o options) string {
	var text strings.Builder
	if o.rounds != 5 {
		fmt.Fprintf(&text, " ROUNDS=%d", o.rounds)
	}
	if o.seconds != 3 {
		fmt.Fprintf(&text, " SECONDS=%d", o.seconds)
	}
	if connections := fmt.Sprint(o.connections); connections != "[32 128]" {
		fmt.Fprintf(&text, " CONNECTIONS=%s", strings.ReplaceAll(strings.Trim(connections, "[]"), " ", ","))
	}
	if o.only != "" {
		fmt.Fprintf(&text, " ONLY='%s'", o.only)
	}
	if o.given {
		fmt.Fprintf(&text, " OSGATE=%s", o.osgate)
	}
	if o.base != "" {
		fmt.Fprintf(&text, " OSGATE_BASE=%s", o.base)
	}
	return text.String()
}

// machine describes the processor, the cores and the memory.
func machine() string {
	cpu := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, ok := strings.Cut(string(text), "model name")
		if line, _, _ := strings.Cut(rest, "\n"); ok {
			cpu = strings.TrimSpace(strings.TrimLeft(line, "\t: "))
		}
	}
	var kilobytes int64
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		_, _ = fmt.Sscanf(string(text), "MemTotal: %d kB", &kilobytes)
	}
	return fmt.Sprintf("%s, %d cores, %d GB of memory, %s/%s",
		cpu, runtime.NumCPU(), kilobytes>>20, runtime.GOOS, runtime.GOARCH)
}

// loadAverage returns the three load averages.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// output returns the first line of the output of a command, and "unknown" if it fails.
func output(ctx context.Context, name string, arguments ...string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, arguments...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil && text == "" {
		return "unknown"
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// behind returns the text behind a prefix, wherever it is.
func behind(text, prefix string) string {
	_, rest, ok := strings.Cut(text, prefix)
	if !ok {
		return "unknown"
	}
	return rest
}

// field is behind, up to the next blank.
func field(text, prefix string) string {
	value, _, _ := strings.Cut(behind(text, prefix), " ")
	return value
}
