package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/rueidis"

	"hearth/cache/shared"
)

const (
	// scanCount is how many places of its table Redis looks at before others have their
	// turn: some tenths of a millisecond.
	scanCount = 1000

	// scansAtOnce bounds how many nodes of a Cluster are walked side by side, and so the
	// memory for it.
	scansAtOnce = 4

	// maxPasses bounds how often a Cluster is walked whose slots keep moving, and
	// scanTries how often one step is tried over connections that break.
	maxPasses, scanTries = 8, 3
)

// errMoving is why a Sweep ends without having seen everything.
var errMoving = fmt.Errorf("%w: slots or servers went on moving while their keys were listed", shared.ErrAway)

// Sweep is Outdate for all keys that match pattern, a pattern of Redis, and that match
// says yes to, which may be called from several goroutines. It returns how many steps it
// has taken; a key may be met more than once. It takes as long as it takes: ctx is its
// deadline, and each of its commands has that of any command.
//
// A key that stands when Sweep begins, and goes on standing, is met. SCAN promises that
// of one server. In a Cluster a key may move from a node that was not walked yet to one
// that was:
//
//	a, b walked            the key is on a
//	b is walked, to its end
//	                       the key moves to b
//	a is walked
//
// So all nodes are walked once more, if any slot was open or moved meanwhile: whoever was
// not met on its first node had left it by then, and is met on its second one. A slot that
// has taken another step meanwhile wants another pass, and a server that has taken another
// one's place wants everything again: the keys removed at the one may stand at the other.
func (t *Tier) Sweep(ctx context.Context, pattern string, match func(key string) bool) (int64, error) {
	s := &sweep{tier: t, pattern: pattern, match: match}
	var seen []slotMap // at the beginning and the ends of the latest passes
	for range maxPasses {
		begun := t.takeovers.Load()
		nodes, before, err := t.slotMap(ctx)
		if err == nil {
			err = s.pass(ctx, nodes)
		}
		if err != nil {
			return s.steps.Load(), err
		}
		_, after, err := t.slotMap(ctx)
		switch {
		case err != nil:
			return s.steps.Load(), err
		case t.takeovers.Load() != begun:
			seen = nil
			continue
		}
		seen = append(seen, before, after)
		if most := mostMoves(seen[max(0, len(seen)-4):]); most == 0 || most == 1 && len(seen) > 2 {
			return s.steps.Load(), nil
		}
	}
	return s.steps.Load(), errMoving
}

// sweep is one call of Sweep.
type sweep struct {
	tier    *Tier
	pattern string
	match   func(string) bool
	steps   atomic.Int64
}

// pass walks all nodes once.
func (s *sweep) pass(ctx context.Context, nodes []*node) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	places := make(chan struct{}, scansAtOnce)
	for _, n := range nodes {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if err := s.walk(ctx, n); err != nil {
				cancel(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, shared.ErrAway) && !errors.Is(err, shared.ErrRefused) {
		return fmt.Errorf("%w: %w", shared.ErrAway, err)
	}
	return context.Cause(ctx)
}

// walk outdates the keys of one node, a step of SCAN at a time. A place in the table of one
// server means nothing to another, but then that has taken its place, and the pass does not
// count.
func (s *sweep) walk(ctx context.Context, n *node) error {
	for cursor := uint64(0); ; {
		found, err := n.scan(ctx, cursor, s.pattern)
		if err != nil {
			return fmt.Errorf("listing the keys of %s: %w", n.name, err)
		}
		var keys []shared.Outdated
		for _, key := range found.Elements {
			if s.match(key) {
				keys = append(keys, shared.Outdated{Key: key})
			}
		}
		if err := s.tier.Outdate(ctx, keys); err != nil {
			return err
		}
		s.steps.Add(int64(len(keys)))
		if cursor = found.Cursor; cursor == 0 {
			return nil
		}
	}
}

// scan takes one step of SCAN.
func (n *node) scan(ctx context.Context, cursor uint64, pattern string) (found rueidis.ScanEntry, err error) {
	for range scanTries {
		if ctx.Err() != nil {
			return found, fmt.Errorf("%w: %w", shared.ErrAway, context.Cause(ctx))
		}
		within := n.tier.bound(ctx)
		var c *connections
		if c, err = n.askFor(within, false); err != nil {
			return found, err
		}
		found, err = c.plain.Do(within, c.plain.B().Scan().Cursor(cursor).Match(pattern).Count(scanCount).Build()).AsScanEntry()
		if err == nil {
			return found, nil
		}
		if err = n.noteFailure(c, err); !errors.Is(err, shared.ErrAway) {
			break
		}
	}
	return found, err
}

// slotMap is who has each slot of a Cluster, as the nodes themselves say, each of itself,
// and where the slots that are open are on their way to. It is nil without a Cluster.
type slotMap []slotPlace

// slotPlace has the ids of nodes, "" for none.
type slotPlace struct{ owner, target string }

// mostMoves returns the most steps that any slot has taken, or may have, among maps of it
// one after the other: steps from one node to another that differ.
func mostMoves(maps []slotMap) (most int) {
	for slot := range slotCount {
		var first slotPlace // the first step
		moves, last := 0, ""
		step := func(from, to string) {
			if from == to || to == "" {
				return
			}
			if next := (slotPlace{from, to}); moves == 0 {
				moves, first = 1, next
			} else if next != first {
				moves = 2
			}
		}
		for i, m := range maps {
			if m == nil {
				continue
			}
			if i > 0 {
				step(last, m[slot].owner)
			}
			step(m[slot].owner, m[slot].target)
			last = m[slot].owner
		}
		most = max(most, moves)
	}
	return most
}

// slotMap lists the slots anew, and asks each node that serves any which it has.
func (t *Tier) slotMap(ctx context.Context) (nodes []*node, m slotMap, err error) {
	if _, err := t.nodeOf(ctx, ""); err != nil && t.topology.Load() == nil {
		return nil, nil, err
	}
	top := t.topology.Load()
	if top != nil && top.only == nil {
		t.relistAndWait(ctx, nil)
		top = t.topology.Load()
	}
	if top == nil {
		return nil, nil, fmt.Errorf("%w: %w", shared.ErrAway, errNotYet)
	}
	nodes = top.serving()
	if top.only != nil {
		return nodes, nil, nil
	}
	m = make(slotMap, slotCount)
	for _, n := range nodes {
		if err := n.addSlots(ctx, m); err != nil {
			return nil, nil, fmt.Errorf("listing the slots of %s: %w", n.name, err)
		}
	}
	for slot, n := range top.slots {
		if n != nil && m[slot].owner == "" { // it has just moved, to a node that is not known yet
			m[slot].owner = "?"
		}
	}
	return nodes, m, nil
}

// addSlots asks the node for its own slots.
func (n *node) addSlots(ctx context.Context, m slotMap) error {
	ctx = n.tier.bound(ctx)
	c, err := n.askFor(ctx, false)
	if err != nil {
		return err
	}
	text, err := c.plain.Do(ctx, c.plain.B().ClusterNodes().Build()).ToString()
	if err != nil {
		return n.noteFailure(c, err)
	}
	readOwnSlots(text, m)
	return nil
}

// readOwnSlots reads the line of CLUSTER NODES that a node has of itself. Its slots stand
// behind the eighth field: 5, 7-9, and [93->-id], which is on its way to id. What is on its
// way here is told by the node that it comes from, too.
func readOwnSlots(text string, m slotMap) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 9 || !strings.Contains(f[2], "myself") {
			continue
		}
		for _, part := range f[8:] {
			if open, ok := strings.CutPrefix(part, "["); ok {
				number, target, _ := strings.Cut(strings.TrimSuffix(open, "]"), "->-")
				if slot, err := strconv.ParseUint(number, 10, 14); err == nil {
					m[slot].target = target
				}
				continue
			}
			from, to, isRange := strings.Cut(part, "-")
			if !isRange {
				to = from
			}
			first, err1 := strconv.ParseUint(from, 10, 14)
			last, err2 := strconv.ParseUint(to, 10, 14)
			for slot := first; err1 == nil && err2 == nil && slot <= last; slot++ {
				m[slot].owner = f[0]
			}
		}
	}
}
