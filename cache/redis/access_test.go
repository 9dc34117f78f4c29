package redis_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// TestProbeOverTLS: what keeps a connection from being made is named with the key
// that mends it.
func TestProbeOverTLS(t *testing.T) {
	t.Parallel() // one of the servers is waited for in vain
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ca, stranger, port := testkit.NewAuthority(t, "redis"), testkit.NewAuthority(t, "stranger"), testkit.FreePort(t)
	cert, key := ca.Issue("localhost", time.Hour)
	server := testkit.Redis(t, testkit.WithConfig(fmt.Sprintf("tls-port %d", port), "tls-ca-cert-file "+file("ca.crt", ca.PEM()),
		"tls-cert-file "+file("cert", cert), "tls-key-file "+file("key", key), "tls-auth-clients yes"))
	secure := func(host string) string { return fmt.Sprintf("rediss://%s:%d", host, port) }
	f := func(what, url string, c *tls.Config, want string) {
		t.Helper()
		// Again where the machine is too busy for a handshake in time.
		testkit.Eventually(t, time.Minute, what+": "+want, func() bool {
			err := redis.Probe(t.Context(), redis.Config{URL: url, TLS: func() (*tls.Config, error) { return c, nil }})
			good := (err == nil) == (want == "") && (err == nil || strings.Contains(err.Error(), want))
			if !good && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s: got %v, want %q", what, err, want)
			}
			return good
		})
	}
	good := []tls.Certificate{ca.Pair("client")}
	f("all well", secure("localhost"), &tls.Config{RootCAs: ca.Pool(), Certificates: good}, "")
	f("by address, with a name", secure("127.0.0.1"), &tls.Config{RootCAs: ca.Pool(), Certificates: good, ServerName: "localhost"}, "")
	f("by address", secure("127.0.0.1"), &tls.Config{RootCAs: ca.Pool(), Certificates: good}, "redis.tls.server_name")
	f("another name", secure("localhost"), &tls.Config{RootCAs: ca.Pool(), Certificates: good, ServerName: "elsewhere"}, "redis.tls.server_name")
	f("trusting", secure("127.0.0.1")+"?skip_verify=true", &tls.Config{Certificates: good}, "")
	f("an unknown authority", secure("localhost"), &tls.Config{RootCAs: stranger.Pool(), Certificates: good}, "redis.tls.ca")
	f("the system's authorities", secure("localhost"), &tls.Config{Certificates: good}, "redis.tls.ca")
	f("a stranger's certificate", secure("localhost"), &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{stranger.Pair("client")}}, "redis.tls.cert")
	f("no certificate", secure("localhost"), &tls.Config{RootCAs: ca.Pool()}, "redis.tls.cert")
	f("a port without TLS", strings.Replace(server.URL(), "redis:", "rediss:", 1), &tls.Config{RootCAs: ca.Pool()}, "speaks no TLS")
	f("no TLS at a port with it", strings.Replace(secure("localhost"), "rediss:", "redis:", 1), nil, "rediss://")
}

// TestProbeThroughSentinel: sentinels have an account of their own, and what speaks TLS
// speaks it everywhere. The master is told by its address, of which its certificate
// knows nothing.
func TestProbeThroughSentinel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	ca, port, watch := testkit.NewAuthority(t, "redis"), testkit.FreePort(t), testkit.FreePort(t)
	cert, key := ca.Issue("localhost", time.Hour)
	secure := []string{"tls-ca-cert-file " + file("ca.crt", ca.PEM()), "tls-cert-file " + file("cert", cert), "tls-key-file " + file("key", key), "tls-replication yes"}
	master := testkit.Redis(t, testkit.WithConfig(append(secure, fmt.Sprintf("tls-port %d", port))...))
	master.Do("ACL", "SETUSER", "hearth", "on", ">right", "~*", "&*", "+@all")
	conf := append(secure, "port 0", fmt.Sprintf("tls-port %d", watch), "bind 127.0.0.1", "dir "+dir, "requirepass guard",
		fmt.Sprintf("sentinel monitor main 127.0.0.1 %d 1", port))
	sentinel := testkit.Start(t, testkit.Command{
		Name: "sentinel", Argv: []string{testkit.NeedRedis(t), file("sentinel.conf", strings.Join(conf, "\n")+"\n"), "--sentinel"}, Dir: dir,
	})
	good := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Pair("client")}}
	who := func(name, password string) func() (redis.Account, error) {
		return func() (redis.Account, error) { return redis.Account{Username: name, Password: password}, nil }
	}
	probe := func(own, guard func() (redis.Account, error)) error {
		return redis.Probe(t.Context(), redis.Config{
			URL: fmt.Sprintf("rediss://localhost:%d?master_set=main", watch), Account: own, SentinelAccount: guard,
			TLS: func() (*tls.Config, error) { return good, nil }, LinkTimeout: 2 * time.Second, Revalidate: time.Minute,
		})
	}
	sentinel.AwaitReady(func() bool { return probe(who("hearth", "right"), who("", "guard")) == nil })
	for key, of := range map[string][2]func() (redis.Account, error){
		"redis.password_file":          {who("hearth", "wrong"), who("", "guard")},
		"redis.sentinel_password_file": {who("hearth", "right"), who("", "wrong")},
	} {
		testkit.Eventually(t, time.Minute, key+" is named", func() bool {
			err := probe(of[0], of[1])
			if err == nil {
				t.Fatalf("a wrong password is taken where %s is to be named", key)
			}
			return strings.Contains(err.Error(), "WRONGPASS") && strings.Contains(err.Error(), key)
		})
	}
}
