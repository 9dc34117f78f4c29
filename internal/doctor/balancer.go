package doctor

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// BalancerFacts are a balancer's configuration and what the server's has to agree with.
type BalancerFacts struct {
	File, Text string
	Idle       time.Duration // server.idle_timeout
	Drain      time.Duration // server.drain
	Listen     string        // server.listen
	InFlight   int           // server.max_in_flight
}

// Balancer judges the configuration of HAProxy or nginx. It reads lines and no includes, so what
// it does not find is unknown.
func Balancer(b BalancerFacts) (f Findings) {
	b.Text = comments.ReplaceAllString(b.Text, "$1")
	if ofNginx.MatchString(b.Text) {
		b.Text = statements.ReplaceAllString(b.Text, "$0\n") // as many as there are may stand on one line
		b.nginx(&f)
	} else {
		b.haproxy(&f)
	}
	return f
}

var (
	comments   = regexp.MustCompile(`(?m)(^|\s)#.*$`)
	ofNginx    = regexp.MustCompile(`\bproxy_pass\s|\bupstream\s+\S+\s*\{`)
	statements = regexp.MustCompile(`[;{}]`)
)

const balancers = "operations.md#load-balancers"

// haproxyTimes are times as HAProxy writes them: milliseconds without a unit.
var haproxyTime = regexp.MustCompile(`^(\d+)(us|ms|s|m|h|d)?$`)

func readHAProxyTime(text string) (time.Duration, bool) {
	found := haproxyTime.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	n, err := strconv.Atoi(found[1])
	unit := map[string]time.Duration{"us": time.Microsecond, "": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[found[2]]
	return time.Duration(n) * unit, err == nil
}

// setting is the last value of a line that begins with words.
func (b *BalancerFacts) setting(words string) (value string, ok bool) {
	for line := range strings.Lines(b.Text) {
		line = strings.Join(strings.Fields(line), " ")
		if rest, found := strings.CutPrefix(line, words); found && (rest == "" || rest[0] == ' ' || rest[0] == ';') {
			value, ok = strings.Trim(rest, " ;"), true
		}
	}
	return value, ok
}

func (b *BalancerFacts) haproxy(f *Findings) {
	// Between two requests a connection to a server is idle in HAProxy's pool.
	text, ok := b.setting("pool-purge-delay")
	purge, _ := readHAProxyTime(text)
	if !ok {
		purge = 5 * time.Second // HAProxy's default
	}
	f.judge(purge < b.Idle, Finding{Level: Warning, About: b.File, Setting: "pool-purge-delay", Found: purge.String(), Page: balancers,
		Change: fmt.Sprintf("keep it below server.idle_timeout (%v)", b.Idle), Why: "a server that closes an idle connection may miss a request that is on its way"})
	check, ok := b.setting("option httpchk")
	if rest, found := b.setting("http-check send"); found { // which does nothing without the option
		check += " " + rest
	}
	f.judge(ok && strings.Contains(check, "/healthz"), Finding{Level: Warning, About: b.File, Setting: "health check", Found: check, Page: balancers,
		Change: "option httpchk GET /healthz", Why: "/readyz takes all instances out at once when Redis is away, and a bare connection tells nothing of a drain"})
	if observe := regexp.MustCompile(`(?m)^[^#\n]*\bobserve layer7\b`).MatchString(b.Text); observe {
		f.add(Finding{Level: Warning, About: b.File, Setting: "observe layer7", Found: "on", Page: balancers,
			Change: "leave it out", Why: "a client can cause 503 by asking for a record whose source is away, and would take one instance after the other out"})
	}
	f.judge(!regexp.MustCompile(`(?m)^[^#\n]*\bretry-on\b.*\ball-retryable-errors\b`).MatchString(b.Text) || strings.Contains(b.Text, "disable-l7-retry"), Finding{Level: Warning, About: b.File, Setting: "retry-on", Found: "all-retryable-errors", Page: balancers,
		Change: "retry-on conn-failure empty-response, and disable-l7-retry for all methods but GET", Why: "the first attempt of a PUT, DELETE or POST may have been done"})
	b.drain(f)
	b.connections(f)
}

// serverLine is a server of HAProxy with its checks.
var serverLine = regexp.MustCompile(`(?m)^\s*(?:default-server|server)\s[^#\n]*`)

// drain judges whether the balancer has left before the listener closes.
func (b *BalancerFacts) drain(f *Findings) {
	inter, fall := 2*time.Second, 3 // HAProxy's defaults
	for _, line := range serverLine.FindAllString(b.Text, -1) {
		words := strings.Fields(line)
		for i := range len(words) - 1 {
			switch words[i] {
			case "inter":
				if d, ok := readHAProxyTime(words[i+1]); ok {
					inter = d
				}
			case "fall":
				if n, err := strconv.Atoi(words[i+1]); err == nil {
					fall = n
				}
			}
		}
	}
	need := time.Duration(fall)*inter + time.Second
	f.judge(b.Drain >= need, Finding{Level: Warning, About: b.File, Setting: "server.drain", Found: fmt.Sprintf("%v; checks every %v, out after %d", b.Drain, inter, fall), Page: balancers,
		Change: fmt.Sprintf("server.drain = %q at least, or inter 1s fall 2", need.String()), Why: "requests still come when the listener closes"})
}

func (b *BalancerFacts) connections(f *Findings) {
	for _, line := range serverLine.FindAllString(b.Text, -1) {
		words := strings.Fields(line)
		for i := range len(words) - 1 {
			if n, err := strconv.Atoi(words[i+1]); err == nil && words[i] == "maxconn" {
				most := max(4*b.InFlight, 1024)
				f.judge(n < most, Finding{Level: Warning, About: b.File, Setting: "maxconn of a server", Found: fmt.Sprint(n), Page: balancers,
					Change: fmt.Sprintf("keep it below %d, four times server.max_in_flight", most), Why: "beyond that 503 is answered, to health checks as well"})
			}
		}
	}
}

// nginxTime is a time as nginx writes it: seconds without a unit.
func readNginxTime(text string) (time.Duration, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return time.Duration(n) * time.Second, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

func (b *BalancerFacts) nginx(f *Findings) {
	// Inside an upstream keepalive_timeout is for idle connections to the server; 60 s by default.
	idle := 60 * time.Second
	if found := regexp.MustCompile(`(?s)upstream\s+\S+\s*\{[^}]*?keepalive_timeout\s+([0-9a-z]+)\s*;`).FindStringSubmatch(b.Text); found != nil {
		if d, ok := readNginxTime(found[1]); ok {
			idle = d
		}
	}
	f.judge(idle < b.Idle, Finding{Level: Warning, About: b.File, Setting: "keepalive_timeout of the upstream", Found: idle.String(), Page: balancers,
		Change: fmt.Sprintf("keep it below server.idle_timeout (%v)", b.Idle), Why: "a server that closes an idle connection may miss a request that is on its way"})
	_, keeps := b.setting("keepalive")
	f.judge(keeps, Finding{Level: Warning, About: b.File, Setting: "keepalive of the upstream", Found: "none", Page: balancers,
		Change: "keepalive 300; in the upstream, with proxy_http_version 1.1 and proxy_set_header Connection \"\"", Why: "opening a connection costs more than ten hits"})
	version, _ := b.setting("proxy_http_version")
	connection, sent := b.setting("proxy_set_header Connection")
	f.judge(!keeps || version != "" && version != "1.0" && sent && strings.Trim(connection, `"'`) == "", Finding{Level: Warning, About: b.File, Setting: "proxy_http_version, Connection",
		Found: fmt.Sprintf("%s, %s", cmp.Or(version, "1.0 by default"), cmp.Or(connection, "close by default")), Page: balancers,
		Change: "proxy_http_version 1.1; and proxy_set_header Connection \"\"; beside proxy_pass", Why: "without both nginx closes each connection that keepalive is to keep"})
	next, _ := b.setting("proxy_next_upstream")
	f.judge(!strings.Contains(next, "http_503") && !strings.Contains(next, "non_idempotent"), Finding{Level: Warning, About: b.File, Setting: "proxy_next_upstream", Found: next, Page: balancers,
		Change: "proxy_next_upstream error timeout;", Why: "a client can cause 503 and take one instance after the other out; a write may be done twice"})
	if cache, ok := b.setting("proxy_cache"); ok && cache != "off" {
		f.add(Finding{Level: Warning, About: b.File, Setting: "proxy_cache", Found: cache, Page: balancers, Change: "proxy_cache off;", Why: "a cache in front does not learn of changes"})
	}
}
