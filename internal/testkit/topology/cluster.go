// Package topology is Redis as it is deployed: a Cluster, and a master with replicas and
// sentinels, with what happens to them.
package topology

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

// Slots is how many a Cluster has.
const Slots = 16384

// within bounds every wait for servers: longer than any of their own timeouts.
const within = time.Minute

// Cluster is masters with one replica each. What starts, ends or changes nodes runs on
// the goroutine of its owner; what only asks them, on any.
type Cluster struct {
	tb      testkit.TB
	timeout time.Duration
	bus     map[*testkit.RedisServer]string

	mu    sync.Mutex
	nodes []*testkit.RedisServer
}

// Nodes are all, the first masters first.
func (c *Cluster) Nodes() []*testkit.RedisServer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.nodes)
}

// NewCluster starts a Cluster of so many masters, each with a replica. A node that does
// not answer for timeout is failed over.
func NewCluster(tb testkit.TB, masters int, timeout time.Duration) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, timeout: timeout, bus: map[*testkit.RedisServer]string{}}
	for range 2 * masters {
		c.node()
	}
	for i, n := range c.Nodes() {
		n.Do("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		if i < masters {
			n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(Slots*i/masters), fmt.Sprint(Slots*(i+1)/masters-1))
		}
		if i > 0 {
			c.meet(n)
		}
	}
	c.awaitKnown()
	for i, n := range c.Nodes()[masters:] {
		n.Do("CLUSTER", "REPLICATE", c.Nodes()[i].Text("CLUSTER", "MYID"))
	}
	c.AwaitWhole()
	return c
}

// node starts a node that knows no other.
func (c *Cluster) node() *testkit.RedisServer {
	// Left to itself Redis takes its port and 10,000, among those that the kernel gives
	// to clients.
	bus := fmt.Sprint(testkit.FreePort(c.tb))
	n := testkit.Redis(c.tb, testkit.WithConfig("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-port "+bus,
		fmt.Sprintf("cluster-node-timeout %d", c.timeout.Milliseconds()), "cluster-replica-validity-factor 0", "cluster-require-full-coverage no", "cluster-allow-replica-migration no"))
	c.bus[n] = bus
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n)
	return n
}

func (c *Cluster) meet(n *testkit.RedisServer) {
	first := c.Nodes()[0]
	n.Do("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(first.Port()), c.bus[first])
}

// awaitKnown waits until every node knows every other.
func (c *Cluster) awaitKnown() {
	for _, n := range c.Nodes() {
		testkit.Eventually(c.tb, within, "the nodes of a cluster know each other", func() bool {
			return strings.Count(n.Text("CLUSTER", "NODES"), " connected") == len(c.Nodes())
		})
	}
}

// URL is redis.url for all nodes.
func (c *Cluster) URL() string {
	text := "redis://"
	for i, n := range c.Nodes() {
		switch i {
		case 0:
			text += n.Addr()
		case 1:
			text += "?addr=" + n.Addr()
		default:
			text += "&addr=" + n.Addr()
		}
	}
	return text
}

// Masters are the nodes that have slots, by what a node that answers says.
func (c *Cluster) Masters() (all []*testkit.RedisServer) {
	for _, n := range c.Nodes() {
		if c.IsMaster(n) && len(c.SlotsOf(n)) > 0 {
			all = append(all, n)
		}
	}
	return all
}

// IsMaster tells whether a node answers and says that it is a master.
func (c *Cluster) IsMaster(n *testkit.RedisServer) bool { return isMaster(n) }

func isMaster(n *testkit.RedisServer) bool {
	if !n.Running() || n.Paused() {
		return false
	}
	role, err := n.Try("ROLE")
	list, _ := role.([]any)
	return err == nil && len(list) > 0 && list[0] == "master"
}

// SlotsOf are the slots of a node, by what it says itself.
func (c *Cluster) SlotsOf(n *testkit.RedisServer) (all []int) {
	text, err := n.Try("CLUSTER", "NODES")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(fmt.Sprint(text)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || !strings.Contains(fields[2], "myself") {
			continue
		}
		for _, slots := range fields[8:] {
			var from, to int
			if n, _ := fmt.Sscanf(slots, "%d-%d", &from, &to); n == 1 {
				to = from
			} else if n == 0 { // one that is moving
				continue
			}
			for slot := from; slot <= to; slot++ {
				all = append(all, slot)
			}
		}
	}
	return all
}

// Owner is the master of a slot.
func (c *Cluster) Owner(slot int) *testkit.RedisServer {
	for _, n := range c.Masters() {
		for _, has := range c.SlotsOf(n) {
			if has == slot {
				return n
			}
		}
	}
	c.tb.Fatalf("slot %d has no master", slot)
	return nil
}

// ReplicaOf is a replica of a master that is linked to it.
func (c *Cluster) ReplicaOf(master *testkit.RedisServer) *testkit.RedisServer {
	for _, n := range c.Nodes() {
		if n == master || !n.Running() || n.Paused() {
			continue
		}
		role, err := n.Try("ROLE")
		list, _ := role.([]any)
		if err == nil && len(list) > 3 && list[0] == "slave" && list[2] == int64(master.Port()) {
			return n
		}
	}
	c.tb.Fatalf("no replica of %s runs", master.Addr())
	return nil
}

// State is nil when all nodes that are meant to run say that the Cluster serves all slots, and
// its replicas are linked.
func (c *Cluster) State() error {
	for _, n := range c.Nodes() {
		if !n.Running() || n.Paused() {
			return fmt.Errorf("node %s does not run", n.Addr())
		}
		if err := c.serves(n); err != nil {
			return err
		}
		role, err := n.Try("ROLE")
		if list, _ := role.([]any); err != nil || len(list) > 3 && list[0] == "slave" && list[3] != "connected" {
			return fmt.Errorf("node %s: its role is %v, %w", n.Addr(), role, err)
		}
	}
	return c.agreed()
}

// agreed is nil when all nodes believe the same of who is master of what.
func (c *Cluster) agreed() error {
	var first string
	for i, n := range c.Nodes() {
		text, err := n.Try("CLUSTER", "NODES")
		if err != nil {
			return err
		}
		var all []string
		for line := range strings.Lines(fmt.Sprint(text)) {
			fields := strings.Fields(line)
			if len(fields) > 7 { // but for what is each node's own view: flags such as myself, times, links
				master := strings.Contains(fields[2], "master")
				all = append(all, fmt.Sprint(fields[0], master, fields[3], fields[8:]))
			}
		}
		slices.Sort(all)
		if view := strings.Join(all, "; "); i == 0 {
			first = view
		} else if view != first {
			return fmt.Errorf("node %s has another view of the cluster than node %s", n.Addr(), c.Nodes()[0].Addr())
		}
	}
	return nil
}

// serves is nil when a node says that all slots are served, and by nodes that do not fail.
func (c *Cluster) serves(n *testkit.RedisServer) error {
	info, err := n.Try("CLUSTER", "INFO")
	if err == nil && !strings.Contains(fmt.Sprint(info), "cluster_state:ok") {
		err = fmt.Errorf("node %s does not serve", n.Addr())
	}
	if err != nil {
		return err
	}
	nodes, err := n.Try("CLUSTER", "NODES")
	for line := range strings.Lines(fmt.Sprint(nodes)) {
		fields := strings.Fields(line)
		if len(fields) > 8 && strings.Contains(fields[2], "fail") {
			return fmt.Errorf("node %s believes that the slots of %s fail", n.Addr(), fields[1])
		}
	}
	return err
}

// Serving is nil when the nodes that run say that all slots are served by nodes that do
// not fail; those that do not run may be away.
func (c *Cluster) Serving() error {
	for _, n := range c.Nodes() {
		if n.Running() && !n.Paused() {
			if err := c.serves(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// AwaitWhole waits until State is nil.
func (c *Cluster) AwaitWhole() {
	c.tb.Helper()
	var err error
	testkit.Eventually(c.tb, within, "the cluster is whole", func() bool { err = c.State(); return err == nil })
}

// Add starts a master without slots and waits until all know it.
func (c *Cluster) Add() *testkit.RedisServer {
	c.tb.Helper()
	n := c.node()
	c.meet(n)
	c.awaitKnown()
	var err error
	testkit.Eventually(c.tb, within, "the node that joins serves", func() bool { err = c.serves(n); return err == nil })
	return n
}

// Remove takes a master without slots away.
func (c *Cluster) Remove(n *testkit.RedisServer) {
	c.tb.Helper()
	id := n.Text("CLUSTER", "MYID")
	testkit.Eventually(c.tb, within, "all nodes know that it has no slots", func() bool { return c.agreed() == nil })
	c.mu.Lock()
	c.nodes = slices.DeleteFunc(c.nodes, func(one *testkit.RedisServer) bool { return one == n })
	c.mu.Unlock()
	n.Kill()
	// Gossip of those that have not forgotten it brings it back to those that have; for a
	// minute they do not listen to that.
	for _, one := range c.Nodes() {
		one.Do("CLUSTER", "FORGET", id)
	}
}

// Failover has the replica of a master take its place, as an operator does before he
// touches the master's machine.
func (c *Cluster) Failover(master *testkit.RedisServer) (promoted *testkit.RedisServer) {
	c.tb.Helper()
	replica := c.ReplicaOf(master)
	// One that has not heard yet of slots that moved is not elected, and tries again
	// seconds later.
	testkit.Eventually(c.tb, within, "the replica knows its master's slots", func() bool { return c.agreed() == nil })
	replica.Do("CLUSTER", "FAILOVER")
	testkit.Eventually(c.tb, within, "the replica takes its master's place", func() bool { return c.IsMaster(replica) && !c.IsMaster(master) })
	return replica
}

// Past is another program that uses the Cluster.
func (c *Cluster) Past() *outside.Client { return outside.Cluster(c.Nodes) }
