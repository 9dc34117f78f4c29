package topology

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/proof/outside"
)

// MasterSet is what the sentinels call the master.
const MasterSet = "main"

// Sentinels is a master with two replicas, and three sentinels that watch them.
type Sentinels struct {
	Servers   []*testkit.RedisServer
	Sentinels []*Sentinel

	tb testkit.TB
}

// Sentinel is one of them.
type Sentinel struct {
	*testkit.Process
	Port int
	tb   testkit.TB
	dir  string
}

// NewSentinels starts all. A master that does not answer for down is failed over.
func NewSentinels(tb testkit.TB, down time.Duration) *Sentinels {
	tb.Helper()
	s := &Sentinels{tb: tb}
	for i := range 3 {
		var opts []testkit.RedisOption
		if i > 0 {
			opts = append(opts, testkit.WithConfig(fmt.Sprintf("replicaof 127.0.0.1 %d", s.Servers[0].Port())))
		}
		s.Servers = append(s.Servers, testkit.Redis(tb, opts...))
	}
	// What a sentinel finds at first it knows at once, what comes later seconds later.
	for _, replica := range s.Servers[1:] {
		testkit.Eventually(tb, within, "the replicas follow the master", func() bool {
			return strings.Contains(replica.Text("INFO", "replication"), "master_link_status:up")
		})
	}
	for range 3 {
		one := &Sentinel{Port: testkit.FreePort(tb), tb: tb, dir: testkit.TempDir(tb, "sentinel")}
		conf := fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
sentinel monitor %s 127.0.0.1 %d 2
sentinel down-after-milliseconds %[3]s %[5]d
sentinel failover-timeout %[3]s 10000
sentinel parallel-syncs %[3]s 2
`, one.Port, one.dir, MasterSet, s.Servers[0].Port(), down.Milliseconds())
		if err := os.WriteFile(filepath.Join(one.dir, "sentinel.conf"), []byte(conf), 0o600); err != nil {
			tb.Fatal(err)
		}
		one.Start()
		s.Sentinels = append(s.Sentinels, one)
	}
	s.AwaitWhole()
	return s
}

// Start starts a sentinel, again if it was killed.
func (s *Sentinel) Start() {
	s.tb.Helper()
	s.Process = testkit.Start(s.tb, testkit.Command{
		Name: "sentinel", Argv: []string{testkit.NeedRedis(s.tb), filepath.Join(s.dir, "sentinel.conf"), "--sentinel"}, Dir: s.dir,
	})
	s.AwaitReady(func() bool { return testkit.Listening(s.Addr()) })
}

// Addr is host:port.
func (s *Sentinel) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// Try asks a sentinel.
func (s *Sentinel) Try(args ...string) (any, error) {
	var v any
	err := testkit.Try(s.tb, func(tb testkit.TB) {
		conn := testkit.DialRedis(tb, s.Addr())
		defer conn.Close()
		v = conn.Do(args...)
	})
	return v, err
}

// URL is redis.url for the sentinels at these addresses, nil: all.
func (s *Sentinels) URL(addrs ...string) string {
	if addrs == nil {
		for _, one := range s.Sentinels {
			addrs = append(addrs, one.Addr())
		}
	}
	return "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr=") + "&master_set=" + MasterSet
}

// Named is the server that a majority of the sentinels names master.
func (s *Sentinels) Named() (*testkit.RedisServer, error) {
	votes := map[string]int{}
	for _, one := range s.Sentinels {
		if !one.Running() || one.Paused() {
			continue
		}
		named, err := one.Try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterSet)
		list, _ := named.([]any)
		if err == nil && len(list) == 2 {
			votes[fmt.Sprint(list[1])]++
		}
	}
	for _, server := range s.Servers {
		if votes[fmt.Sprint(server.Port())] > len(s.Sentinels)/2 {
			return server, nil
		}
	}
	return nil, errors.New("no majority of the sentinels names a master")
}

// IsMaster tells whether a server answers and says that it is a master.
func (s *Sentinels) IsMaster(server *testkit.RedisServer) bool { return isMaster(server) }

// Master is Named that fails the owner.
func (s *Sentinels) Master() *testkit.RedisServer {
	s.tb.Helper()
	server, err := s.Named()
	if err != nil {
		s.tb.Fatal(err)
	}
	return server
}

// State is nil when the sentinels agree on a master that says that it is one, and all
// others follow it.
func (s *Sentinels) State() error {
	master, err := s.Named()
	if err != nil {
		return err
	}
	for _, one := range s.Sentinels {
		if !one.Running() || one.Paused() {
			return fmt.Errorf("sentinel %s does not run", one.Addr())
		}
		info, err := one.Try("INFO", "sentinel")
		if err != nil || !strings.Contains(fmt.Sprint(info), fmt.Sprintf("status=ok,address=%s,slaves=2,sentinels=3", master.Addr())) {
			return fmt.Errorf("sentinel %s: %v, %w", one.Addr(), info, err)
		}
	}
	for _, server := range s.Servers {
		role, err := server.Try("ROLE")
		list, _ := role.([]any)
		switch {
		case err != nil || len(list) < 3:
			return fmt.Errorf("server %s: its role is %v, %w", server.Addr(), role, err)
		case server == master && list[0] != "master":
			return fmt.Errorf("server %s is named master and is none", server.Addr())
		case server != master && (list[0] != "slave" || list[2] != int64(master.Port()) || list[3] != "connected"):
			return fmt.Errorf("server %s: its role is %v", server.Addr(), role)
		}
	}
	return nil
}

// AwaitWhole waits until State is nil.
func (s *Sentinels) AwaitWhole() {
	s.tb.Helper()
	var err error
	testkit.Eventually(s.tb, within, "the sentinels agree, and all follow the master", func() bool { err = s.State(); return err == nil })
}

// Failover has the sentinels make another server the master, as an operator does before
// he touches the master's machine.
func (s *Sentinels) Failover() {
	s.tb.Helper()
	was := s.Master()
	testkit.Eventually(s.tb, within, "a sentinel takes a fail-over", func() bool {
		_, err := s.Sentinels[0].Try("SENTINEL", "FAILOVER", MasterSet)
		return err == nil
	})
	testkit.Eventually(s.tb, within, "the sentinels name another master", func() bool {
		now, err := s.Named()
		return err == nil && now != was
	})
}

// Past is another program that uses whatever is named master.
func (s *Sentinels) Past() *outside.Client { return outside.Named(s.Named) }
