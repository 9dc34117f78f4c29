package command

import (
	"fmt"
	"strings"

	"hearth/internal/testkit/troff"
)

// manualDate is when the manual page was last looked at as a whole.
const manualDate = "2026-11-29"

// Markdown is docs/cli.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# The command line

<!-- Made from the table of verbs: go test ./internal/command -update -->

`)
	fmt.Fprintf(&b, "```\nhearth [-config FILE] [VERB] [ARGUMENT...]\n```\n\n%s\n\n| verb | |\n|---|---|\n", strings.Join(paragraphs(program().about), "\n\n"))
	for _, v := range verbs() {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", v.name, v.name, v.summary)
	}
	b.WriteString("\n`-config FILE` is the configuration, `config.toml` in the working directory unless it is given; it may stand before or behind the verb. `hearth help VERB` and `hearth VERB -h` print what is said here.\n" +
		"The manual page hearth(1) says the same; [`completion`](#completion) prints what completes all of it in a shell.\n")
	for _, t := range topics() {
		fmt.Fprintf(&b, "\n## %s\n\n", t.title)
		if t.about != "" {
			fmt.Fprintf(&b, "%s\n\n", t.about)
		}
		b.WriteString("| | |\n|---|---|\n")
		for _, r := range t.rows {
			fmt.Fprintf(&b, "| `%s` | %s |\n", r.word, r.means)
		}
	}
	for _, v := range verbs() {
		v.writeMarkdown(&b, nil)
	}
	return b.String()
}

func (v verb) writeMarkdown(b *strings.Builder, above []string) {
	fmt.Fprintf(b, "\n%s %s\n\n```\n%s\n```\n\n%s\n", strings.Repeat("#", 2+len(above)), strings.TrimSpace(title("", above, v.name)),
		strings.Join(v.synopses(above...), "\n"), strings.Join(paragraphs(v.about), "\n\n"))
	if options := v.options(false); len(options) > 0 {
		b.WriteString("\n| flag | |\n|---|---|\n")
		for _, o := range options {
			fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(o.String(), "|", `\|`), strings.ReplaceAll(o.usage, "|", `\|`))
		}
	}
	if len(v.examples) > 0 {
		b.WriteString("\n| for example | |\n|---|---|\n")
	}
	for _, e := range v.examples {
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.ReplaceAll(e.line, "|", `\|`), e.does)
	}
	for _, sub := range v.verbs {
		sub.writeMarkdown(b, v.below(above))
	}
}

// ManualPage is hearth(1), for troff's man macros, which every man knows.
func ManualPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" Made from the table of verbs: go test ./internal/command -update\n.TH HEARTH 1 %q Hearth %q\n.nh\n.ad l\n", manualDate, "User Commands")
	b.WriteString(".SH NAME\nhearth \\- answers hot JSON reads over HTTP from memory\n.SH SYNOPSIS\n")
	for _, v := range verbs() {
		for _, line := range v.synopses() {
			writeSynopsis(&b, line)
		}
	}
	b.WriteString(".SH DESCRIPTION\n")
	writeTroffParagraphs(&b, program().about)
	b.WriteString(".PP\nThe configuration is one TOML file, see\n.BR hearth.toml (5).\n.SH VERBS\n")
	for _, v := range verbs() {
		v.writeTroff(&b, nil)
	}
	b.WriteString(".SH OPTIONS\n.TP\n.BI \\-config \" FILE\"\nThe configuration,\n.I config.toml\nin the working directory unless it is given.\nIt may stand before or behind the verb.\n")
	for _, t := range topics() {
		fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(t.title))
		if t.about != "" {
			writeTroffParagraphs(&b, t.about)
		}
		for _, r := range t.rows {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", troff.Word(r.word), troff.Text(r.means))
		}
	}
	b.WriteString(".SH SEE ALSO\n.BR hearth.toml (5),\n.BR redis\\-server (1),\n.BR systemd.service (5)\n")
	return b.String()
}

func (v verb) writeTroff(b *strings.Builder, above []string) {
	fmt.Fprintf(b, ".SS %s\n", troff.Word(strings.TrimSpace(title("", above, v.name))))
	if len(v.verbs) == 0 {
		for _, line := range v.synopses(above...) {
			writeSynopsis(b, line)
		}
		b.WriteString(".PP\n")
	}
	writeTroffParagraphs(b, v.about)
	for _, o := range v.options(false) {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", troff.Word(o.String()), troff.Text(o.usage))
	}
	for _, e := range v.examples {
		fmt.Fprintf(b, ".PP\n%s:\n.PP\n.RS 4\n.EX\n%s\n.EE\n.RE\n", troff.Text(upperFirst(e.does)), troff.Word(e.line))
	}
	for _, sub := range v.verbs {
		sub.writeTroff(b, v.below(above))
	}
}

// writeSynopsis prints how a verb is written, in lines that may be broken.
func writeSynopsis(b *strings.Builder, line string) {
	_, rest, _ := strings.Cut(line, " ")
	fmt.Fprintf(b, ".HP 4\n.B hearth\n%s\n", troff.Text(rest))
}

func writeTroffParagraphs(b *strings.Builder, text string) {
	for i, p := range paragraphs(text) {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		fmt.Fprintf(b, "%s\n", troff.Text(p))
	}
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
