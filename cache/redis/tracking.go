package redis

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

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// connection makes the store look like the private cache of one connection,
// which is what rueidis expects. rueidis calls it in the order of the wire
// (Update, Delete) and from callers' goroutines (Flight, Cancel); it makes one
// also for connections that never read anything, so the owner is registered
// with the first read. It never claims a hit: the handlers look into the
// store before they ask rueidis.
type connection struct {
	tier  *Tier
	owner atomic.Pointer[memory.Owner]
	dead  atomic.Bool
}

func (t *Tier) NewConnection(rueidis.CacheStoreOption) rueidis.CacheStore {
	return &connection{tier: t}
}

// Flight registers the read that is about to be sent. now was taken before,
// so it is the send time that everything else counts from.
func (c *connection) Flight(key, _ string, _ time.Duration, now time.Time) (rueidis.RedisMessage, rueidis.CacheEntry) {
	o := c.owner.Load()
	if o == nil {
		o = c.tier.store.NewOwner(false)
		if !c.owner.CompareAndSwap(nil, o) {
			o.End()
			o = c.owner.Load()
		}
		if c.dead.Load() {
			o.End()
		}
	}
	c.tier.flights.Bind(o, key, c.tier.store.At(now))
	return rueidis.RedisMessage{}, nil
}

// Update sees each reply to a tracked read. The return value is the expiry
// that rueidis notes on the message: Redis' own.
func (c *connection) Update(key, _ string, val rueidis.RedisMessage) int64 {
	if o := c.owner.Load(); o != nil {
		c.tier.flights.Arrived(o, key)
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
		c.tier.flights.Refused(o, key)
	} else {
		c.tier.flights.Abandoned(o, key)
	}
}

// Delete applies an invalidation; nil means that everything was flushed.
func (c *connection) Delete(keys []rueidis.RedisMessage) {
	o := c.owner.Load()
	if o == nil {
		return
	}
	if keys == nil {
		c.tier.flights.Flushed(o)
		return
	}
	for i := range keys {
		key, err := keys[i].ToString()
		if err != nil {
			continue
		}
		c.tier.flights.Invalidated(o, key)
		if strings.HasPrefix(key, canaryPrefix) {
			o.Prove(c.tier.store.Now())
		}
	}
}

// Close ends the connection; it may come twice, or never.
func (c *connection) Close(error) {
	c.dead.Store(true)
	if o := c.owner.Load(); o != nil {
		c.tier.flights.Closed(o)
	}
}

// Track reads keys through rueidis' client-side caching: GET and PTTL in one
// transaction, announced to Redis as tracked.
func (t *Tier) Track(ctx context.Context, keys []string) []shared.Found {
	out := make([]shared.Found, len(keys))
	c, err := t.ask(ctx)
	if err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	if o := t.blind.Load(); o != nil {
		return t.readBlind(ctx, o, keys)
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	if len(keys) == 1 {
		out[0] = t.judge(c.reads.DoCache(ctx, c.reads.B().Get().Key(keys[0]).Cache(), t.cfg.Revalidate))
		return out
	}
	cmds := make([]rueidis.CacheableTTL, len(keys))
	for i, key := range keys {
		cmds[i] = rueidis.CT(c.reads.B().Get().Key(key).Cache(), t.cfg.Revalidate)
	}
	for i, answer := range c.reads.DoMultiCache(ctx, cmds...) {
		out[i] = t.judge(answer)
	}
	return out
}

// judge reads one tracked reply.
func (t *Tier) judge(answer rueidis.RedisResult) shared.Found {
	var ttl time.Duration
	if at := answer.CachePXAT(); at > 0 {
		ttl = max(time.Until(time.UnixMilli(at)), time.Millisecond)
	}
	r, err := classifyReply(answer, ttl)
	if err != nil {
		return shared.Found{Err: t.failed(err)}
	}
	return shared.Found{Content: r}
}

// readBlind reads where nobody will tell of changes. The owner stands for the
// absence of a connection: it never proves itself, so what is read belongs to
// it, marked, for a moment.
func (t *Tier) readBlind(ctx context.Context, o *memory.Owner, keys []string) []shared.Found {
	sent := t.store.Now()
	for _, key := range keys {
		t.flights.Bind(o, key, sent)
	}
	replies, err := t.getMany(ctx, keys)
	for i, key := range keys {
		t.flights.Arrived(o, key)
		if err != nil {
			replies[i] = shared.Found{Err: err}
		}
	}
	return replies
}

// keepLinks owns the clients: it connects, keeps proving every link four
// times per link_timeout, and replaces the clients when a connection turns
// out deaf, until ctx ends.
func (t *Tier) keepLinks(ctx context.Context) {
	var links []*link
	round := t.cfg.LinkTimeout / 4
	tick := time.NewTicker(round)
	defer tick.Stop()
	var looked time.Time // when the cluster's masters were last listed
	tried := sync.OnceFunc(func() { close(t.tried) })
	defer tried()
	defer time.AfterFunc(t.timeout, tried).Stop() // a Redis that says nothing holds nobody up for longer
	for ctx.Err() == nil {
		t.store.NoticeSleep()
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
func (t *Tier) proveLinks(ctx context.Context, links []*link, round time.Duration) error {
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
func (t *Tier) deaf(err error) {
	t.cfg.Log.Error("invalidations do not arrive; memory keeps nothing longer than memory.untracked_ttl until they do", "error", err)
	t.replaceReader()
}

// replaceReader dials a new tracked reader in place of the present one.
func (t *Tier) replaceReader() {
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
func (t *Tier) reader() (rueidis.Client, error) {
	o, err := t.options(t.NewConnection)
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
	t.cfg.Log.Error("redis refuses CLIENT TRACKING; memory keeps nothing longer than memory.untracked_ttl; allow client|tracking and client|caching", "error", err)
	if o, err = t.options(nil); err != nil {
		return nil, err
	}
	if c, err = dial(o); err == nil && t.blind.Load() == nil {
		t.blind.Store(t.store.NewUntrackedOwner())
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
func (t *Tier) connect(ctx context.Context) error {
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
func (t *Tier) links(ctx context.Context, c *clients, before []*link) ([]*link, error) {
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
			prefix := canaryPrefix + "{" + t.slotTag(first, last) + "}:"
			links = append(links, t.newLink(addr, prefix, nodeReader{t, node, c.writes}))
		}
		listed[addr] = true
	}
	return links, nil
}

func (t *Tier) newLink(name, prefix string, via linkReader) *link {
	return &link{store: t.store, flights: t.flights, timeout: t.cfg.LinkTimeout, via: via, name: name, prefix: prefix, key: prefix + shared.NewToken()}
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
	tier          *Tier
	reads, writes rueidis.Client
}

func (n nodeReader) readTracked(ctx context.Context, key string) error {
	_, err := classifyReply(n.reads.DoCache(ctx, n.reads.B().Get().Key(key).Cache(), n.tier.cfg.Revalidate), 0)
	return err
}

func (n nodeReader) writeCanary(ctx context.Context, key string) error {
	return n.writes.Do(ctx, n.writes.B().Set().Key(key).Value("0").Ex(time.Minute).Build()).Error()
}

// slotTag returns text whose hash slot lies in [first, last], so that a key
// with it in braces lives on the node that serves those slots.
func (t *Tier) slotTag(first, last uint16) string {
	for i := 0; ; i++ {
		tag := strconv.Itoa(i)
		if slot := t.Slot(tag); slot >= first && slot <= last {
			return tag
		}
	}
}
