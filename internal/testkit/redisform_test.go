package testkit_test

import (
	"os/exec"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

func TestRedisThatLoads(t *testing.T) {
	t.Parallel()
	s := testkit.Redis(t)
	s.Do("DEBUG", "POPULATE", "20000", "k", "100")
	s.Stop()
	done := s.StartLoading()
	if _, err := s.Try("SET", "other", "1"); err == nil || !strings.HasPrefix(err.Error(), "LOADING") {
		t.Errorf("while it loads: %v, want LOADING", err)
	}
	done()
	if n := s.Int("DBSIZE"); n != 20000 {
		t.Errorf("it has loaded %d keys, want 20000", n)
	}
}

func TestRedisThatFollows(t *testing.T) {
	t.Parallel()
	a, b := testkit.Redis(t), testkit.Redis(t)
	a.Do("SET", "k", "1")
	b.Follow(a)
	if got := b.Text("GET", "k"); got != "1" {
		t.Errorf("the replica has %q", got)
	}
	if _, err := b.Try("SET", "k", "2"); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("a replica takes a write: %v", err)
	}
	b.Promote()
	b.Do("SET", "k", "2")
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	for _, clients := range []bool{false, true} {
		s := testkit.TLSRedis(t, clients)
		ask := []string{"--tls", "--cacert", s.File("ca.crt"), "-u", s.URL(), "PING"}
		out, err := exec.Command("redis-cli", ask...).CombinedOutput()
		if got := strings.TrimSpace(string(out)) == "PONG"; got == clients {
			t.Errorf("certificates wanted: %v; without one: %q, %v", clients, out, err)
		}
		ask = append([]string{"--cert", s.File("client.crt"), "--key", s.File("client.key")}, ask...)
		if out, err := exec.Command("redis-cli", ask...).CombinedOutput(); strings.TrimSpace(string(out)) != "PONG" {
			t.Errorf("with a certificate: %q, %v", out, err)
		}
	}
	if got, want := testkit.Redis(t).SocketURL(3), "redis.sock?db=3"; !strings.HasSuffix(got, want) {
		t.Errorf("the socket is %q, want …%s", got, want)
	}
}
