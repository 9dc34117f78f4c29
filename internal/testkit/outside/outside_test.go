package outside_test

import (
	"fmt"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/outside"
)

func TestSlot(t *testing.T) {
	f := func(key string, want int) {
		t.Helper()
		if got := outside.Slot(key); got != want {
			t.Errorf("%q is in slot %d, want %d", key, got, want)
		}
	}
	f("123456789", 12739)
	f("foo", 12182)
	f("{foo}.bar", 12182)
	f("a{foo}{b}", 12182)
	f("", 0)
}

// TestClusterIsFollowed moves a slot away from a client that knows it, half and whole.
func TestClusterIsFollowed(t *testing.T) {
	nodes := testkit.RedisCluster(t)
	c := outside.Cluster(func() []*testkit.RedisServer { return nodes })
	defer c.Close()
	for i := range 30 {
		if err := c.Set(fmt.Sprint("key:", i), "before"); err != nil {
			t.Fatal(err)
		}
	}
	key, slot := "foo", fmt.Sprint(outside.Slot("foo")) // of the third node
	if err := c.Set(key, "before"); err != nil {
		t.Fatal(err)
	}
	from, to := nodes[2], nodes[0]
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", from.Text("CLUSTER", "MYID"))
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", to.Text("CLUSTER", "MYID"))
	from.Do("MIGRATE", "127.0.0.1", fmt.Sprint(to.Port()), key, "0", "5000")
	f := func(what string) {
		t.Helper()
		if v, err := c.Do(key, "GET", key); err != nil || v != "before" {
			t.Errorf("%s: %v, %v", what, v, err)
		}
	}
	f("while the slot moves")
	for _, n := range []*testkit.RedisServer{to, from, nodes[1]} {
		n.Do("CLUSTER", "SETSLOT", slot, "NODE", to.Text("CLUSTER", "MYID"))
	}
	f("when it has moved")
	if got := to.Text("GET", key); got != "before" {
		t.Errorf("its new owner has %q", got)
	}
}

// TestNamed asks the server that is named, as long as it is.
func TestNamed(t *testing.T) {
	a, b := testkit.Redis(t), testkit.Redis(t)
	master := a
	c := outside.Named(func() (*testkit.RedisServer, error) { return master, nil })
	defer c.Close()
	for _, master = range []*testkit.RedisServer{a, b} {
		if err := c.Set("key", "value"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Del("key"); err != nil {
		t.Fatal(err)
	}
	if a.Text("GET", "key") != "value" || b.Text("GET", "key") != "" {
		t.Error("the client asked the wrong server")
	}
	b.Kill()
	if err := c.Set("key", "value"); err == nil {
		t.Error("a server that is away took a write")
	}
	b.Start()
	if err := c.Set("key", "value"); err != nil {
		t.Errorf("the client does not dial anew: %v", err)
	}
}
