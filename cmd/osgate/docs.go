package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"osgate/config"
)

const docsUsage = "docs takes man, or completion bash|zsh|fish"

// docs prints the manual page or the completion of a shell, for packages. The usage
// does not list it.
func (p *program) docs(_ context.Context, args []string) int {
	switch {
	case len(args) == 1 && args[0] == "man":
		writeMan(p.out, commands())
		return exitOK
	case len(args) == 2 && args[0] == "completion":
		write, ok := map[string]func(io.Writer, []command){
			"bash": writeBash, "zsh": writeZsh, "fish": writeFish,
		}[args[1]]
		if ok {
			write(p.out, commands())
			return exitOK
		}
	}
	return p.misuse("%s: %q", docsUsage, args)
}

// roff escapes text for a line of a manual page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}

// writeMan writes osgate(1). It contains no version and no date, so that it changes
// with the commands and settings alone.
func writeMan(w io.Writer, all []command) {
	fmt.Fprint(w, ".TH OSGATE 1\n.ad l\n.SH NAME\nosgate \\- gateway in front of MuleSoft Anypoint Object Store v2\n"+
		".SH SYNOPSIS\n.B osgate\n[\\fICOMMAND\\fR]\n.SH COMMANDS\n")
	for _, c := range all {
		fmt.Fprintf(w, ".TP\n\\fB%s\\fR %s\n%s.\n", c.name, roff(c.arguments), roff(c.summary))
		if len(c.options) == 0 {
			continue
		}
		fmt.Fprint(w, ".RS\n")
		for _, o := range c.options {
			fmt.Fprintf(w, ".TP\n\\fB%s\\fR \\fI%s\\fR\n%s.\n", roff(o.name), roff(o.value), roff(o.meaning))
		}
		fmt.Fprint(w, ".RE\n")
	}
	fmt.Fprint(w, ".SH ENVIRONMENT\n")
	for _, v := range config.Variables() {
		preset := ""
		if v.Default != "" {
			preset = " Default: " + v.Default + "."
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s.%s\n", v.Name, roff(v.Description), roff(preset))
	}
	fmt.Fprintf(w, ".SH SIGNALS\n.TP\n.B SIGTERM\\fR, \\fBSIGINT\n%s\n.TP\n.B SIGHUP\n%s\n",
		roff("drain and end; a second one ends at once."),
		roff("read certificates, policy and the files of settings again."))
	fmt.Fprint(w, ".SH FILES\n.TP\n.I /etc/osgate/osgate.env\nthe settings of osgate.service.\n"+
		".TP\n.I /var/lib/osgate\nthe statistics of a gateway without Redis.\n")
	fmt.Fprintf(w, ".SH EXIT STATUS\n%s\n", roff(exitStatuses))
}

// completions returns the words that can follow a command.
func completions(c command) string {
	all := append([]string{}, c.words...)
	for _, o := range c.options {
		all = append(all, o.name)
	}
	return strings.Join(all, " ")
}

// names returns the names of the commands.
func names(all []command) string {
	var list []string
	for _, c := range all {
		list = append(list, c.name)
	}
	return strings.Join(list, " ")
}

// writeBash writes the completion of bash, which falls back to file names.
func writeBash(w io.Writer, all []command) {
	fmt.Fprintf(w, "# bash completion for osgate\n_osgate() {\n\tlocal words= current=${COMP_WORDS[COMP_CWORD]}\n"+
		"\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='%s'\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", names(all))
	for _, c := range all {
		if words := completions(c); words != "" {
			fmt.Fprintf(w, "\t\t%s) words='%s' ;;\n", c.name, words)
		}
	}
	fmt.Fprint(w, "\t\tesac\n\tfi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n"+
		"complete -o default -F _osgate osgate\n")
}

// quoted returns text in single quotes of a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// writeZsh writes the completion of zsh.
func writeZsh(w io.Writer, all []command) {
	fmt.Fprint(w, "#compdef osgate\n_osgate() {\n\tlocal -a choices\n\tif (( CURRENT == 2 )); then\n\t\tchoices=(\n")
	for _, c := range all {
		fmt.Fprintf(w, "\t\t\t%s\n", quoted(c.name+":"+c.summary))
	}
	fmt.Fprint(w, "\t\t)\n\t\t_describe command choices\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, c := range all {
		if words := completions(c); words != "" {
			fmt.Fprintf(w, "\t%s) choices=(%s) ;;\n", c.name, words)
		}
	}
	fmt.Fprint(w, "\tesac\n\tcompadd -- $choices\n\t_files\n}\n_osgate \"$@\"\n")
}

// writeFish writes the completion of fish.
func writeFish(w io.Writer, all []command) {
	fmt.Fprint(w, "# fish completion for osgate\n")
	for _, c := range all {
		fmt.Fprintf(w, "complete -c osgate -n __fish_use_subcommand -f -a %s -d %s\n", c.name, quoted(c.summary))
		within := quoted("__fish_seen_subcommand_from " + c.name)
		if len(c.words) > 0 {
			fmt.Fprintf(w, "complete -c osgate -n %s -a %s\n", within, quoted(strings.Join(c.words, " ")))
		}
		for _, o := range c.options {
			needs := ""
			if o.value != "" {
				needs = " -r"
			}
			fmt.Fprintf(w, "complete -c osgate -n %s -o %s%s -d %s\n",
				within, strings.TrimPrefix(o.name, "-"), needs, quoted(o.meaning))
		}
	}
}
