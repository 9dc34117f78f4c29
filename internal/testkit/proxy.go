package testkit

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Proxy is an HAProxy or nginx in front of what a test starts.
type Proxy struct {
	*Process
	dir    string
	config string // path of its configuration
	listen []string
}

// Dir is the proxy's own directory, against which relative paths in its
// configuration resolve.
func (p *Proxy) Dir() string { return p.dir }

// HAProxy starts haproxy in the foreground with a complete configuration, and
// returns when all addresses on its bind lines listen. Its log is its own output.
// Relative paths resolve against a directory that files are put into.
func HAProxy(tb TB, config string, files ...File) *Proxy {
	tb.Helper()
	p := newProxy(tb, "haproxy", config, files, haproxyBind)
	// -db: stay in the foreground, one process.
	p.start(tb, NeedHAProxy(tb), 0, "-db", "-f", p.config)
	return p
}

// Nginx starts nginx in the foreground with a complete configuration, less
// `daemon`, `pid` and `error_log`, which are set here, and returns when all addresses on
// its listen lines do. The error log is its own output.
func Nginx(tb TB, config string, files ...File) *Proxy {
	tb.Helper()
	p := newProxy(tb, "nginx", config, files, nginxListen)
	global := fmt.Sprintf("daemon off; pid %s; error_log stderr;", filepath.Join(p.dir, "nginx.pid"))
	// Terminated, the master ends its workers; killed, it would leave them.
	p.start(tb, NeedNginx(tb), syscall.SIGTERM, "-p", p.dir, "-e", "stderr", "-c", p.config, "-g", global)
	return p
}

// File is a file beside a proxy's configuration, such as a certificate or a script.
type File struct {
	Name string // relative to the proxy's directory
	Text string
}

// Where the proxies listen: addresses with a port, ports, and unix sockets.
var (
	haproxyBind = regexp.MustCompile(`(?m)^\s*bind\s+(\S+)`)
	nginxListen = regexp.MustCompile(`(?m)^\s*listen\s+([^\s;]+)`)
)

func newProxy(tb TB, name, config string, files []File, listen *regexp.Regexp) *Proxy {
	tb.Helper()
	p := &Proxy{dir: TempDir(tb, name)}
	p.config = filepath.Join(p.dir, name+".conf")
	writeFile(tb, p.config, config)
	for _, f := range files {
		writeFile(tb, filepath.Join(p.dir, f.Name), f.Text)
	}
	for _, m := range listen.FindAllStringSubmatch(config, -1) {
		addr := strings.TrimPrefix(m[1], "unix:")
		if strings.Contains(m[1], "unix@") {
			addr = m[1][strings.Index(m[1], "@")+1:]
		}
		p.listen = append(p.listen, addr)
	}
	if len(p.listen) == 0 {
		tb.Fatalf("starting %s: its configuration says nowhere to listen", name)
	}
	return p
}

func (p *Proxy) start(tb TB, bin string, deathSignal syscall.Signal, args ...string) {
	tb.Helper()
	p.Process = Start(tb, Command{
		Name: strings.TrimSuffix(filepath.Base(p.config), ".conf"), Argv: append([]string{bin}, args...), Dir: p.dir, DeathSignal: deathSignal,
	})
	p.AwaitReady(func() bool {
		for _, addr := range p.listen {
			if !Listening(addr) {
				return false
			}
		}
		return true
	})
}
