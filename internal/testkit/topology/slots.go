package topology

import (
	"fmt"

	"hearth/internal/testkit"
)

// MoveHalf begins to move slots from a master to another, with all keys that there are,
// and leaves it at that: the old master answers ASK for them until Move ends it.
func (c *Cluster) MoveHalf(from, to *testkit.RedisServer, slots ...int) {
	c.tb.Helper()
	a, b := from.AdminConn(), to.AdminConn()
	defer a.Close()
	defer b.Close()
	for _, slot := range slots {
		c.moveKeys(a, b, to.Port(), slot)
	}
}

// moveKeys marks a slot as moving from a to b, which listens on port, and moves its keys.
func (c *Cluster) moveKeys(a, b *testkit.RedisConn, port, slot int) {
	number := fmt.Sprint(slot)
	b.Do("CLUSTER", "SETSLOT", number, "IMPORTING", fmt.Sprint(a.Do("CLUSTER", "MYID")))
	a.Do("CLUSTER", "SETSLOT", number, "MIGRATING", fmt.Sprint(b.Do("CLUSTER", "MYID")))
	for {
		keys, _ := a.Do("CLUSTER", "GETKEYSINSLOT", number, "100").([]any)
		if len(keys) == 0 {
			return
		}
		command := []string{"MIGRATE", "127.0.0.1", fmt.Sprint(port), "", "0", "5000", "KEYS"}
		for _, key := range keys {
			command = append(command, fmt.Sprint(key))
		}
		a.Do(command...)
	}
}

// Move moves slots from a master to another, with all keys, under whatever traffic there is.
func (c *Cluster) Move(from, to *testkit.RedisServer, slots ...int) {
	c.tb.Helper()
	target := to.Text("CLUSTER", "MYID")
	a, b := from.AdminConn(), to.AdminConn()
	defer a.Close()
	defer b.Close()
	others := []*testkit.RedisConn{b, a} // the new owner first: it is the one that has the keys
	for _, n := range c.Masters() {
		if n != from && n != to {
			conn := n.AdminConn()
			defer conn.Close()
			others = append(others, conn)
		}
	}
	for _, slot := range slots {
		c.moveKeys(a, b, to.Port(), slot)
		for _, conn := range others {
			conn.Do("CLUSTER", "SETSLOT", fmt.Sprint(slot), "NODE", target)
		}
	}
}
