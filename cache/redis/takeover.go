package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// A server may take the place of another: a replica is promoted, a name or a proxy leads
// elsewhere, Redis starts again from its disk. Replication is asynchronous, so the new
// server may lack the latest writes, and what it holds in their keys is older than what
// was acknowledged. Sentinel promotes a replica, and says so a second later; until then
// writes are acknowledged by the old master, and lost with it. So, in this order:
//
//  1. No command waits for the old server any more: its connections are ended. What was
//     read on them is not fresh.
//  2. The keys of recentKeys are removed from the new server, before it is asked for
//     anything. A guard of others stays, marked as shared.
//  3. Everything goes on, but for a while what is read is marked, and not kept: the other
//     instances notice later, and have keys of their own to remove.
//
// The order matters. Were 2 done before 1:
//
//	this instance  finds the new server, and removes the keys it knows there
//	a writer here  commits, and takes its guard out at the old server, which confirms
//	a reader       reads the record of before at the new server
//
// A write whose guard stood at the old server loses it. If it has not sent its COMMIT it
// is rolled back; else its guard is set anew, and its unguard deletes the key.

// holdFor is how long what is read is marked: two rounds of the keepers, in which each
// instance asks its sentinels, lists its Cluster and proves its links, and twice as long
// as the removal took here, for others have about as much to remove.
func (t *Tier) holdFor(took time.Duration) time.Duration { return t.cfg.LinkTimeout/2 + 2*took }

// errHeld is why a node is not read that has just taken another server's place.
var errHeld = errors.New("its server has just taken another's place, and may lack the latest writes")

// held tells whether what the node answers is to be marked.
func (n *node) held() bool {
	until := n.heldUntil.Load()
	return until != 0 && n.tier.store.Now() < until
}

// adopt makes fresh, which lead to at, the connections of the node.
func (n *node) adopt(ctx context.Context, fresh *connections, at string) error {
	old := n.conns.Load()
	if n.after != nil || n.known.runID != "" && !fresh.server.same(n.known) {
		if err := n.takeOver(ctx, old, fresh, at); err != nil {
			fresh.end()
			return err
		}
	}
	n.known, n.after, n.at, n.link, n.answered = fresh.server, nil, at, nil, time.Now()
	n.conns.Store(fresh)
	if old != nil {
		old.over.Store(true)
		n.tier.running.Go(old.end)
	}
	return nil
}

// takeOver puts a server right that takes the place of another.
func (n *node) takeOver(ctx context.Context, old, fresh *connections, at string) error {
	n.interrupt(errHeld)
	if old != nil {
		old.end()
	}
	if n.after != nil {
		select {
		case <-n.after.ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fresh.server.empty() {
		n.tier.takeovers.Add(1)
		n.log.Warn("redis is another server than before, and empty", "server", at, "run_id", fresh.server.runID)
		return nil
	}
	written, told := n.tier.remembered(n.serves)
	keys := slices.Concat(written, told)
	began := time.Now()
	if err := n.removeRecent(ctx, fresh, keys); err != nil {
		return fmt.Errorf("removing what was written lately from a server that takes another's place: %w", err)
	}
	for _, key := range written { // the next server may lack the removal, too
		n.tier.written.note(key)
	}
	for _, key := range told {
		n.tier.told.note(key)
	}
	took := time.Since(began)
	held := n.tier.holdFor(took)
	n.heldOwner.Store(n.tier.store.NewUntrackedOwner())
	n.heldUntil.Store(n.tier.store.Now() + int64(held))
	n.tier.takeovers.Add(1)
	n.log.Warn("redis is another server than before, which may lack the latest writes: what was written within the last minute was removed there, and answers are marked for a while",
		"server", at, "run_id", fresh.server.runID, "keys", len(keys), "took", took.Round(time.Millisecond), "marked", held.Round(time.Millisecond))
	return nil
}

// remembered returns the keys of the last minute that serves says yes to, and counts when
// some were forgotten.
func (t *Tier) remembered(serves func(string) bool) (written, told []string) {
	if !t.written.whole() || !t.told.whole() {
		t.forgetful.Add(1)
	}
	return t.written.all(serves), t.told.all(serves)
}

// removeRecent removes keys, as after a change of others.
func (n *node) removeRecent(ctx context.Context, c *connections, keys []string) error {
	for part := range slices.Chunk(keys, outdated) {
		if err := n.removePart(ctx, c, part); err != nil {
			return err
		}
	}
	return nil
}

// removePart removes keys in one piece. A key that the server refuses is left: it is on
// another node by now, or no instance may write it.
func (n *node) removePart(ctx context.Context, c *connections, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, n.tier.timeout)
	defer cancel()
	script := n.tier.scripts.outdate
	remove := func(command, text string, keys []string) rueidis.Completed {
		return call{keys, []string{""}}.by(c.plain, command, text)
	}
	cmds := []rueidis.Completed{remove("EVAL", script.text, withSibling(keys[0]))} // makes the others known
	for _, key := range keys[1:] {
		cmds = append(cmds, remove("EVALSHA", script.sha, withSibling(key)))
	}
	var again []rueidis.Completed
	for i, answer := range c.plain.DoMulti(ctx, cmds...) {
		err, both := answer.Error(), withSibling(keys[i])
		switch {
		case isSplit(err):
			again = append(again, c.plain.B().Del().Key(both[1]).Build(), remove("EVAL", script.text, both[:1]))
		case codeOf(errorReply(err)) == "NOSCRIPT": // the first was refused
			again = append(again, remove("EVAL", script.text, both))
		case err != nil && (errorReply(err) == "" || isTransient(err)):
			return err
		}
	}
	if len(again) == 0 {
		return nil
	}
	for _, answer := range c.plain.DoMulti(ctx, again...) {
		if err := answer.Error(); err != nil && (errorReply(err) == "" || isTransient(err) && !isSplit(err)) {
			return err
		}
	}
	return nil
}
