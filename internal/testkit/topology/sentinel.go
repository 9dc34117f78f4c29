package topology

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// MasterSet is what the sentinels call the master.
const MasterSet = "main"

// Sentinels is a master with two replicas, and three sentinels that watch them.
type Sentinels struct {
	Servers   []*testkit.RedisServer
	Sentinels []*Sentinel

	tb   testkit.TB
	host string // on which servers here are announced
}

// Sentinel is one of them.
type Sentinel struct {
	*testkit.Process // the latest, for its owner
	Port             int

	tb   testkit.TB
	host string
	dir  string
	wrap func(argv ...string) []string // nil: it runs here

	latest testkit.Latest
}

// NewSentinels starts all. A master that does not answer for down is failed over.
func NewSentinels(tb testkit.TB, down time.Duration) *Sentinels {
	tb.Helper()
	s := &Sentinels{tb: tb, host: "127.0.0.1"}
	s.Servers = append(s.Servers, testkit.Redis(tb))
	master := net.JoinHostPort(s.host, fmt.Sprint(s.Servers[0].Port()))
	s.replicas(master)
	s.awaitReplicas()
	for range 3 {
		s.Sentinels = append(s.Sentinels, newSentinel(tb, s.host, nil, master, down))
	}
	s.AwaitWhole()
	return s
}

// replicas starts two replicas of a master.
func (s *Sentinels) replicas(master string) {
	host, port, _ := net.SplitHostPort(master)
	for range 2 {
		s.Servers = append(s.Servers, testkit.Redis(s.tb, testkit.WithConfig("bind "+s.host, "protected-mode no", "replica-announce-ip "+s.host,
			fmt.Sprintf("replicaof %s %s", host, port))))
	}
}

// Hasten has the sentinels look and talk more often than they do in the field, so that
// what takes them ten seconds, such as to make the old master a replica, takes two.
func (s *Sentinels) Hasten() {
	s.tb.Helper()
	for _, one := range s.Sentinels {
		if _, err := one.Try("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "300", "ASK-PERIOD", "300"); err != nil {
			s.tb.Fatalf("hastening sentinel %s: %v", one.Addr(), err)
		}
	}
}

// awaitReplicas waits until those that are no masters follow one. What a sentinel finds
// at first it knows at once, what comes later seconds later.
func (s *Sentinels) awaitReplicas() {
	for _, server := range s.Servers {
		testkit.Eventually(s.tb, within, "the replicas follow the master", func() bool {
			text := server.Text("INFO", "replication")
			return strings.Contains(text, "role:master") || strings.Contains(text, "master_link_status:up")
		})
	}
}

// newSentinel starts a sentinel at an address of host, by a command that wrap makes.
func newSentinel(tb testkit.TB, host string, wrap func(argv ...string) []string, master string, down time.Duration) *Sentinel {
	s := &Sentinel{Port: testkit.FreePort(tb), tb: tb, host: host, dir: testkit.TempDir(tb, "sentinel"), wrap: wrap}
	masterHost, masterPort, _ := net.SplitHostPort(master)
	conf := fmt.Sprintf(`port %d
bind %s
protected-mode no
sentinel announce-ip %[2]s
dir %[3]s
sentinel monitor %[4]s %[5]s %[6]s 2
sentinel down-after-milliseconds %[4]s %[7]d
sentinel failover-timeout %[4]s 10000
sentinel parallel-syncs %[4]s 2
`, s.Port, host, s.dir, MasterSet, masterHost, masterPort, down.Milliseconds())
	if err := os.WriteFile(filepath.Join(s.dir, "sentinel.conf"), []byte(conf), 0o600); err != nil {
		tb.Fatal(err)
	}
	s.Start()
	return s
}

// Start starts a sentinel, again if it was killed.
func (s *Sentinel) Start() {
	s.tb.Helper()
	argv := []string{testkit.NeedRedis(s.tb), filepath.Join(s.dir, "sentinel.conf"), "--sentinel"}
	if s.wrap != nil {
		argv = s.wrap(argv...)
	}
	s.Process = s.latest.Is(testkit.Start(s.tb, testkit.Command{Name: "sentinel", Argv: argv, Dir: s.dir}))
	s.AwaitReady(func() bool { return strings.Contains(s.Logs(), "Sentinel ID is") })
}

// Running reports whether the sentinel has not ended yet. A paused one runs.
func (s *Sentinel) Running() bool { return s.latest.Running() }

// Paused reports whether the sentinel stands still by Pause.
func (s *Sentinel) Paused() bool { return s.latest.Paused() }

// Addr is host:port.
func (s *Sentinel) Addr() string { return net.JoinHostPort(s.host, fmt.Sprint(s.Port)) }

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

// knows tells whether a sentinel believes that a master is well, and knows all others.
func (s *Sentinel) knows(master string) bool {
	info, err := s.Try("INFO", "sentinel")
	return err == nil && strings.Contains(fmt.Sprint(info), "status=ok,address="+master+",slaves=2,sentinels=3")
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
		if !one.knows(net.JoinHostPort(s.host, fmt.Sprint(master.Port()))) {
			return fmt.Errorf("sentinel %s does not know all, or another master", one.Addr())
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
