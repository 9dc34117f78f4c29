package deploy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// systemCalls returns what the service may call: systemd's own expansion of the
// SystemCallFilter= lines, in their order.
func systemCalls(tb testing.TB) map[string]bool {
	tb.Helper()
	analyze := testkit.Need(tb, "systemd", []string{"systemd-analyze"})
	var expand func(name string, into map[string]bool)
	expand = func(name string, into map[string]bool) {
		if !strings.HasPrefix(name, "@") {
			into[name] = true
			return
		}
		for line := range strings.Lines(output(tb, analyze, "syscall-filter", "--no-pager", name)) {
			// An unindented line is the set's name, "#" its description.
			if member := strings.TrimSpace(line); member != "" && line[0] == ' ' && member[0] != '#' {
				expand(member, into)
			}
		}
	}
	allowed := map[string]bool{}
	expand("@default", allowed) // part of every list of what is allowed
	for _, value := range setting(tb, "hearth.service", "SystemCallFilter") {
		names, deny := strings.CutPrefix(value, "~")
		set := map[string]bool{}
		for name := range strings.FieldsSeq(names) {
			expand(name, set)
		}
		for name := range set {
			if deny {
				delete(allowed, name)
			} else {
				allowed[name] = true
			}
		}
	}
	return allowed
}

// trace is what strace saw.
type trace struct {
	calls    map[string]string // name to its first line
	families map[string]string // likewise, of socket()
	forbid   []string          // lines that other settings of the unit refuse
}

var (
	traced    = regexp.MustCompile(`^\d+\s+([a-z_0-9]+)\(`)
	family    = regexp.MustCompile(`\bsocket\((AF_[A-Z0-9_]+)`)
	refusable = []*regexp.Regexp{
		regexp.MustCompile(`\b(mmap|mprotect|pkey_mprotect)\(.*PROT_WRITE\|PROT_EXEC`),     // MemoryDenyWriteExecute
		regexp.MustCompile(`\bclone3?\(.*CLONE_NEW`),                                       // RestrictNamespaces
		regexp.MustCompile(`\b(f?chmod|fchmodat2?|mkdir|mknod)\(.*[^0-7]0[2-7][0-7]{3}\b`), // RestrictSUIDSGID
	}
)

// readTrace reads the output of strace -f.
func readTrace(tb testing.TB, path string) trace {
	tb.Helper()
	file, err := os.Open(path)
	must(tb, err)
	defer file.Close()
	tr := trace{calls: map[string]string{}, families: map[string]string{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := traced.FindStringSubmatch(line); m != nil && tr.calls[m[1]] == "" {
			tr.calls[m[1]] = line
		}
		if m := family.FindStringSubmatch(line); m != nil && tr.families[m[1]] == "" {
			tr.families[m[1]] = line
		}
		for _, pattern := range refusable {
			if pattern.MatchString(line) {
				tr.forbid = append(tr.forbid, line)
			}
		}
	}
	must(tb, lines.Err())
	return tr
}

// TestFiltersAllowWhatTheServerCalls runs the program through its life under strace and
// compares what it called with what the unit's filters allow: a call that is refused
// only once in a while would not be noticed when the service starts.
func TestFiltersAllowWhatTheServerCalls(t *testing.T) {
	t.Parallel()
	strace := testkit.Need(t, "strace", []string{"strace"})
	allowed := systemCalls(t)
	families := strings.Fields(strings.Join(setting(t, "hearth.service", "RestrictAddressFamilies"), " "))
	for _, row := range []struct {
		name string
		life func(t *testing.T) life
	}{
		{"embedded", func(*testing.T) life { return life{} }},
		{"redis", func(t *testing.T) life {
			return life{env: []string{"HEARTH_REDIS_URL=redis://" + byName(t, testkit.Redis(t).Addr())}}
		}},
		{"postgres", func(t *testing.T) life {
			pg := testkit.Postgres(t)
			return life{env: []string{"HEARTH_DATABASE_URL=" + strings.Replace(pg.URL(), pg.Addr(), byName(t, pg.Addr()), 1)}}
		}},
		{"TLS and PROXY", secureLife},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l := row.life(t)
			notify := newNotifySocket(t)
			out := filepath.Join(t.TempDir(), "trace")
			env := append(l.env, "HEARTH_SERVER_DRAIN=100ms", "NOTIFY_SOCKET="+notify, "WATCHDOG_USEC=500000")
			wrapper := []string{strace, "--follow-forks", "--quiet=all", "--output", out}
			if os.Geteuid() == 0 { // the service is not: SQLite has calls for root only
				wrapper = append(wrapper, "--user=nobody")
			}
			s := newServerBehind(t, l.door, launch.Demo(t), env, wrapper...)
			s.pid = onlyChild(t, s.pid)
			exercise(t, s, l)
			tr := readTrace(t, out)
			tr.compare(t, allowed, families)
			// That something was seen at all: these are in every life.
			for _, name := range []string{"execve", "openat", "accept4", "fsync", "futex", "write"} {
				if tr.calls[name] == "" && (name != "fsync" || row.name == "embedded") {
					t.Errorf("strace saw no %s among %q", name, slices.Sorted(maps.Keys(tr.calls)))
				}
			}
		})
	}
}

// compare reports what the unit's filters and other settings refuse.
func (tr trace) compare(t *testing.T, allowed map[string]bool, families []string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(tr.calls)) {
		if !allowed[name] {
			t.Errorf("SystemCallFilter refuses %s: %s", name, tr.calls[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tr.families)) {
		if !slices.Contains(families, name) {
			t.Errorf("RestrictAddressFamilies refuses %s: %s", name, tr.families[name])
		}
	}
	for _, line := range tr.forbid {
		t.Errorf("another setting refuses: %s", line)
	}
}

// life is what a server is given for its life under strace.
type life struct {
	env   []string
	door  door   // to its public listener
	renew func() // what it reads again on SIGHUP; nil: nothing is new
}

// byName is an address of this machine by a name, so that it is looked up.
func byName(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	return "localhost:" + port
}

// secureLife is one with mutual TLS behind the PROXY protocol, whose certificate
// is renewed.
func secureLife(t *testing.T) life {
	t.Helper()
	dir, err := os.MkdirTemp(built, "tls-") // which the user nobody can enter
	must(t, err)
	ca := testkit.NewAuthority(t, "everybody")
	write := func(name, text string) {
		err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		if err = errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	renew := func() {
		cert, key := ca.Issue("hearth.internal", time.Hour)
		write("cert.pem", cert)
		write("key.pem", key)
	}
	renew()
	write("clients.pem", ca.PEM())
	return life{
		env: []string{
			"HEARTH_SERVER_PROXY_PROTOCOL=true", "HEARTH_SERVER_TLS_CERT=" + filepath.Join(dir, "cert.pem"),
			"HEARTH_SERVER_TLS_KEY=" + filepath.Join(dir, "key.pem"), "HEARTH_SERVER_TLS_CLIENT_CA=" + filepath.Join(dir, "clients.pem"),
		},
		door: door{header: "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\n", tls: &tls.Config{
			RootCAs: ca.Pool(), ServerName: "hearth.internal", Certificates: []tls.Certificate{ca.Pair("client")},
		}},
		renew: renew,
	}
}

// exercise makes a server do what it can: reads of all tiers, writes, a batch, the
// counter, profiles, a reload and a drain.
func exercise(t *testing.T, s *server, l life) {
	t.Helper()
	ask := func(method, url, body string, want int) {
		t.Helper()
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		must(t, err)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		client := http.DefaultClient
		if strings.HasPrefix(url, s.url) {
			client = s.http
		}
		resp, err := client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want {
			t.Errorf("%s %s is answered %d, want %d", method, url, resp.StatusCode, want)
		}
	}
	public, admin := s.url, "http://"+s.Admin
	s.AwaitReady()
	for range 3 {
		ask(http.MethodGet, public+"/user/1", "", http.StatusOK)
		ask(http.MethodGet, public+"/user/100000", "", http.StatusNotFound)
	}
	ask(http.MethodGet, public+"/user?user_id=1&user_id=2", "", http.StatusOK)
	ask(http.MethodPut, public+"/user/5", `{"name":"x"}`, http.StatusOK)
	ask(http.MethodDelete, public+"/user/5", "", http.StatusNoContent)
	ask(http.MethodPost, public+"/batch_process", `[{"id":1},{"id":2}]`, http.StatusOK)
	ask(http.MethodGet, public+"/item/1", "", http.StatusOK)
	ask(http.MethodGet, public+"/concurrent_test", "", http.StatusOK)
	ask(http.MethodGet, public+"/docs", "", http.StatusOK)
	ask(http.MethodGet, admin+"/metrics", "", http.StatusOK)
	ask(http.MethodGet, admin+"/api/stats", "", http.StatusOK)
	ask(http.MethodGet, admin+"/debug/pprof/profile?seconds=1", "", http.StatusOK)
	ask(http.MethodGet, admin+"/debug/pprof/trace?seconds=0.1", "", http.StatusOK)
	if l.renew != nil {
		l.renew()
	}
	s.signal(syscall.SIGHUP)
	testkit.Eventually(t, patience, "the configuration is reloaded", func() bool {
		return strings.Contains(s.Logs(), "configuration reloaded")
	})
	s.http.CloseIdleConnections() // so that what has been renewed is used
	ask(http.MethodGet, public+"/user/2", "", http.StatusOK)
	s.signal(syscall.SIGTERM)
	<-s.Done()
}

// onlyChild returns the process that another one, such as strace, runs.
func onlyChild(tb testing.TB, pid int) int {
	tb.Helper()
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	must(tb, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(list)))
	if err != nil {
		tb.Fatalf("process %d has the children %q, want one", pid, list)
	}
	return child
}

// newNotifySocket stands in for the service manager: it reads and forgets.
func newNotifySocket(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(tb, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, conn)
	}()
	tb.Cleanup(func() {
		conn.Close()
		<-done
	})
	return path
}

// TestFiltersNotice shows that the comparison can fail.
func TestFiltersNotice(t *testing.T) {
	t.Parallel()
	allowed := systemCalls(t)
	for name, want := range map[string]bool{
		"read": true, "epoll_wait": true, "mmap": true, "prlimit64": true, "clock_nanosleep": true,
		"mount": false, "setpriority": false, "ptrace": false, "bpf": false, "chown": false, "reboot": false,
	} {
		if allowed[name] != want {
			t.Errorf("%s is allowed: %v, want %v", name, allowed[name], want)
		}
	}
	path := filepath.Join(t.TempDir(), "trace")
	text := "12 mmap(NULL, 4096, PROT_READ|PROT_WRITE|PROT_EXEC, MAP_PRIVATE) = 0x7f\n" +
		"12 socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) = 3\n13 mount(\"a\") = -1 EPERM\n13 fchmodat(AT_FDCWD, \"/x\", 04755) = 0\n13 chmod(\"/x\", 0600) = 0\n"
	must(t, os.WriteFile(path, []byte(text), 0o600))
	tr := readTrace(t, path)
	if len(tr.forbid) != 2 || tr.families["AF_NETLINK"] == "" || tr.calls["mount"] == "" {
		t.Errorf("read from a trace with faults: %+v", tr)
	}
	if exec.Command("systemd-analyze", "syscall-filter", "@no-such-set").Run() == nil {
		t.Error("systemd-analyze takes a set that there is not")
	}
}
