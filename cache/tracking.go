package cache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// connection makes the store look like the private cache of one connection,
// which is what rueidis expects. rueidis calls it in the order of the wire
// (Update, Delete) and from callers' goroutines (Flight, Cancel); it makes one
// also for connections that never read anything, so the owner is registered
// with the first read. It never claims a hit: the handlers look into the
// store before they ask rueidis.
type connection struct {
	tier  *redisTier
	owner atomic.Pointer[owner]
	dead  atomic.Bool
}

func (t *redisTier) newConnection(rueidis.CacheStoreOption) rueidis.CacheStore {
	return &connection{tier: t}
}

// Flight registers the read that is about to be sent. now was taken before,
// so it is the send time that everything else counts from.
func (c *connection) Flight(key, _ string, _ time.Duration, now time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	o := c.owner.Load()
	if o == nil {
		o = c.tier.store.newOwner(false)
		if !c.owner.CompareAndSwap(nil, o) {
			o.dead.Store(true)
			o = c.owner.Load()
		}
		if c.dead.Load() {
			o.dead.Store(true)
		}
	}
	c.tier.store.bind(o, key, c.tier.store.at(now))
	return rueidis.RedisMessage{}, nil
}

// Update sees each reply to a tracked read. The return value is the expiry
// that rueidis notes on the message: Redis' own.
func (c *connection) Update(key, _ string, val rueidis.RedisMessage) int64 {
	if o := c.owner.Load(); o != nil {
		c.tier.store.arrived(o, key)
	}
	return max(val.CachePXAT(), 0)
}

// Cancel is called when a reader gave up or its transaction was refused; in
// the latter case Redis has answered, and nothing is left on the wire.
func (c *connection) Cancel(key, _ string, err error) {
	o := c.owner.Load()
	if o == nil {
		return
	}
	if answered(err) != "" {
		c.tier.store.refused(o, key)
	} else {
		c.tier.store.abandon(o, key)
	}
}

// Delete applies an invalidation; nil means that everything was flushed.
func (c *connection) Delete(keys []rueidis.RedisMessage) {
	o := c.owner.Load()
	if o == nil {
		return
	}
	if keys == nil {
		c.tier.store.flush(o)
		return
	}
	for i := range keys {
		key, err := keys[i].ToString()
		if err != nil {
			continue
		}
		c.tier.store.invalidate(o, key)
		if strings.HasPrefix(key, canaryPrefix) {
			o.hear(c.tier.store.now())
		}
	}
}

// Close ends the connection; it may come twice, or never.
func (c *connection) Close(error) {
	c.dead.Store(true)
	if o := c.owner.Load(); o != nil {
		c.tier.store.bury(o)
	}
}

// track reads flights through rueidis' client-side caching: GET and PTTL in
// one transaction, announced to Redis as tracked.
func (t *redisTier) track(ctx context.Context, flights []*flight) []tracked {
	out := make([]tracked, len(flights))
	c, err := t.ask(ctx)
	if err != nil {
		for i := range out {
			out[i].err = err
		}
		return out
	}
	if o := t.blind.Load(); o != nil {
		return t.trackBlind(ctx, o, flights)
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	if len(flights) == 1 {
		answer := c.reads.DoCache(ctx, c.reads.B().Get().Key(flights[0].key).Cache(), t.trust)
		out[0] = t.judge(flights[0], answer)
		return out
	}
	cmds := make([]rueidis.CacheableTTL, len(flights))
	for i, f := range flights {
		cmds[i] = rueidis.CT(c.reads.B().Get().Key(f.key).Cache(), t.trust)
	}
	for i, answer := range c.reads.DoMultiCache(ctx, cmds...) {
		out[i] = t.judge(flights[i], answer)
	}
	return out
}

// trackBlind reads where nobody will tell of changes. The owner stands for the
// absence of a connection: what is read belongs to it, marked, for a moment.
func (t *redisTier) trackBlind(ctx context.Context, o *owner, flights []*flight) []tracked {
	keys := make([]string, len(flights))
	sent := t.store.now()
	for i, f := range flights {
		keys[i] = f.key
		t.store.bind(o, f.key, sent)
	}
	replies, err := t.getMany(ctx, keys)
	out := make([]tracked, len(flights))
	for i, f := range flights {
		t.store.arrived(o, f.key)
		out[i] = tracked{err: err}
		if err == nil {
			out[i].err = replies[i].err
		}
		if out[i].err == nil {
			life := t.tuned.Load().UntrackedTTL
			if replies[i].ttl > 0 {
				life = min(life, replies[i].ttl)
			}
			out[i] = tracked{reply: replies[i].reply, expiry: sent + int64(life), flags: flagUntracked}
		}
	}
	return out
}

// judge decides how long the copy may be trusted. A connection that has not
// yet been seen to deliver an invalidation vouches for nothing.
func (t *redisTier) judge(f *flight, answer rueidis.RedisResult) tracked {
	var ttl time.Duration
	if at := answer.CachePXAT(); at > 0 {
		ttl = max(time.Until(time.UnixMilli(at)), time.Millisecond)
	}
	r, err := classifyReply(answer, ttl)
	if err != nil {
		return tracked{err: t.failed(err)}
	}
	o, sent := t.store.boundTo(f)
	life := t.trust
	var flags uint8
	if o != nil && !o.proven.Load() { // without a connection it is not stored at all
		life, flags = min(life, t.tuned.Load().UntrackedTTL), flagUntracked
	}
	if ttl > 0 {
		life = min(life, ttl)
	}
	return tracked{reply: r, expiry: sent + int64(life), flags: flags}
}

// keepLinks owns the clients: it connects, keeps proving every link four
// times per link_timeout, and replaces the clients when a connection turns
// out deaf, until ctx ends.
func (t *redisTier) keepLinks(ctx context.Context) {
	var links []*link
	round := time.Duration(t.store.linkTimeout / 4)
	tick := time.NewTicker(round)
	defer tick.Stop()
	var looked time.Time // when the cluster's masters were last listed
	tried := sync.OnceFunc(func() { close(t.tried) })
	defer tried()
	defer time.AfterFunc(t.timeout, tried).Stop() // a Redis that says nothing holds nobody up for longer
	for ctx.Err() == nil {
		t.store.wakeUp()
		var err error
		if t.clients.Load() == nil {
			err = t.connect(ctx)
		}
		if t.blind.Load() != nil && time.Since(looked) > retrackEvery {
			t.replaceReader()
			looked, links = time.Now(), nil
		}
		if c := t.clients.Load(); c != nil && t.blind.Load() == nil && (err == nil && len(links) == 0 || time.Since(looked) > 5*time.Second) {
			links, err = t.links(ctx, c, links)
			looked = time.Now()
		}
		if err == nil {
			err = t.proveLinks(ctx, links, round/2)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			t.mend()
		case errors.Is(err, errSilent):
			t.deaf(err)
			links = nil
		case t.refused(err):
			t.mend()
			looked, links = time.Now(), nil
		default:
			t.trip(err)
		}
		tried()
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-t.probe:
		}
	}
}

// proveLinks runs one round of proofs.
func (t *redisTier) proveLinks(ctx context.Context, links []*link, round time.Duration) error {
	if t.blind.Load() == nil {
		return proveAll(ctx, links, round)
	}
	c := t.clients.Load()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return c.writes.Do(ctx, c.writes.B().Ping().Build()).Error()
}

// deaf replaces the tracked reader: it answers, so Redis is up, and what it
// reads may be answered; until a connection proves itself nothing read on it
// lives longer than memory.untracked_ttl.
func (t *redisTier) deaf(err error) {
	t.log.Error("invalidations do not arrive; memory keeps nothing longer than memory.untracked_ttl until they do", "error", err)
	t.replaceReader()
}

// replaceReader dials a new tracked reader in place of the present one.
func (t *redisTier) replaceReader() {
	c := t.clients.Load()
	fresh, err := t.reader()
	if err != nil {
		t.trip(err)
		return
	}
	t.clients.Store(&clients{reads: fresh, writes: c.writes})
	c.reads.Close()
}

// retrackEvery is how often a Redis that refuses tracking is asked again.
const retrackEvery = 30 * time.Second

// reader dials the tracked reader. Where Redis refuses CLIENT TRACKING (some
// managed services, an ACL) it is a plain one: everything works, and memory
// keeps nothing longer than memory.untracked_ttl.
func (t *redisTier) reader() (rueidis.Client, error) {
	o, err := t.options(t.newConnection)
	if err != nil {
		return nil, err
	}
	c, err := dial(o)
	if !errors.Is(err, rueidis.ErrNoCache) {
		if err == nil {
			t.blind.Store(nil)
		}
		return c, err
	}
	t.log.Error("redis refuses CLIENT TRACKING; memory keeps nothing longer than memory.untracked_ttl; allow client|tracking and client|caching", "error", err)
	if o, err = t.options(nil); err != nil {
		return nil, err
	}
	if c, err = dial(o); err == nil && t.blind.Load() == nil {
		t.blind.Store(t.store.newBlindOwner())
	}
	return c, err
}

// dial returns a usable client or an error, never both: rueidis returns both
// for a single node that is away.
func dial(o rueidis.ClientOption) (rueidis.Client, error) {
	c, err := rueidis.NewClient(o)
	if err != nil && c != nil {
		c.Close()
	}
	return c, err
}

// connect reaches Redis for the first time.
func (t *redisTier) connect(ctx context.Context) error {
	o, err := t.options(nil)
	if err != nil {
		return err
	}
	writes, err := dial(o)
	if err != nil {
		return err
	}
	err = supported(ctx, writes, t.timeout)
	var reads rueidis.Client
	if err == nil {
		reads, err = t.reader()
	}
	if err != nil {
		writes.Close()
		return err
	}
	t.clients.Store(&clients{reads: reads, writes: writes})
	return nil
}

// supported refuses what cannot keep the promises: before 7.0 a push may cut
// into a transaction's reply (redis issue 8935), and SET takes no NX with GET.
func supported(ctx context.Context, c rueidis.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := c.Do(ctx, c.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return err
	}
	version := "unknown"
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			version = strings.TrimSpace(v)
		}
	}
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fmt.Errorf("redis %q is too old: 7.0 or later is needed", version)
	}
	return nil
}

// links returns one link per node that serves keys, keeping those of before.
func (t *redisTier) links(ctx context.Context, c *clients, before []*link) ([]*link, error) {
	if c.reads.Mode() != rueidis.ClientModeCluster {
		if len(before) == 1 {
			return before, nil
		}
		return []*link{t.newLink("redis", canaryPrefix, nodeReader{t, c.reads, c.writes})}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	ranges, err := c.reads.Do(ctx, c.reads.B().ClusterSlots().Build()).ToArray()
	if err != nil {
		return before, err
	}
	nodes := c.reads.Nodes()
	known := map[string]*link{}
	for _, l := range before {
		known[l.name] = l
	}
	var links []*link
	listed := map[string]bool{}
	for i := range ranges {
		addr, first, last, err := slotRange(ranges[i])
		if err != nil {
			return before, err
		}
		node := nodes[addr]
		switch {
		case listed[addr]:
			continue
		case node == nil:
			return before, fmt.Errorf("cluster node %q is not connected yet", addr)
		case known[addr] != nil:
			known[addr].via = nodeReader{t, node, c.writes}
			links = append(links, known[addr])
		default:
			prefix := canaryPrefix + "{" + slotTag(first, last) + "}:"
			links = append(links, t.newLink(addr, prefix, nodeReader{t, node, c.writes}))
		}
		listed[addr] = true
	}
	return links, nil
}

func (t *redisTier) newLink(name, prefix string, via linkReader) *link {
	return &link{store: t.store, log: t.log, via: via, name: name, prefix: prefix, key: prefix + newToken()}
}

// slotRange reads one element of CLUSTER SLOTS: first, last, master, ….
func slotRange(m rueidis.RedisMessage) (addr string, first, last uint16, err error) {
	parts, err := m.ToArray()
	if err != nil || len(parts) < 3 {
		return "", 0, 0, errors.New("reading CLUSTER SLOTS: unexpected answer")
	}
	from, err1 := parts[0].AsInt64()
	to, err2 := parts[1].AsInt64()
	node, err3 := parts[2].ToArray()
	if err := errors.Join(err1, err2, err3); err != nil || len(node) < 2 {
		return "", 0, 0, errors.New("reading CLUSTER SLOTS: unexpected answer")
	}
	host, err1 := node[0].ToString()
	port, err2 := node[1].AsInt64()
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), uint16(from), uint16(to), errors.Join(err1, err2)
}

// nodeReader is one node's connections as its link needs them.
type nodeReader struct {
	tier          *redisTier
	reads, writes rueidis.Client
}

func (n nodeReader) readTracked(ctx context.Context, f *flight) error {
	_, err := classifyReply(n.reads.DoCache(ctx, n.reads.B().Get().Key(f.key).Cache(), n.tier.trust), 0)
	return err
}

func (n nodeReader) writeCanary(ctx context.Context, key string) error {
	return n.writes.Do(ctx, n.writes.B().Set().Key(key).Value("0").Ex(time.Minute).Build()).Error()
}
