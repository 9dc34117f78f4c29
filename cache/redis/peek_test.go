package redis_test

import (
	"fmt"
	"testing"
	"time"

	"hearth/cache/redis"
	"hearth/internal/testkit"
)

// TestPeek: one key is read of one server, and of whatever node of a Cluster has it.
func TestPeek(t *testing.T) {
	t.Parallel()
	one := testkit.Redis(t)
	peek := func(url, key string) (string, time.Duration, bool, error) {
		return redis.Peek(t.Context(), redis.Config{URL: url, LinkTimeout: 2 * time.Second, Revalidate: time.Minute}, key)
	}
	one.Do("SET", "hearth:feed", "a b", "EX", "1000")
	one.Do("SET", "for:ever", "")
	if text, left, found, err := peek(one.URL(), "hearth:feed"); text != "a b" || left < time.Minute || !found || err != nil {
		t.Errorf("a key with an expiry: %q, %v, %v, %v", text, left, found, err)
	}
	if text, left, found, err := peek(one.URL(), "for:ever"); text != "" || left != 0 || !found || err != nil {
		t.Errorf("a key without an expiry: %q, %v, %v, %v", text, left, found, err)
	}
	if _, _, found, err := peek(one.URL(), "nothing"); found || err != nil {
		t.Errorf("no key: %v, %v", found, err)
	}
	one.Stop()
	if _, _, _, err := peek(one.URL(), "hearth:feed"); err == nil {
		t.Error("a server that is away: no error")
	}
}

// TestPeekFollowsTheCluster asks a node that has half of the slots for keys of both halves.
func TestPeekFollowsTheCluster(t *testing.T) {
	t.Parallel()
	nodes, bus := make([]*testkit.RedisServer, 2), ""
	for i := range nodes {
		bus = fmt.Sprint(testkit.FreePort(t))
		nodes[i] = testkit.Redis(t, testkit.WithConfig("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-port "+bus, "cluster-node-timeout 1000"))
		nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*8192), fmt.Sprint(i*8192+8191))
		nodes[i].Do("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
	}
	nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(nodes[1].Port()), bus)
	for key, node := range map[string]int{"bar": 0, "foo": 1} { // slots 5061 and 12182
		testkit.Eventually(t, time.Minute, key+" is found", func() bool {
			if _, err := nodes[node].Try("SET", key, "there"); err != nil {
				return false // the nodes do not know each other yet
			}
			text, _, found, err := redis.Peek(t.Context(), redis.Config{URL: nodes[0].URL(), LinkTimeout: 2 * time.Second, Revalidate: time.Minute}, key)
			return err == nil && found && text == "there"
		})
	}
}
