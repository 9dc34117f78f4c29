// Package outside is the other programs: those that use a Redis, a Cluster or what
// sentinels name as master, past the instances that are proven.
//
// It speaks the protocol itself and follows redirections by the book, so that what is
// wrong with a client library shows as a difference and not twice.
package outside

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"hearth/internal/testkit"
)

// Client is one program. It is used by one goroutine at a time. A command that has
// failed may have been done all the same.
type Client struct {
	find  func(c *Client, key string) (*testkit.RedisServer, error)
	nodes func() []*testkit.RedisServer
	conns map[*testkit.RedisServer]*testkit.RedisConn // those that are open
	slots map[int]*testkit.RedisServer                // of a Cluster, as far as it was told
}

func newClient(nodes func() []*testkit.RedisServer, find func(c *Client, key string) (*testkit.RedisServer, error)) *Client {
	return &Client{find: find, nodes: nodes, conns: map[*testkit.RedisServer]*testkit.RedisConn{}, slots: map[int]*testkit.RedisServer{}}
}

// One uses one server.
func One(server *testkit.RedisServer) *Client {
	return newClient(nil, func(*Client, string) (*testkit.RedisServer, error) { return server, nil })
}

// Named uses the server that master names at the time.
func Named(master func() (*testkit.RedisServer, error)) *Client {
	return newClient(nil, func(*Client, string) (*testkit.RedisServer, error) { return master() })
}

// Cluster uses a Cluster. nodes are all that there are at the time, and are called from
// the goroutine of the client.
func Cluster(nodes func() []*testkit.RedisServer) *Client {
	return newClient(nodes, func(c *Client, key string) (*testkit.RedisServer, error) {
		slot := Slot(key)
		if c.slots[slot] == nil {
			return c.ask(slot)
		}
		return c.slots[slot], nil
	})
}

// Set sets a key.
func (c *Client) Set(key, value string) error {
	_, err := c.Do(key, "SET", key, value)
	return err
}

// Del deletes a key.
func (c *Client) Del(key string) error {
	_, err := c.Do(key, "DEL", key)
	return err
}

// Close closes all connections.
func (c *Client) Close() {
	for server := range c.conns {
		c.drop(server)
	}
}

// redirections bounds how often one command is sent on.
const redirections = 5

// Do sends a command to the server that has the key.
func (c *Client) Do(key string, args ...string) (any, error) {
	server, err := c.find(c, key)
	if err != nil {
		return nil, err
	}
	asking := false
	for range redirections {
		var v any
		if v, err = c.send(server, asking, args); err == nil {
			return v, nil
		}
		delete(c.slots, Slot(key)) // whatever it was: asked anew the next time
		var reply testkit.Error
		if !errors.As(err, &reply) {
			return nil, err
		}
		to := c.redirected(string(reply))
		if to == nil {
			return nil, err
		}
		asking = strings.HasPrefix(string(reply), "ASK ")
		if !asking {
			c.slots[Slot(key)] = to
		}
		server = to
	}
	return nil, fmt.Errorf("sent on too often: %w", err)
}

// redirected is where an error reply sends a command on, nil: nowhere.
func (c *Client) redirected(reply string) *testkit.RedisServer {
	fields := strings.Fields(reply)
	if len(fields) != 3 || fields[0] != "MOVED" && fields[0] != "ASK" {
		return nil
	}
	return c.at(fields[2])
}

// at is the node at an address.
func (c *Client) at(addr string) *testkit.RedisServer {
	port, _ := strconv.Atoi(addr[strings.LastIndexByte(addr, ':')+1:])
	for _, node := range c.nodes() {
		if node.Port() == port {
			return node
		}
	}
	return nil
}

func (c *Client) send(server *testkit.RedisServer, asking bool, args []string) (any, error) {
	conn := c.conns[server]
	if conn == nil {
		var err error
		if conn, err = server.Dial(); err != nil {
			return nil, err
		}
		c.conns[server] = conn
	}
	if asking {
		if _, err := conn.Try("ASKING"); err != nil {
			c.drop(server)
			return nil, err
		}
	}
	v, err := conn.Try(args...)
	if err != nil {
		c.drop(server) // a connection that answers with an error may be to a server that is none any more
	}
	return v, err
}

func (c *Client) drop(server *testkit.RedisServer) {
	if conn := c.conns[server]; conn != nil {
		conn.Close()
		delete(c.conns, server)
	}
}

// ask asks any node that runs who has a slot.
func (c *Client) ask(slot int) (*testkit.RedisServer, error) {
	err := errors.New("no node of the cluster runs")
	for _, node := range c.nodes() {
		if !node.Running() || node.Paused() {
			continue
		}
		var list any
		if list, err = c.send(node, false, []string{"CLUSTER", "SLOTS"}); err != nil {
			continue
		}
		if owner := c.ownerIn(list, int64(slot)); owner != nil {
			c.slots[slot] = owner
			return owner, nil
		}
		err = fmt.Errorf("slot %d has no owner", slot)
	}
	return nil, err
}

// ownerIn finds the master of a slot in an answer to CLUSTER SLOTS.
func (c *Client) ownerIn(list any, slot int64) *testkit.RedisServer {
	ranges, _ := list.([]any)
	for _, r := range ranges {
		fields, _ := r.([]any)
		if len(fields) < 3 {
			continue
		}
		from, _ := fields[0].(int64)
		to, _ := fields[1].(int64)
		master, _ := fields[2].([]any)
		if slot < from || slot > to || len(master) < 2 {
			continue
		}
		return c.at(fmt.Sprint(":", master[1]))
	}
	return nil
}

// Slot is the hash slot of a key.
func Slot(key string) int {
	if i := strings.IndexByte(key, '{'); i >= 0 {
		if j := strings.IndexByte(key[i+1:], '}'); j > 0 {
			key = key[i+1 : i+1+j]
		}
	}
	crc := uint16(0)
	for _, b := range []byte(key) {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % 16384
}
