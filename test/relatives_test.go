package test

import (
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// relative is a program that speaks Redis' protocol and is not Redis: a real server
// behind what differs.
func relative(t *testing.T, info, refuses, refusal string) deployed {
	redis := testkit.Redis(t)
	front := testkit.ScriptedRedis(t, func(c *testkit.Conn) {
		c.Forward(testkit.Forwarding{
			To: redis.Addr(),
			Command: func(cmd []string) bool {
				refused := refuses != "" && strings.EqualFold(strings.Join(cmd[:min(2, len(cmd))], " "), refuses)
				if refused {
					c.Reply(testkit.Error(refusal))
				}
				return refused
			},
			Reply: func(cmd []string, raw string) string {
				_, text, _ := strings.Cut(raw, "\r\n")
				if !strings.EqualFold(cmd[0], "INFO") || !strings.Contains(text, "redis_version:") {
					return raw
				}
				text = strings.TrimPrefix(strings.TrimSuffix(text, "\r\n"), "txt:")
				return testkit.Encode(strings.Replace(text, "redis_version:7.0.15", info, 1))
			},
		})
	})
	return deployed{url: front.URL(), env: "HEARTH_MEMORY_LINK_TIMEOUT=1s"}
}

// logged waits until the log has a text.
func (s *story) logged(text string) {
	s.Helper()
	await(s, "the log says "+text, func() bool { return strings.Contains(s.in.Logs(), text) })
}

// TestKeyDB is refused as what it says it is: Redis 6.
func TestKeyDB(t *testing.T) {
	t.Parallel()
	d := relative(t, "redis_version:6.3.4", "", "")
	s := tellUnready(t, d)
	await(t, "the instance serves", func() bool { return s.in.Get("/healthz").Code == 200 })
	s.logged(`is too old: 7.0 or later is needed`)
	await(t, "both listeners are there", func() bool { return s.in.AskAdmin("GET", "/readyz", "").Err == nil })
	if got := s.in.AskAdmin("GET", "/readyz", ""); got.Code != 503 {
		t.Errorf("/readyz is answered %v", got)
	}
	s.must(404, "GET", "/row/1", "")
	s.must(503, "PUT", "/row/1", `{"v":"refused"}`)
}

// TestServersWithoutTracking do everything but to report changes: an early Dragonfly,
// which knows no CLIENT CACHING, and managed services that refuse CLIENT TRACKING.
// What is read there is true when it is read, and marked.
func TestServersWithoutTracking(t *testing.T) {
	t.Parallel()
	f := func(name, info, refuses, refusal, says string) {
		t.Run(name, func(t *testing.T) {
			s := tellUnready(t, relative(t, info, refuses, refusal))
			s.logged(says)
			await(t, "it is in use", func() bool { return s.in.Ask("PUT", "/row/1", `{"v":"put"}`).Code == 200 })
			for range 20 {
				if got := s.in.Get("/row/1"); got.Code != 200 || !strings.Contains(got.Body, rowOf(1, "put")) || got.Unmarked() {
					t.Errorf("answered %v, want a marked answer", got)
				}
			}
			s.must(200, "POST", "/batch", `[{"id":"a"}]`)
			s.must(200, "GET", "/count", "")
			s.must(204, "DELETE", "/row/1", "")
			s.must(404, "GET", "/row/1", "")
		})
	}
	f("Dragonfly", "redis_version:7.4.0\r\ndragonfly_version:df-v1.15.1", "CLIENT CACHING",
		"ERR unknown subcommand or wrong number of arguments for 'CACHING'", "does not report changes")
	f("managed", "redis_version:7.1.0", "CLIENT TRACKING", "ERR unknown subcommand 'tracking'. Try CLIENT HELP.", "redis refuses CLIENT TRACKING")
}
