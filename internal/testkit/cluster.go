package testkit

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// RedisCluster returns three masters that share all slots.
func RedisCluster(tb testing.TB) []*RedisServer {
	tb.Helper()
	nodes := make([]*RedisServer, 3)
	var first string // where the first node talks to the others
	for i := range nodes {
		// Left to itself Redis takes its port and 10,000, among those that the
		// kernel gives to clients.
		bus := fmt.Sprint(FreePort(tb))
		if i == 0 {
			first = bus
		}
		nodes[i] = Redis(tb, WithConfig("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000", "cluster-port "+bus))
	}
	for i, n := range nodes {
		n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(16384*i/3), fmt.Sprint(16384*(i+1)/3-1))
		n.Do("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(nodes[0].Port()), first)
	}
	for _, n := range nodes {
		Eventually(tb, 20*time.Second, "the cluster agrees on its slots", func() bool {
			info, slots := n.Text("CLUSTER", "INFO"), n.Text("CLUSTER", "NODES")
			return strings.Contains(info, "cluster_state:ok") && strings.Count(slots, "connected") == 3 && strings.Count(slots, "-") >= 3
		})
	}
	return nodes
}
