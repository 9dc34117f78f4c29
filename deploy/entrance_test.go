package deploy_test

import (
	"context"
	"crypto/tls"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// Lines of the shipped files that are commented out, and what of them is adapted.
const (
	haproxyProxy  = "#default-server send-proxy-v2 check-send-proxy"
	haproxyTLS    = "#default-server ssl verify required ca-file /etc/haproxy/hearth-ca.pem verifyhost hearth.internal"
	haproxyClient = "#default-server crt /etc/haproxy/client.pem"

	nginxPass   = "#proxy_pass https://hearth;"
	nginxVerify = "#proxy_ssl_verify on;"
	nginxCA     = "#proxy_ssl_trusted_certificate /etc/nginx/hearth-ca.pem;"
	nginxName   = "#proxy_ssl_name hearth.internal;"
	nginxCert   = "#proxy_ssl_certificate /etc/nginx/client.crt;"
	nginxKey    = "#proxy_ssl_certificate_key /etc/nginx/client.key;"
)

// uncomment takes the # from lines of a shipped file, and the files they name from
// the balancer's own directory.
func uncomment(tb testing.TB, text string, lines ...string) string {
	tb.Helper()
	for _, line := range lines {
		if strings.Count(text, line) != 1 {
			tb.Fatalf("the file has %q %d times, want once", line, strings.Count(text, line))
		}
		by := line[1:]
		if line == nginxPass { // it belongs elsewhere, as its comment says
			by, text = line, strings.ReplaceAll(text, "\tproxy_pass http://hearth;", "\tproxy_pass https://hearth;")
		}
		by = strings.NewReplacer("/etc/haproxy/", "", "/etc/nginx/", "").Replace(by)
		text = strings.Replace(text, line, by, 1)
	}
	return text
}

// entrance is a Hearth with TLS, clients' certificates, or the PROXY protocol.
type entrance struct {
	proxy, tls, clients bool
}

// start starts it with the demo's configuration and a log of all requests, for a
// balancer on this machine, and returns what the balancer's files need.
func (e entrance) start(t *testing.T) (s *server, files []testkit.File) {
	t.Helper()
	config := strings.Replace(launch.Demo(t), "trusted_proxies = []", `trusted_proxies = ["127.0.0.1/32"]`, 1)
	env := []string{"HEARTH_LOG_ACCESS_SAMPLE=1", fmt.Sprintf("HEARTH_SERVER_PROXY_PROTOCOL=%v", e.proxy)}
	d := door{}
	if e.proxy {
		d.header = "PROXY UNKNOWN\r\n"
	}
	if !e.tls {
		return newServerBehind(t, d, config, env), nil
	}
	ca, clients, dir := testkit.NewAuthority(t, "servers"), testkit.NewAuthority(t, "clients"), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	cert, key := ca.Issue("hearth.internal", time.Hour)
	env = append(env, "HEARTH_SERVER_TLS_CERT="+file("cert.pem", cert), "HEARTH_SERVER_TLS_KEY="+file("key.pem", key))
	d.tls = &tls.Config{RootCAs: ca.Pool(), ServerName: "hearth.internal"}
	if e.clients {
		env = append(env, "HEARTH_SERVER_TLS_CLIENT_CA="+file("clients.pem", clients.PEM()))
		d.tls.Certificates = []tls.Certificate{clients.Pair("test")}
	}
	cert, key = clients.Issue("balancer", time.Hour)
	return newServerBehind(t, d, config, env), []testkit.File{
		{Name: "hearth-ca.pem", Text: ca.PEM()}, {Name: "client.pem", Text: cert + key},
		{Name: "client.crt", Text: cert}, {Name: "client.key", Text: key},
	}
}

// sendFrom sends a GET from an address of this machine and returns the status.
func sendFrom(from, url string) (int, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, network, addr)
		},
	}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// health is HAProxy's state of its servers with what their latest checks have
// come to, such as "UP L7OK", from a page that is added to its configuration.
func health(tb testing.TB, addr string) (states []string) {
	tb.Helper()
	for _, server := range statistics(tb, addr) {
		states = append(states, server["status"]+" "+strings.TrimPrefix(server["check_status"], "* "))
	}
	return states
}

// statistics are the numbers of that page for each server, by their names.
func statistics(tb testing.TB, addr string) (servers []map[string]string) {
	tb.Helper()
	resp, err := http.Get("http://" + addr + "/;csv")
	must(tb, err)
	defer resp.Body.Close()
	rows, err := csv.NewReader(resp.Body).ReadAll()
	if err != nil || len(rows) == 0 {
		tb.Fatalf("reading HAProxy's statistics: %v", err)
	}
	for _, row := range rows[1:] {
		server := map[string]string{}
		for i, name := range rows[0] {
			server[name] = row[i]
		}
		if strings.HasPrefix(server["svname"], "hearth") {
			servers = append(servers, server)
		}
	}
	return servers
}

// TestBalancersAtTheEntrance takes the # from the lines that are for TLS and the
// PROXY protocol: health checks and requests pass, and Hearth's log names the
// client, not the balancer. Where a line is missing nothing passes, so it is the
// lines that are tested.
func TestBalancersAtTheEntrance(t *testing.T) {
	t.Parallel()
	nginxLines := []string{nginxPass, nginxVerify, nginxCA, nginxName}
	for _, row := range []struct {
		name     string
		balancer balancer
		hearth   entrance
		lines    []string
		passes   bool
	}{
		{"haproxy with PROXY", balancers[0], entrance{proxy: true}, []string{haproxyProxy}, true},
		{"haproxy with TLS", balancers[0], entrance{tls: true}, []string{haproxyTLS}, true},
		{"haproxy with mutual TLS", balancers[0], entrance{tls: true, clients: true}, []string{haproxyTLS, haproxyClient}, true},
		{"haproxy with all", balancers[0], entrance{true, true, true}, []string{haproxyProxy, haproxyTLS, haproxyClient}, true},
		{"haproxy without PROXY", balancers[0], entrance{proxy: true}, nil, false},
		{"haproxy without a certificate", balancers[0], entrance{tls: true, clients: true}, []string{haproxyTLS}, false},
		{"nginx with TLS", balancers[1], entrance{tls: true}, nginxLines, true},
		{"nginx with mutual TLS", balancers[1], entrance{tls: true, clients: true}, append(nginxLines[:4:4], nginxCert, nginxKey), true},
		{"nginx without a certificate", balancers[1], entrance{tls: true, clients: true}, nginxLines, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s, files := row.hearth.start(t)
			text, addr := row.balancer.config(t, [3]string{s.Public, s.Public, s.Public})
			text = uncomment(t, text, row.lines...)
			stats := fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(t))
			if row.balancer.name == "haproxy" {
				text += "\nlisten stats\n\tbind " + stats + "\n\tstats enable\n\tstats uri /\n"
			}
			row.balancer.start(t, text, files...)
			if row.balancer.name == "haproxy" {
				awaitHealth(t, stats, row.passes)
			}
			for i, client := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.2"} {
				passesFor(t, s, client, fmt.Sprintf("http://%s/user/%d", addr, i+1), row.passes)
			}
		})
	}
}

// awaitHealth waits until HAProxy's checks find all three servers up, or all down.
func awaitHealth(t *testing.T, stats string, up bool) {
	t.Helper()
	var states []string
	defer func() {
		if t.Failed() {
			t.Logf("the checks' states: %q", states)
		}
	}()
	testkit.Eventually(t, patience, fmt.Sprintf("health checks agree that servers are up: %v", up), func() bool {
		states = health(t, stats)
		agree := 0
		for _, state := range states {
			if up && strings.HasPrefix(state, "UP L7OK") || !up && strings.HasPrefix(state, "DOWN ") {
				agree++
			}
		}
		return agree == 3
	})
}

// passesFor asks as a client and finds it in Hearth's log; or is told by the
// balancer that no server can be had.
func passesFor(t *testing.T, s *server, client, url string, passes bool) {
	t.Helper()
	code, err := sendFrom(client, url)
	if err != nil || (code == http.StatusOK) != passes || !passes && code/100 != 4 && code/100 != 5 {
		t.Errorf("%s is answered %d (%v), want 200: %v", client, code, err, passes)
	}
	if !passes {
		return
	}
	path := url[strings.LastIndex(url, "/user/"):]
	line := regexp.MustCompile(`(?m)^.* path=` + path + ` .* client=(\S+) .*$`)
	var found []string
	testkit.Eventually(t, patience, "the request for "+path+" is logged", func() bool {
		found = line.FindStringSubmatch(s.Logs())
		return found != nil
	})
	if found[1] != client {
		t.Errorf("the log names %s as the client, want %s", found[1], client)
	}
}
