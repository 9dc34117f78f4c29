package cache

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
)

// RedisConfig describes the shared tier when it is Redis.
type RedisConfig struct {
	URL          string // redis://, rediss://, unix://; ?addr= for Cluster, ?master_set= for Sentinel
	Password     string // replaces the URL's when not empty
	WaitReplicas int    // replicas that must confirm guards and unguards
}

// redisTier is the shared tier in Redis. Tracked reads have a client of their
// own, with one connection per node: all of its replies and invalidations
// come in one order. Everything else goes through a second client, whose
// traffic cannot delay an invalidation.
type redisTier struct {
	cfg     RedisConfig
	store   *store
	log     *slog.Logger
	lease   time.Duration
	trust   time.Duration // memory.revalidate
	tuned   *atomic.Pointer[Settings]
	timeout time.Duration // of one command
	scripts scripts

	crowds  sync.Map                // prefix of a limit's keys → *newcomers
	clients atomic.Pointer[clients] // nil until Redis has been reached once
	tried   chan struct{}           // closed when it was tried to reach Redis for the first time
	trouble atomic.Pointer[trouble] // nil while Redis can be asked
	moment  atomic.Pointer[moment]
	blind   atomic.Pointer[owner] // set while Redis refuses tracking
	probe   chan struct{}         // wakes the link's keeper at once
	stop    context.CancelCauseFunc
	done    sync.WaitGroup
}

type clients struct{ reads, writes rueidis.Client }

// errReplaced is what a command meets whose client the keeper has just replaced.
var errReplaced = rueidis.ErrClosing

type scripts struct{ fill, swap, release, guard, unguard, claim, refresh, take, spill, giveBack *rueidis.Lua }

func newRedisTier(c Config, s *store, tuned *atomic.Pointer[Settings]) (*redisTier, error) {
	t := &redisTier{
		cfg: c.Redis, store: s, log: c.Log, lease: c.Lease, trust: c.Revalidate, tuned: tuned,
		timeout: c.LinkTimeout / 2, probe: make(chan struct{}, 1), tried: make(chan struct{}),
		scripts: scripts{
			fill: rueidis.NewLuaScriptRetryable(fillScript), swap: rueidis.NewLuaScriptRetryable(swapScript),
			release: rueidis.NewLuaScriptRetryable(releaseScript), guard: rueidis.NewLuaScriptRetryable(guardScript),
			unguard: rueidis.NewLuaScriptRetryable(unguardScript),
			take:    rueidis.NewLuaScriptRetryable(takeScript), spill: rueidis.NewLuaScriptRetryable(spillScript), giveBack: rueidis.NewLuaScript(returnScript),
			claim: rueidis.NewLuaScriptRetryable(claimScript), refresh: rueidis.NewLuaScriptRetryable(refreshScript),
		},
	}
	if _, err := t.options(nil); err != nil {
		return nil, err
	}
	t.trouble.Store(&trouble{err: errNotYet, since: time.Now()})
	ctx, cancel := context.WithCancelCause(context.Background())
	t.stop = cancel
	t.done.Add(1)
	go func() {
		defer t.done.Done()
		t.keepLinks(ctx)
	}()
	return t, nil
}

func (t *redisTier) name() Tier { return TierRedis }

func (t *redisTier) up() error {
	if bad := t.trouble.Load(); bad != nil {
		return bad.err
	}
	return nil
}

func (t *redisTier) close() {
	t.stop(errDown)
	t.done.Wait()
	if c := t.clients.Load(); c != nil {
		c.reads.Close()
		c.writes.Close()
	}
}

// options returns what both clients share. With newStore they are the tracked
// reader's.
func (t *redisTier) options(newStore rueidis.NewCacheStoreFn) (rueidis.ClientOption, error) {
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
func (t *redisTier) do(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	c, err := t.ask(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	err = f(ctx, c.writes)
	if err != nil && broken(err) && ctx.Err() == nil {
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

func (t *redisTier) get(ctx context.Context, key string) (reply, error) {
	replies, err := t.getMany(ctx, []string{key})
	if err != nil {
		return reply{}, err
	}
	return replies[0].reply, replies[0].err
}

// sought is what one key of several was found to hold.
type sought struct {
	reply
	err error
}

// getMany reads keys in one round trip. What Redis refuses of them is the error
// of that key; err is that of all.
func (t *redisTier) getMany(ctx context.Context, keys []string) (replies []sought, err error) {
	replies = make([]sought, len(keys))
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
				replies[i] = sought{err: t.failed(err)}
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
			replies[i] = sought{r, t.failed(err)}
		}
		return nil
	})
	return replies, err
}

// classifyReply turns the reply to a GET, or to a SET with GET, into ours.
func classifyReply(answer rueidis.RedisResult, ttl time.Duration) (reply, error) {
	raw, err := answer.AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return reply{kind: kindNone}, nil
	case isWrongType(err):
		return reply{kind: kindBad}, nil
	case err != nil:
		return reply{}, err
	}
	return classify(raw, ttl), nil
}

func isWrongType(err error) bool {
	return codeOf(answered(err)) == "WRONGTYPE"
}

func (t *redisTier) acquire(ctx context.Context, key, token string, instead []byte) (reply, error) {
	var r reply
	ms := strconv.FormatInt(t.lease.Milliseconds(), 10)
	err := t.do(ctx, func(ctx context.Context, c rueidis.Client) error {
		var answer rueidis.RedisResult
		if instead == nil {
			answer = c.Do(ctx, c.B().Set().Key(key).Value(leasePrefix+token).Nx().Get().Px(t.lease).Build())
		} else {
			answer = t.scripts.swap.Exec(ctx, c, []string{key}, []string{string(instead), leasePrefix + token, ms})
		}
		var err error
		r, err = classifyReply(answer, 0)
		return err
	})
	if r.kind == kindLease && r.text == leasePrefix+token {
		r = reply{} // the first try did it, and its answer got lost
	}
	return r, err
}

// script runs one of ours and returns the number it answers.
func (t *redisTier) script(ctx context.Context, s *rueidis.Lua, keys []string, args ...string) (n int64, err error) {
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		n, err = s.Exec(ctx, c, keys, args).AsInt64()
		return err
	})
	return n, err
}

// numbers is script for an answer of several numbers.
func (t *redisTier) numbers(ctx context.Context, s *rueidis.Lua, keys []string, args ...string) (n []int64, err error) {
	err = t.do(ctx, func(ctx context.Context, c rueidis.Client) (err error) {
		n, err = s.Exec(ctx, c, keys, args).AsIntSlice()
		return err
	})
	return n, err
}

// call is one run of a script.
type call struct{ keys, args []string }

// pipeline runs a script for each of calls, all in one piece, so that thousands
// take little longer than one. It is not cut short by the timeout of a single
// command: ctx is its deadline.
func (t *redisTier) pipeline(ctx context.Context, script string, calls []call) ([]int64, []error) {
	numbers, errs := make([]int64, len(calls)), make([]error, len(calls))
	c, err := t.ask(ctx)
	if err != nil {
		return numbers, repeat(err, len(calls))
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

// once runs a script that must not be repeated when the connection breaks.
func (t *redisTier) once(ctx context.Context, s *rueidis.Lua, key string, args ...string) error {
	c, err := t.ask(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	return t.failed(s.Exec(ctx, c.writes, []string{key}, args).Error())
}

// textOf is a value as an argument of a script; it is not copied.
func textOf(value []byte) string { return rueidis.BinaryString(value) }

// replicated runs a script of ours whose write must be known to enough replicas. WAIT
// tells of what its own connection has written before, so both go in one piece: sent
// alone it would go to any node of a Cluster, and after a break to a connection that
// has written nothing.
func (t *redisTier) replicated(ctx context.Context, s *rueidis.Lua, script string, keys []string, args ...string) error {
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
		err = fmt.Errorf("%w: %d of redis.wait_replicas = %d confirmed", errDown, n, t.cfg.WaitReplicas)
	}
	return err
}

func (t *redisTier) set(ctx context.Context, items []Item) []error {
	c, err := t.ask(ctx)
	if err != nil {
		return repeat(err, len(items))
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

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// add is not repeated when the connection breaks: it may have counted.
func (t *redisTier) add(ctx context.Context, key string, n int64) (sum int64, err error) {
	c, err := t.ask(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	sum, err = c.writes.Do(ctx, c.writes.B().Incrby().Key(key).Increment(n).Build()).AsInt64()
	return sum, t.failed(err)
}

func (t *redisTier) count(ctx context.Context, key string) (int64, error) {
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
	return parseCount(key, text)
}
