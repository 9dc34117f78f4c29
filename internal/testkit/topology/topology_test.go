package topology_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
	"hearth/internal/testkit/topology"
)

// TestCluster shows that what happens to a Cluster happens.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := topology.NewCluster(t, 3, time.Second)
	past := c.Past()
	defer past.Close()
	if err := past.Set("foo", "value"); err != nil {
		t.Fatal(err)
	}
	owner := c.Owner(12182)
	added := c.Add()
	c.MoveHalf(owner, added, 12182, 12183)
	if _, err := owner.Try("GET", "foo"); err == nil || !strings.HasPrefix(err.Error(), "ASK 12182 ") {
		t.Errorf("half moved, its old owner answers %v, want ASK", err)
	}
	c.Move(owner, added, 12182, 12183)
	if got := added.Text("GET", "foo"); got != "value" || c.Owner(12182) != added {
		t.Errorf("after the move its new owner has %q", got)
	}
	if v, err := past.Do("foo", "GET", "foo"); err != nil || v != "value" {
		t.Errorf("after the move: %v, %v", v, err)
	}
	promoted := c.Failover(owner)
	if c.IsMaster(owner) || !c.IsMaster(promoted) {
		t.Error("after the fail-over the old master is one")
	}
	c.AwaitWhole()
	c.Move(added, promoted, 12182, 12183)
	c.Remove(added)
	c.AwaitWhole()
	promoted.Kill()
	if c.State() == nil {
		t.Error("a cluster without a master is whole")
	}
}

func TestSentinels(t *testing.T) {
	t.Parallel()
	s := topology.NewSentinels(t, time.Second)
	was := s.Master()
	s.Failover()
	if s.Master() == was {
		t.Error("after the fail-over the master is the same")
	}
	if s.State() == nil {
		t.Error("all is well before the old master is a replica")
	}
}

func TestDivided(t *testing.T) {
	t.Parallel()
	d := topology.NewDivided(t, time.Second)
	d.Island.Cut()
	testkit.Eventually(t, time.Minute, "the majority names another master", func() bool {
		now, err := d.Named()
		return err == nil && d.IsMaster(now)
	})
	d.Island.Heal()
	testkit.Eventually(t, time.Minute, "the island hears of it", func() bool {
		named, err := d.There.Try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", topology.MasterSet)
		list, _ := named.([]any)
		return err == nil && len(list) == 2 && list[0] == d.Island.Here
	})
}

func TestMain(m *testing.M) {
	launch.AtATime(4) // they wait for most of their time
	goleak.VerifyTestMain(m)
}
