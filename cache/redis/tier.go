// Package redis is the shared tier in Redis, and in Sentinel and Cluster: the only
// room that names rueidis.
//
// Each step of the protocol is one script, so that an instance which dies in the
// middle of a write leaves a state that the others understand. Tracked reads have a
// client of their own, so that no other traffic delays an invalidation.
package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hearth/cache/memory"
	"hearth/cache/shared"
)

// Config describes the shared tier when it is Redis. Every field is
// required unless it says otherwise.
type Config struct {
	URL          string // redis://, rediss://, unix://; ?addr= for Cluster, ?master_set= for Sentinel
	Password     string // replaces the URL's when not empty
	WaitReplicas int    // replicas that must confirm guards and unguards; 0: none

	LinkTimeout time.Duration // silence after which a link proves nothing any more; commands take half of it at most
	Lease       time.Duration // lifetime of leases and guards
	Revalidate  time.Duration // how long rueidis may be told to keep a reply
	Log         *slog.Logger
}

// Tier is the shared tier in Redis. Tracked reads have a client of their
// own, with one connection per node: all of its replies and invalidations
// come in one order. Everything else goes through a second client, whose
// traffic cannot delay an invalidation.
type Tier struct {
	cfg     Config
	store   *memory.Store
	flights Reads
	timeout time.Duration // of one command
	scripts scripts

	clients atomic.Pointer[clients] // nil until Redis has been reached once
	tried   chan struct{}           // closed when it was tried to reach Redis for the first time
	trouble atomic.Pointer[trouble] // nil while Redis can be asked
	moment  atomic.Pointer[moment]
	blind   atomic.Pointer[memory.Owner] // set while Redis refuses tracking
	probe   chan struct{}                // wakes the link's keeper at once
	stop    context.CancelCauseFunc
	done    sync.WaitGroup
}

type clients struct{ reads, writes rueidis.Client }

// errReplaced is what a command meets whose client the keeper has just replaced.
var errReplaced = rueidis.ErrClosing

type scripts struct{ fill, swap, release, guard, unguard, claim, refresh *rueidis.Lua }

// Reads are the reads under way, as cache keeps them. What happens to them on
// a connection is told in the order of its wire.
type Reads interface {
	// bind notes that the read of key is about to be sent on o; sent is clock time.
	Bind(o *memory.Owner, key string, sent int64)
	// arrived notes a reply, refused an error reply, abandon that the reader gave up.
	Arrived(o *memory.Owner, key string)
	Refused(o *memory.Owner, key string)
	Abandoned(o *memory.Owner, key string)
	// invalidate applies a change of key, flush of all keys, bury the end of the connection.
	Invalidated(o *memory.Owner, key string)
	Flushed(o *memory.Owner)
	Closed(o *memory.Owner)
	// probe reads a key of the tier's own, of which nothing is kept.
	Probe(key string, read func() error) (o *memory.Owner, begun bool, err error)
}

// New returns the tier, or what is wrong with its configuration. It
// connects to nothing until it is opened.
func New(c Config, s *memory.Store, f Reads) (*Tier, error) {
	t := &Tier{
		cfg: c, store: s, flights: f,
		timeout: c.LinkTimeout / 2, probe: make(chan struct{}, 1), tried: make(chan struct{}),
		scripts: scripts{
			fill: rueidis.NewLuaScriptRetryable(fillScript), swap: rueidis.NewLuaScriptRetryable(swapScript),
			release: rueidis.NewLuaScriptRetryable(releaseScript), guard: rueidis.NewLuaScriptRetryable(guardScript),
			unguard: rueidis.NewLuaScriptRetryable(unguardScript),
			claim:   rueidis.NewLuaScriptRetryable(claimScript), refresh: rueidis.NewLuaScriptRetryable(refreshScript),
		},
	}
	if _, err := t.options(nil); err != nil {
		return nil, err
	}
	t.trouble.Store(&trouble{err: errNotYet, since: time.Now()})
	return t, nil
}

// Open begins to connect, in the background. Nobody waits for Redis.
func (t *Tier) Open() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.stop = cancel
	t.done.Go(func() { t.keepLinks(ctx) })
	return nil
}

func (t *Tier) Name() string { return "redis" }

func (t *Tier) Up() error {
	if bad := t.trouble.Load(); bad != nil {
		return bad.err
	}
	return nil
}

func (t *Tier) Close() {
	if t.stop != nil {
		t.stop(shared.ErrAway)
	}
	t.done.Wait()
	if c := t.clients.Load(); c != nil {
		c.reads.Close()
		c.writes.Close()
	}
}

// options returns what both clients share. With newStore they are the tracked
// reader's.
func (t *Tier) options(newStore rueidis.NewCacheStoreFn) (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(t.cfg.URL)
	if err != nil {
		return o, errors.New("redis.url is no Redis URL; write redis://host:port, rediss:// or unix:///path")
	}
	if t.cfg.Password != "" {
		o.Password = t.cfg.Password
	}
	o.ForceSingleClient = o.Sentinel.MasterSet == "" && len(o.InitAddress) == 1
	o.PipelineMultiplex = -1 // one connection per node: one order of replies and pushes
	o.MaxFlushDelay = 20 * time.Microsecond
	o.ReadBufferEachConn, o.WriteBufferEachConn = 64<<10, 64<<10
	o.Dialer.Timeout = min(t.timeout, 500*time.Millisecond)
	o.Dialer.KeepAlive = time.Second
	o.ConnWriteTimeout = max(t.timeout, 500*time.Millisecond)
	o.Sentinel.TopologyRefreshInterval = 5 * time.Second
	o.ClusterOption.ShardsRefreshInterval = 5 * time.Second
	o.DisableRetry = true // deadlines and retries are decided here
	o.BlockingPoolSize = 8
	o.ClientName = "hearth"
	o.OnInvalidations = func([]rueidis.RedisMessage) {} // makes rueidis read pushes on an idle connection, too
	if newStore == nil {
		o.DisableCache = true
		o.OnInvalidations = nil
	}
	o.NewCacheStoreFn = newStore
	return o, nil
}

// do runs f against the write client, once more if the connection broke under
// it; f must be harmless when repeated.
func (t *Tier) do(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	return t.run(ctx, true, f)
}

// run is do, or with again false for what must not be repeated.
func (t *Tier) run(ctx context.Context, again bool, f func(context.Context, rueidis.Client) error) error {
	c, err := t.ask(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	err = f(ctx, c.writes)
	if again && err != nil && broken(err) && ctx.Err() == nil {
		err = f(ctx, c.writes)
	}
	return t.failed(err)
}

// answered returns the error reply that err is or wraps, "" if it is none:
// rueidis' own IsRedisErr looks only at what is not wrapped.
func answered(err error) string {
	if errors.Is(err, rueidis.ErrDoCacheAborted) { // of a tracked read's transaction
		return "EXECABORT " + err.Error()
	}
	if reply, ok := errors.AsType[*rueidis.RedisError](err); ok && !reply.IsNil() {
		return reply.Error()
	}
	return ""
}

// broken tells a lost connection from an answer and from a deadline.
func broken(err error) bool {
	return answered(err) == "" && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

func (t *Tier) Get(ctx context.Context, key string) (shared.Content, error) {
	replies, err := t.getMany(ctx, []string{key})
	if err != nil {
		return shared.Content{}, err
	}
	return replies[0].Content, replies[0].Err
}

// getMany reads keys in one round trip. What Redis refuses of them is the error
// of that key; err is that of all.
func (t *Tier) getMany(ctx context.Context, keys []string) (replies []shared.Found, err error) {
	replies = make([]shared.Found, len(keys))
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		cmds := make([]rueidis.Completed, 0, 2*len(keys))
		for _, key := range keys {
			// The value first: only a key that still stands after it, without
			// expiry, may be taken for a placeholder that nobody will ever fill.
			cmds = append(cmds, c.B().Get().Key(key).Build(), c.B().Pttl().Key(key).Build())
		}
		answers := c.DoMulti(ctx, cmds...)
		for i := range keys {
			pttl, err := answers[2*i+1].AsInt64()
			if err != nil && answered(err) == "" {
				return err
			}
			if err != nil {
				replies[i] = shared.Found{Err: t.failed(err)}
				continue
			}
			ttl := time.Duration(pttl) * time.Millisecond
			if pttl == -1 {
				ttl = 0
			} else if pttl <= 0 {
				ttl = time.Millisecond
			}
			r, err := classifyReply(answers[2*i], ttl)
			if err != nil && answered(err) == "" {
				return err
			}
			replies[i] = shared.Found{Content: r, Err: t.failed(err)}
		}
		return nil
	})
	return replies, err
}

// classifyReply turns the reply to a GET, or to a SET with GET, into ours.
func classifyReply(answer rueidis.RedisResult, ttl time.Duration) (shared.Content, error) {
	raw, err := answer.AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return shared.Content{State: shared.Absent}, nil
	case isWrongType(err):
		return shared.Content{State: shared.Malformed}, nil
	case err != nil:
		return shared.Content{}, err
	}
	return shared.Parse(raw, ttl), nil
}

func isWrongType(err error) bool {
	return codeOf(answered(err)) == "WRONGTYPE"
}

func (t *Tier) Acquire(ctx context.Context, key, token string, instead []byte) (shared.Content, error) {
	var r shared.Content
	ms := strconv.FormatInt(t.cfg.Lease.Milliseconds(), 10)
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		var answer rueidis.RedisResult
		if instead == nil {
			answer = c.Do(ctx, c.B().Set().Key(key).Value(shared.LeasePrefix+token).Nx().Get().Px(t.cfg.Lease).Build())
		} else {
			answer = t.scripts.swap.Exec(ctx, c, []string{key}, []string{string(instead), shared.LeasePrefix + token, ms})
		}
		var err error
		r, err = classifyReply(answer, 0)
		return err
	})
	if r.State == shared.Lease && r.Text == shared.LeasePrefix+token {
		r = shared.Content{} // the first try did it, and its answer got lost
	}
	return r, err
}

// script runs one of ours and returns the number it answers.
func (t *Tier) script(ctx context.Context, s *rueidis.Lua, keys []string, args ...string) (n int64, err error) {
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		n, err = s.Exec(ctx, c, keys, args).AsInt64()
		return err
	})
	return n, err
}

// Script implements limit.Redis.
func (t *Tier) Script(text string, repeatable bool) func(ctx context.Context, keys []string, args ...string) ([]int64, error) {
	lua := rueidis.NewLuaScript(text)
	if repeatable {
		lua = rueidis.NewLuaScriptRetryable(text)
	}
	return func(ctx context.Context, keys []string, args ...string) (n []int64, err error) {
		err = t.run(ctx, repeatable, func(ctx context.Context, c rueidis.Client) (err error) {
			n, err = lua.Exec(ctx, c, keys, args).AsIntSlice()
			return err
		})
		return n, err
	}
}

// Slot implements limit.Redis: rueidis' own reckoning.
func (*Tier) Slot(key string) uint16 {
	routed := rueidis.Completed{}.SetSlot(key)
	return routed.Slot()
}

// call is one run of a script.
type call struct{ keys, args []string }

// pipeline runs a script for each of calls, all in one piece, so that thousands
// take little longer than one. It is not cut short by the timeout of a single
// command: ctx is its deadline.
func (t *Tier) pipeline(ctx context.Context, script string, calls []call) ([]int64, []error) {
	numbers, errs := make([]int64, len(calls)), make([]error, len(calls))
	c, err := t.ask(ctx)
	if err != nil {
		return numbers, shared.ErrorForEach(err, len(calls))
	}
	hash := sha1.Sum([]byte(script))
	cmds := make([]rueidis.Completed, len(calls))
	for i, run := range calls {
		cmds[i] = c.writes.B().Evalsha().Sha1(hex.EncodeToString(hash[:])).Numkeys(int64(len(run.keys))).Key(run.keys...).Arg(run.args...).Build()
	}
	answers := c.writes.DoMulti(ctx, cmds...)
	var unknown []int // Redis was restarted, or this is the first time
	cmds = nil
	for i, answer := range answers {
		if strings.HasPrefix(answered(answer.Error()), "NOSCRIPT") {
			unknown = append(unknown, i)
			cmds = append(cmds, c.writes.B().Eval().Script(script).Numkeys(int64(len(calls[i].keys))).Key(calls[i].keys...).Arg(calls[i].args...).Build())
		}
	}
	if len(unknown) > 0 {
		for i, answer := range c.writes.DoMulti(ctx, cmds...) {
			answers[unknown[i]] = answer
		}
	}
	for i, answer := range answers {
		if numbers[i], err = answer.AsInt64(); err != nil {
			errs[i] = t.failed(err)
		}
	}
	return numbers, errs
}

// textOf is a value as an argument of a script; it is not copied.
func textOf(value []byte) string { return rueidis.BinaryString(value) }

// replicated runs a script of ours whose write must be known to enough replicas. WAIT
// tells of what its own connection has written before, so both go in one piece: sent
// alone it would go to any node of a Cluster, and after a break to a connection that
// has written nothing.
func (t *Tier) replicated(ctx context.Context, s *rueidis.Lua, script string, keys []string, args ...string) error {
	if t.cfg.WaitReplicas == 0 {
		_, err := t.script(ctx, s, keys, args...)
		return err
	}
	var n int64
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		answers := c.DoMulti(ctx,
			c.B().Eval().Script(script).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build(),
			c.B().Wait().Numreplicas(int64(t.cfg.WaitReplicas)).Timeout(t.timeout.Milliseconds()/2).Build())
		if err = answers[0].Error(); err == nil {
			n, err = answers[1].AsInt64()
		}
		return err
	})
	if err == nil && n < int64(t.cfg.WaitReplicas) {
		err = fmt.Errorf("%w: %d of redis.wait_replicas = %d confirmed", shared.ErrAway, n, t.cfg.WaitReplicas)
	}
	return err
}

func (t *Tier) Set(ctx context.Context, items []shared.Item) []error {
	c, err := t.ask(ctx)
	if err != nil {
		return shared.ErrorForEach(err, len(items))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	cmds := make([]rueidis.Completed, len(items))
	for i, it := range items {
		cmds[i] = c.writes.B().Set().Key(it.Key).Value(rueidis.BinaryString(it.Value)).Build()
	}
	var errs []error
	for i, answer := range c.writes.DoMulti(ctx, cmds...) {
		if err := t.failed(answer.Error()); err != nil {
			if errs == nil {
				errs = make([]error, len(items))
			}
			errs[i] = err
		}
	}
	return errs
}

// Add is not repeated when the connection breaks: it may have counted.
func (t *Tier) Add(ctx context.Context, key string, n int64) (sum int64, err error) {
	err = t.run(ctx, false, func(ctx context.Context, c rueidis.Client) (err error) {
		sum, err = c.Do(ctx, c.B().Incrby().Key(key).Increment(n).Build()).AsInt64()
		return err
	})
	return sum, err
}

func (t *Tier) Count(ctx context.Context, key string) (int64, error) {
	var text []byte
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		text, err = c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
		if rueidis.IsRedisNil(err) {
			text, err = []byte("0"), nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return shared.ParseCount(key, text)
}
