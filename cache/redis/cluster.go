package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// clusterView is what one node says of the Cluster. CLUSTER SLOTS has the addresses as
// clients are meant to use them, CLUSTER NODES the epoch in which each master was elected:
// of two masters that claim one slot, the one of the later epoch serves it. A master that
// is cut off goes on claiming its slots, and so do nodes that have not heard yet.
type clusterView struct {
	claims []slotClaim
	idle   []string // addresses of masters that serve no slot yet
}

// slotClaim says that a master serves slots.
type slotClaim struct {
	slotRange
	addr     string
	replicas []string
	epoch    int64
}

// errNoCluster is what a server answers that is not part of one.
var errNoCluster = errors.New("it is not part of a cluster")

// viewOf asks a server for its view of the Cluster. from is its address.
func viewOf(ctx context.Context, c rueidis.Client, from string) (*clusterView, error) {
	answers := c.DoMulti(ctx, c.B().ClusterSlots().Build(), c.B().ClusterNodes().Build())
	ranges, err := answers[0].ToArray()
	if err != nil {
		if reply := errorReply(err); strings.Contains(reply, "cluster support disabled") || strings.Contains(reply, "unknown command") {
			return nil, errNoCluster
		}
		return nil, fmt.Errorf("listing the slots: %w", err)
	}
	text, _ := answers[1].ToString() // without it no epochs are known
	members := readMembers(text)
	view := &clusterView{}
	byName := false // clients are meant to use the names of nodes
	for i := range ranges {
		claim, id, err := readClaim(ranges[i], from)
		if err != nil {
			return nil, err
		}
		m := members[id]
		claim.epoch = m.epoch
		host, _, _ := net.SplitHostPort(claim.addr)
		byName = byName || m.name != "" && host == m.name
		m.serves = true
		members[id] = m
		view.claims = append(view.claims, claim)
	}
	for _, m := range members {
		if m.master && !m.serves {
			host := m.host
			if byName && m.name != "" {
				host = m.name
			}
			view.idle = append(view.idle, net.JoinHostPort(host, m.port))
		}
	}
	return view, nil
}

// readClaim reads one element of CLUSTER SLOTS: first, last, master, replica, …. A node
// without an address is the one that was asked.
func readClaim(m rueidis.RedisMessage, from string) (claim slotClaim, id string, err error) {
	bad := errors.New("reading CLUSTER SLOTS: unexpected answer")
	parts, err := m.ToArray()
	if err != nil || len(parts) < 3 {
		return claim, "", bad
	}
	first, err1 := parts[0].AsInt64()
	last, err2 := parts[1].AsInt64()
	if err := errors.Join(err1, err2); err != nil || first < 0 || last < first || last >= slotCount {
		return claim, "", bad
	}
	claim.slotRange = slotRange{uint16(first), uint16(last)}
	for i, part := range parts[2:] {
		node, err := part.ToArray()
		if err != nil || len(node) < 2 {
			return claim, "", bad
		}
		host, _ := node[0].ToString() // nil: that of the node which was asked
		port, err := node[1].AsInt64()
		if err != nil {
			return claim, "", bad
		}
		if host == "" || host == "?" {
			host, _, _ = net.SplitHostPort(from)
		}
		addr := net.JoinHostPort(host, strconv.FormatInt(port, 10))
		if i > 0 {
			claim.replicas = append(claim.replicas, addr)
			continue
		}
		claim.addr = addr
		if len(node) > 2 {
			id, _ = node[2].ToString()
		}
	}
	return claim, id, nil
}

// member is one line of CLUSTER NODES.
type member struct {
	host, port, name string
	epoch            int64
	master, serves   bool
}

// readMembers reads CLUSTER NODES: id, ip:port@bus,name, flags, master, ping, pong, epoch, ….
func readMembers(text string) map[string]member {
	members := map[string]member{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		var m member
		addr, rest, _ := strings.Cut(f[1], "@")
		m.host, m.port, _ = net.SplitHostPort(addr)
		if i := strings.LastIndexByte(addr, ':'); m.port == "" && i >= 0 { // an IPv6 address without brackets
			m.host, m.port = addr[:i], addr[i+1:]
		}
		if parts := strings.Split(rest, ","); len(parts) > 1 {
			m.name = parts[1]
		}
		flags := strings.Split(f[2], ",")
		m.master = slices.Contains(flags, "master") && m.host != "" && m.port != "0"
		for _, flag := range []string{"fail", "handshake", "noaddr"} {
			m.master = m.master && !slices.Contains(flags, flag)
		}
		m.epoch, _ = strconv.ParseInt(f[6], 10, 64)
		members[f[0]] = m
	}
	return members
}

// askedPerListing bounds how many nodes are asked for their view at a time.
const askedPerListing = 5

// listCluster asks nodes for their view, and goes by the latest epochs. When none that is
// known answers, the seeds are asked: all nodes may have got other addresses.
func (t *Tier) listCluster(ctx context.Context, top *topology, hint *node) {
	var asked []*node
	if hint != nil {
		asked = append(asked, hint)
	}
	for _, n := range top.all() { // in random order
		if n != hint && n.why() == nil && len(asked) < askedPerListing {
			asked = append(asked, n)
		}
	}
	views := make([]*clusterView, len(asked))
	var all sync.WaitGroup
	for i, n := range asked {
		all.Go(func() {
			c := n.conns.Load()
			if c == nil || c.over.Load() {
				return
			}
			ctx, cancel := context.WithTimeout(ctx, t.timeout/4) // one that hangs does not hold up the others
			defer cancel()
			view, err := viewOf(ctx, c.plain, n.name)
			if err != nil {
				t.cfg.Log.Debug("listing the cluster", "node", n.name, "error", err)
				return
			}
			views[i] = view
		})
	}
	all.Wait()
	views = slices.DeleteFunc(views, func(v *clusterView) bool { return v == nil })
	if len(views) == 0 {
		view, err := t.askSeeds(ctx, t.seeds)
		if err != nil || view == nil {
			t.cfg.Log.Debug("no node of the cluster tells of its slots", "error", err)
			return
		}
		views = append(views, view)
	}
	t.adoptTopology(ctx, top, views)
}

// askSeeds asks addresses one after the other, until one tells its view of the Cluster or,
// with view nil, that it is part of none.
func (t *Tier) askSeeds(ctx context.Context, seeds []string) (view *clusterView, err error) {
	for _, addr := range seeds {
		view, failed := t.askSeed(ctx, addr)
		if failed == nil {
			return view, nil
		}
		if err = errors.Join(err, failed); ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (t *Tier) askSeed(ctx context.Context, addr string) (*clusterView, error) {
	o, err := t.cfg.options(t.timeout, nil)
	if err != nil {
		return nil, err
	}
	c, _, err := dialOnce(o, addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", addr, err)
	}
	defer c.Close()
	id, err := identify(ctx, c, t.timeout)
	if err != nil {
		return nil, err
	}
	if err := id.supported(); err != nil {
		return nil, err
	}
	if !id.cluster && len(t.seeds) == 1 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	view, err := viewOf(ctx, c, addr)
	if errors.Is(err, errNoCluster) {
		return nil, nil
	}
	return view, err
}

// adoptTopology makes the topology that views tell of. before is the present one.
func (t *Tier) adoptTopology(ctx context.Context, before *topology, views []*clusterView) {
	owners, replicas := mergeViews(views)
	next := &topology{slots: &[slotCount]*node{}, nodes: map[string]*node{}, replicas: replicas}
	var added []*node
	place := func(addr string) *node {
		n := next.nodes[addr]
		if n == nil {
			if n = before.at(addr); n == nil {
				n = t.newNode(addr, func(context.Context) ([]string, error) { return []string{addr}, nil })
				added = append(added, n)
			}
			next.nodes[addr] = n
		}
		return n
	}
	ranges := map[*node][]slotRange{}
	for slot, claim := range owners {
		if claim == nil {
			continue
		}
		n := place(claim.addr)
		next.slots[slot] = n
		if r := ranges[n]; len(r) > 0 && int(r[len(r)-1].last) == slot-1 {
			r[len(r)-1].last = uint16(slot)
		} else {
			ranges[n] = append(r, slotRange{uint16(slot), uint16(slot)})
		}
	}
	for _, view := range views {
		for _, addr := range view.idle { // one that has just lost all its slots ends first
			if was := before.at(addr); was == nil || was.idle() {
				place(addr)
			}
		}
	}
	t.replaceTopology(ctx, before, next, added, ranges)
}

// mergeViews returns who serves each slot, and whose replicas there are.
func mergeViews(views []*clusterView) (owners []*slotClaim, replicas map[string]string) {
	owners, replicas = make([]*slotClaim, slotCount), map[string]string{}
	for _, view := range views {
		for i := range view.claims {
			claim := &view.claims[i]
			for slot := int(claim.first); slot <= int(claim.last); slot++ {
				if owners[slot] == nil || owners[slot].epoch < claim.epoch {
					owners[slot] = claim
				}
			}
		}
	}
	for _, claim := range owners {
		if claim != nil {
			for _, addr := range claim.replicas {
				replicas[addr] = claim.addr
			}
		}
	}
	return owners, replicas
}

// replaceTopology puts next in the place of before. A node that serves nothing any more
// ends.
func (t *Tier) replaceTopology(ctx context.Context, before, next *topology, added []*node, ranges map[*node][]slotRange) {
	moved := map[*node]int{}
	gone := map[*node]bool{}
	if before != nil {
		for slot, was := range before.slots {
			if now := next.slots[slot]; was != nil && was != now {
				moved[was]++
			}
		}
		for addr, n := range before.nodes {
			gone[n] = next.nodes[addr] == nil
		}
	}
	for _, n := range added {
		n.after = t.predecessor(before, next, n, gone)
	}
	for _, n := range next.nodes {
		r := ranges[n]
		n.ranges.Store(&r)
	}
	t.topology.Store(next)
	for n, slots := range moved {
		t.cfg.Log.Info("slots have moved to other nodes of the cluster", "node", n.name, "slots", slots)
	}
	for n, ended := range gone {
		if ended {
			t.cfg.Log.Warn("a node of the cluster serves no keys any more", "node", n.name)
			n.stop()
		}
	}
	for _, n := range added {
		n.start(ctx)
	}
}

// predecessor is the node whose place n takes, nil if it takes none's: it was the
// replica of a master that is none any more, or has slots of one. Slots that are moved
// from a master to another keep their keys, and their masters stay.
func (t *Tier) predecessor(before, next *topology, n *node, gone map[*node]bool) *node {
	if before == nil {
		return nil
	}
	if was := before.at(before.replicas[n.name]); was != nil && gone[was] {
		return was
	}
	for slot, now := range next.slots {
		if was := before.slots[slot]; now == n && was != nil && gone[was] {
			return was
		}
	}
	return nil
}
