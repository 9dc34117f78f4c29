package redis

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/redis/rueidis"
)

// spreading is a batch of commands, for each key the same number.
type spreading struct {
	build   func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed // appends the commands for the i-th key
	take    func(i int, answers []rueidis.RedisResult) error                           // takes their answers
	instead func(dst []rueidis.Completed, c rueidis.Client, i int) []rueidis.Completed // in the place of a script that is not known; may be nil
	fail    func(i int, err error)                                                     // takes the error of the i-th key, the tier's already; never nil

	held func(i int) // told of a key whose node was held when it was asked; may be nil

	via func(*connections) // told over which connections a key's commands were done; may be nil

	repeatable bool // the commands may be sent again when a connection breaks
	bounded    bool // each try takes no longer than a single command may
}

// maxSent bounds how many commands of one batch are sent on at a time.
const maxSent = 256

// spread sends the commands for keys, those of one node in one piece, and nodes side by
// side. Those of keys that are elsewhere by now are sent there one by one. What a broken
// connection left open is repeated if the commands may be.
func (t *Tier) spread(ctx context.Context, keys []string, s spreading) {
	caller := ctx
	if s.bounded {
		ctx = t.bound(ctx)
	}
	groups := t.byNode(ctx, keys, s.fail)
	if len(groups) == 1 {
		for n, at := range groups {
			t.spreadOver(ctx, caller, n, keys, at, s)
		}
		return
	}
	var all sync.WaitGroup
	for n, at := range groups {
		all.Go(func() { t.spreadOver(ctx, caller, n, keys, at, s) })
	}
	all.Wait()
}

// spreadOver sends the commands of the keys that n serves; at has their places.
func (t *Tier) spreadOver(ctx, caller context.Context, n *node, keys []string, at []int, s spreading) {
	c, err := n.askFor(ctx, false)
	if err != nil {
		for _, i := range at {
			s.fail(i, err)
		}
		return
	}
	held := s.held != nil && n.held() // behind the connections, see Value
	errs := sendAll(ctx, c.plain, at, s.build, s.take)
	if held {
		for j, err := range errs {
			if err == nil {
				s.held(at[j])
			}
		}
	}
	if s.instead != nil {
		var unknown []int
		for j, err := range errs {
			if strings.HasPrefix(errorReply(err), "NOSCRIPT") {
				unknown = append(unknown, j)
			}
		}
		places := make([]int, len(unknown))
		for k, j := range unknown {
			places[k] = at[j]
		}
		for k, err := range sendAll(ctx, c.plain, places, s.instead, s.take) {
			errs[unknown[k]] = err
		}
	}
	if s.via != nil && slices.Contains(errs, nil) {
		s.via(c)
	}
	t.sendOn(ctx, caller, n, c, keys, at, errs, s)
}

// sendOn goes on with those commands that have failed at n, as errs says of the keys at
// the places in at: where they may be sent again they are, each by itself.
func (t *Tier) sendOn(ctx, caller context.Context, n *node, c *connections, keys []string, at []int, errs []error, s spreading) {
	var all sync.WaitGroup
	places := make(chan struct{}, maxSent)
	for j, err := range errs {
		if err == nil {
			continue
		}
		i := at[j]
		r := route{tier: t, caller: caller, key: keys[i], repeatable: s.repeatable}
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			if !r.again(ctx, n, c, err) {
				s.fail(i, n.noteFailure(c, err))
			} else if err := t.sendOne(ctx, r, i, s); err != nil {
				s.fail(i, err)
			}
		})
	}
	all.Wait()
}

// sendAll sends the commands for some keys in one piece, and returns their errors.
func sendAll(ctx context.Context, c rueidis.Client, at []int, build func([]rueidis.Completed, rueidis.Client, int) []rueidis.Completed, take func(int, []rueidis.RedisResult) error) []error {
	if len(at) == 0 {
		return nil
	}
	cmds := make([]rueidis.Completed, 0, 2*len(at))
	for _, i := range at {
		cmds = build(cmds, c, i)
	}
	each := len(cmds) / len(at)
	answers := c.DoMulti(ctx, cmds...)
	errs := make([]error, len(at))
	for j, i := range at {
		errs[j] = take(i, answers[j*each:(j+1)*each])
	}
	return errs
}

// sendOne goes on with one key's commands along r.
func (t *Tier) sendOne(ctx context.Context, r route, i int, s spreading) error {
	build := s.build
	if s.instead != nil {
		build = s.instead
	}
	for ctx = r.within(ctx); ; ctx = r.within(ctx) {
		n, c, err := r.next(ctx, false)
		if err != nil {
			return err
		}
		client := c.plain
		if r.ask {
			client = asking{c.plain}
		}
		held := s.held != nil && n.held()
		if err = sendAll(ctx, client, []int{i}, build, s.take)[0]; err == nil {
			if held {
				s.held(i)
			}
			if s.via != nil {
				s.via(c)
			}
			return nil
		}
		if !r.again(ctx, n, c, err) {
			return n.noteFailure(c, err)
		}
	}
}

// byNode groups the places of keys by the nodes that serve them. fail takes the error of
// a key that none serves.
func (t *Tier) byNode(ctx context.Context, keys []string, fail func(i int, err error)) map[*node][]int {
	groups := map[*node][]int{}
	if top := t.topology.Load(); top != nil && top.only != nil {
		at := make([]int, len(keys))
		for i := range at {
			at[i] = i
		}
		groups[top.only] = at
		return groups
	}
	for i, key := range keys {
		n, err := t.nodeOf(ctx, key)
		if err != nil {
			fail(i, err)
			continue
		}
		groups[n] = append(groups[n], i)
	}
	return groups
}
