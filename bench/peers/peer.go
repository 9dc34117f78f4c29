// Package peers starts Hearth and the servers that it is measured beside: a bare fasthttp
// handler, the plain service that an engineer would write of the same parts, nginx, nginx
// with a Lua dictionary, Varnish, Webdis, memcached and the FastAPI recipe.
//
// It is a room of its own because closed and open loops have to measure the same: one
// processor for each server, another one for the load and Redis, the same records, and
// a look at the right answer before and after every load.
package peers

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// Patterns are what is asked for.
const (
	One       = "one"       // always record 1
	Spread    = "spread"    // a record at random
	Mix       = "mix"       // nine of ten requests for ten hot records, the rest at random
	Batch     = "batch"     // a POST of ManyItems items
	Many      = "many"      // ManyItems records, those of one of ManyLists lists
	Unchanged = "unchanged" // always record 1, with the tag that it has
)

const (
	ManyItems = 100 // of a batch and of a many-read
	ManyLists = 16  // of ids that are asked for together
)

// Smallest is the least memory that Hearth's configuration allows: many records at random
// are nearly always read from Redis then. Nothing else is turned off.
const Smallest = 1 << 20

// Work is what the servers of a group are asked for.
type Work struct {
	Pattern string
	Keys    int // records in Redis that are asked for
	Size    int // bytes of a record; 0: about 110
	// Memory is what Hearth and the plain service may keep in memory, in bytes; 0: what they
	// have by themselves.
	Memory int
	TTL    bool // items of a batch have lifetimes
	// Watched says that somebody follows the ticks of Hearth's admin listener meanwhile.
	Watched bool
}

// hot tells whether Hearth answers all of it from memory.
func (w Work) hot() bool { return w.Pattern == One || w.Pattern == Many || w.Pattern == Unchanged }

// Peer is a running server under load.
type Peer struct {
	*testkit.Process
	Name     string
	Addr     string           // host:port
	Path     string           // of a request; * stands for the record's number
	Tag      string           // If-None-Match of a request; "": none
	Instance *launch.Instance // nil but for builds of Hearth

	body      string // the right answer for record 1
	memcached bool   // it speaks memcached's protocol
}

// Earlier is the peer that is another build of Hearth.
const Earlier = "earlier"

// Paths are the binaries and directories of a run.
type Paths struct {
	Root   string // of the repository
	Hearth string // the binary
	Plain  string // likewise, of the plain service; see BuildPlain
	// Earlier is the root of another checkout, whose build Hearth is measured beside; empty: none.
	Earlier string
}

// PathsOf are those of a command line: hearth is the binary, empty for one to be built, and
// out the directory for results, empty for that of the repository. It fills both in.
func PathsOf(tb testkit.TB, hearth, out *string) *Paths {
	tb.Helper()
	root := launch.Root(tb)
	if *out == "" {
		*out = filepath.Join(root, "bench", "results")
	}
	*hearth = launch.Given(tb, root, *hearth)
	return &Paths{Root: root, Hearth: *hearth}
}

// Servers are what one group runs on: a Redis, and the peers that ask it. They run all
// at the same time, but only one of them is under load at any time.
type Servers struct {
	Work
	Name string // of the group
	Dir  string // for files of this group
	// The processors of the peers, and of the load and Redis; nil: any.
	CPUs, LoadCPUs []int
	Redis          *testkit.RedisServer
	Peers          []*Peer // Hearth is the first

	paths   *Paths
	earlier string // the binary of the peer of that name, once it is built
}

// ask asks a server over a connection of its own, in whose Answer the answer is.
func (p *Peer) ask(method, path, body string) (*load.Conn, error) {
	c := load.NewConn(p.Addr, 5*time.Second)
	defer c.Close()
	if p.Tag != "" {
		return c, c.Do(method, path, body, "If-None-Match: "+p.Tag)
	}
	return c, c.Do(method, path, body)
}

// Plan is load on a server by connections of our own, for the patterns One, Unchanged,
// Spread and Mix. What it leaves open is how much and for how long.
func (s *Servers) Plan(p *Peer) load.Plan {
	plan := load.Plan{Addr: p.Addr, CPUs: s.LoadCPUs, Answer: load.HTTPAnswer}
	before, after, _ := strings.Cut(p.Path, "*")
	before, after = "GET "+before, after+" HTTP/1.1\r\nHost: compare\r\n"
	if p.Tag != "" {
		after += "If-None-Match: " + p.Tag + "\r\n"
	}
	after += "\r\n"
	if p.memcached {
		before, after, plan.Answer = "get user:", "\r\n", load.MemcachedAnswer
	}
	const hot = 10 // records of a mix that nine of ten requests are for
	plan.Request = func(out []byte, random *rand.Rand) []byte {
		n := 1
		switch {
		case s.Pattern == Mix && random.IntN(10) > 0:
			n += random.IntN(hot)
		case s.Pattern == Mix || s.Pattern == Spread:
			n += random.IntN(s.Keys)
		}
		return append(strconv.AppendInt(append(out, before...), int64(n), 10), after...)
	}
	return plan
}

// First is the path of record 1, or of the first list.
func (p *Peer) First() string {
	return strings.Replace(p.Path, "*", "1", 1)
}

// ListPath is the path of a many-read of the records from first on.
func ListPath(first int) string {
	var b strings.Builder
	b.WriteString("/user")
	for i := range ManyItems {
		separator := "&"
		if i == 0 {
			separator = "?"
		}
		fmt.Fprintf(&b, "%suser_id=%d", separator, first+i)
	}
	return b.String()
}
