package command

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"

	"hearth/internal/app"
	"hearth/internal/operator"
	"hearth/internal/tty"
)

// bannerWidth is as wide as a terminal is at least, in columns. Commands may be longer: one
// that is cut is none.
const bannerWidth = 80

// factColumns stand before what a line says.
const factColumns = 13

// bannerPaths bounds the lines about paths: the banner has fifteen lines at most.
const bannerPaths = 5

// greet is the banner for whoever looks on; nil if nobody does.
func (p Process) greet(config string) func(app.Served) {
	// A service manager may give a terminal to what it starts; then it wants to be notified.
	env := tty.Env(p.Env)
	if !tty.Is(p.Stderr) || env.Variable("NOTIFY_SOCKET") != "" {
		return nil
	}
	return func(s app.Served) { fmt.Fprint(p.Stderr, banner(near(s), p.called(), config, env.Colours())) }
}

// near names files from the working directory, as who has started the program does.
func near(s app.Served) app.Served {
	here, err := os.Getwd()
	if err != nil || here == "/" {
		return s
	}
	s.Tier = strings.ReplaceAll(s.Tier, here+"/", "")
	for i := range s.Paths {
		s.Paths[i].From = strings.ReplaceAll(s.Paths[i].From, here+"/", "")
	}
	return s
}

// called is how the program is called again: by its path if it was called so, for then it need
// not be where a shell looks.
func (p Process) called() string {
	if strings.Contains(p.Name, "/") {
		return shellWord(p.Name)
	}
	return "hearth"
}

// banner says what is served where, and what to try next. It is for the eyes of who has
// started the server by hand; scripts read the log.
func banner(s app.Served, program, config string, colour bool) string {
	bold, dim, plain := "", "", ""
	if colour {
		bold, dim, plain = "\x1b[1m", "\x1b[2m", "\x1b[0m"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s%s\n\n", bold, fit(fmt.Sprintf("Hearth %s, as %s says", s.Version, operator.Printable(config)), bannerWidth), plain)
	fact := func(name, text string) {
		fmt.Fprintf(&b, "  %s%-10s%s %s\n", dim, name, plain, fit(operator.Printable(text), bannerWidth-factColumns))
	}
	public, admin := reached(s.Public, s.TLS), reached(s.Admin, false)
	for i, text := range publicFacts(s, public) {
		fact([]string{"public", ""}[i], text)
	}
	if public.socket == "" {
		fact("docs", public.url+"/docs")
	}
	if admin.socket == "" {
		fact("dashboard", admin.url+"/")
	} else {
		fact("admin", s.Admin)
	}
	fact("tier", s.Tier)
	shown := s.Paths
	if len(shown) > bannerPaths {
		shown = shown[:bannerPaths-1]
	}
	name := "serves"
	for _, path := range shown {
		fact(name, fmt.Sprintf("%-30s %s", path.Path, path.From))
		name = ""
	}
	if more := len(s.Paths) - len(shown); more > 0 {
		fact("", fmt.Sprintf("… and %d more", more))
	}
	name = "try"
	for _, command := range nextCommands(s, public, program, config) {
		fmt.Fprintf(&b, "  %s%-10s%s %s\n", dim, name, plain, command)
		name = ""
	}
	b.WriteByte('\n')
	return b.String()
}

// publicFacts are where the public listener is, and what a client needs to be let in: in one
// line or, where that is too long, in two.
func publicFacts(s app.Served, at reach) []string {
	text, notes := at.url, []string{}
	note := func(is bool, what string) {
		if is {
			notes = append(notes, what)
		}
	}
	if at.socket != "" {
		text = s.Public
	}
	note(at.everywhere, "on all interfaces")
	note(s.ClientCerts, "client certificates")
	note(s.ProxyHeader, "PROXY header")
	note(s.Tokens, "write tokens")
	all := strings.Join(append([]string{text}, notes...), ", ")
	if len(all) > bannerWidth-factColumns && len(notes) > 0 {
		return []string{text, strings.Join(notes, ", ")}
	}
	return []string{all}
}

// nextCommands are what somebody does next who has never done it.
func nextCommands(s app.Served, at reach, program, config string) []string {
	commands := []string{curl(s, at, cmp.Or(s.Example, "/"))}
	if config != "config.toml" {
		program += " -config " + shellWord(config)
	}
	if s.Example != "" {
		commands = append(commands, program+" explain "+shellWord(s.Example))
	}
	return append(commands, program+" top")
}

// curl is the command that asks for a path.
func curl(s app.Served, at reach, path string) string {
	command := "curl -i "
	if s.ClientCerts {
		command += "--cert CLIENT.pem --key CLIENT.key "
	}
	if s.ProxyHeader {
		command += "--haproxy-protocol "
	}
	switch {
	case strings.HasPrefix(at.socket, "@"):
		command += "--abstract-unix-socket " + shellWord(at.socket[1:]) + " "
	case at.socket != "":
		command += "--unix-socket " + shellWord(at.socket) + " "
	}
	return command + shellWord(at.url+path)
}

// reach is how a listener is reached from its own machine.
type reach struct {
	url        string // without a path
	socket     string // of a Unix socket; the URL names any host then
	everywhere bool   // it listens on all addresses
}

// reached is how to reach an address as the configuration writes it.
func reached(address string, tls bool) reach {
	scheme := "http://"
	if tls {
		scheme = "https://"
	}
	if path, isSocket := strings.CutPrefix(address, "unix:"); isSocket {
		return reach{url: scheme + "localhost", socket: path}
	}
	host, port, _ := net.SplitHostPort(address) // an address of a socket has both
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return reach{url: scheme + net.JoinHostPort("127.0.0.1", port), everywhere: true}
	}
	return reach{url: scheme + address}
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%~\[\]-]+$`)

// shellWord is text as one word of a shell. What a terminal would obey is shown, not sent.
func shellWord(text string) string {
	text = operator.Printable(text)
	if plainWord.MatchString(text) && !strings.HasPrefix(text, "~") && !strings.Contains(text, "[") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// fit cuts text to a number of columns.
func fit(text string, columns int) string {
	used, last := 0, 0 // last is where a cut leaves room for its sign
	for i, r := range text {
		if used < columns {
			last = i
		}
		if used += columnsOf(r); used > columns {
			return text[:last] + "…"
		}
	}
	return text
}

// columnsOf is what a character takes: those of East Asia and pictures take two.
func columnsOf(r rune) int {
	if r >= 0x1100 && r < 0x1160 || r >= 0x2e80 {
		return 2
	}
	return 1
}
