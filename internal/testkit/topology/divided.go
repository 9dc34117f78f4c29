package topology

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"hearth/internal/testkit"
)

// Divided is a master and one sentinel on an island, two replicas and two sentinels
// here: when the island is cut off, those here are a majority.
type Divided struct {
	*Sentinels // of those here; its servers are the replicas
	Island     *Island
	There      *Sentinel
	Master     string // host:port of the one on the island
}

// NewDivided starts all. A master that does not answer for down is failed over.
func NewDivided(tb testkit.TB, down time.Duration) *Divided {
	tb.Helper()
	island := NewIsland(tb)
	d := &Divided{Sentinels: &Sentinels{tb: tb, host: island.Here}, Island: island}
	dir, port := testkit.TempDir(tb, "redis"), fmt.Sprint(testkit.FreePort(tb))
	d.Master = net.JoinHostPort(island.There, port)
	conf := fmt.Sprintf("port %s\nbind %s\nprotected-mode no\nreplica-announce-ip %[2]s\ndir %[3]s\nsave \"\"\nrepl-diskless-sync-delay 0\n", port, island.There, dir)
	path := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		tb.Fatal(err)
	}
	master := testkit.Start(tb, testkit.Command{Name: "redis-server", Argv: island.Wrap(testkit.NeedRedis(tb), path), Dir: dir})
	master.AwaitReady(func() bool {
		return testkit.Try(tb, func(tb testkit.TB) { testkit.DialRedis(tb, d.Master).Do("PING") }) == nil
	})
	d.replicas(d.Master)
	d.awaitReplicas()
	d.There = newSentinel(tb, island.There, island.Wrap, d.Master, down)
	for range 2 {
		d.Sentinels.Sentinels = append(d.Sentinels.Sentinels, newSentinel(tb, island.Here, nil, d.Master, down))
	}
	testkit.Eventually(tb, within, "all sentinels know each other", func() bool {
		for _, one := range append([]*Sentinel{d.There}, d.Sentinels.Sentinels...) {
			if !one.knows(d.Master) {
				return false
			}
		}
		return true
	})
	return d
}

// URL is redis.url for all three sentinels.
func (d *Divided) URL() string {
	return d.Sentinels.URL(d.There.Addr(), d.Sentinels.Sentinels[0].Addr(), d.Sentinels.Sentinels[1].Addr())
}
