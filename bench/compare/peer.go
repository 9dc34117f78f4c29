package main

import (
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// peer is a running server under load.
type peer struct {
	*testkit.Process
	name     string
	addr     string           // host:port
	path     string           // of a request; * stands for the record's number
	body     string           // the right answer for record 1
	instance *launch.Instance // nil but for Hearth
}

// servers are what one group runs on: a Redis, and the peers that ask it. They run all
// at the same time, but only one of them is under load at any time.
type servers struct {
	group
	hearth string // path of the binary
	root   string // of the repository
	dir    string // for files of this group
	// The processors of the peers, and of the load and Redis; nil: any.
	cpus, loadCPUs []int
	redis          *testkit.RedisServer
	peers          []*peer // Hearth is the first
}

// ask asks a server over a connection of its own, in whose Answer the answer is.
func (p *peer) ask(method, path, body string) (*load.Conn, error) {
	c := load.NewConn(p.addr, 5*time.Second)
	defer c.Close()
	return c, c.Do(method, path, body)
}

// first is the path of record 1.
func (p *peer) first() string { return strings.Replace(p.path, "*", "1", 1) }
