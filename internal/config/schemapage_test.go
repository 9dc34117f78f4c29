package config_test

import (
	"fmt"
	"strings"
	"testing"

	"hearth/internal/config"
	"hearth/internal/testkit/troff"
)

// TestSchemaPage: hearth.toml(5) has every key with what the reference says of it.
func TestSchemaPage(t *testing.T) {
	var b strings.Builder
	b.WriteString(`.\" Made from the keys and docs/configuration.md: go test ./internal/config -update
.TH HEARTH.TOML 5 "2026-11-29" Hearth "File Formats"
.nh
.ad l
.SH NAME
hearth.toml \- the configuration of hearth
.SH DESCRIPTION
The server reads one TOML file,
.I config.toml
in the working directory, or
.I /etc/hearth/config.toml
where the package has installed it.
An unknown key, a wrong type or a contradiction is a fault;
.B hearth check
lists all of them, each with file, line, key and what to write instead.
.PP
Durations are a number and a unit: \(dq250ms\(dq, \(dq5s\(dq, \(dq1m30s\(dq.
Sizes are bytes, or a text with a unit: 4096, \(dq16KiB\(dq, \(dq8MiB\(dq.
Rates are a count and a unit: \(dq100/s\(dq, \(dq5000/m\(dq.
Relative paths begin at the directory of the file.
.PP
Each single value of the tables in single brackets can be set by a variable:
.BR HEARTH_ ,
the table, _, the key, in capitals.
`)
	all, section := meanings(t), ""
	for _, key := range config.AllKeys() {
		name, _, _ := strings.Cut(key, ".")
		if name != section {
			section = name
			fmt.Fprintf(&b, ".SH %s\n", strings.ToUpper(section))
			if text := all[section].Text; text != "" {
				b.WriteString(troff.Text(text) + "\n")
			}
		}
		m := all[key]
		accepts := "Accepts " + m.Accepts
		switch m.Fallback {
		case "":
		case "required":
			accepts += "; required"
		default:
			accepts += "; default " + m.Fallback
		}
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n.br\n%s\n", troff.Word(key), troff.Text(m.Text), troff.Text(accepts+"."))
	}
	b.WriteString(".SH SEE ALSO\n.BR hearth (1)\n")
	generated(t, root+"deploy/man/hearth.toml.5", []byte(b.String()))
}
