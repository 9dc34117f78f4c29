package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// connections lead to one server that was looked at: a tracked one, on which all replies
// and invalidations come in one order, and a plain one, whose traffic cannot delay an
// invalidation. Neither is dialled anew by rueidis when it breaks: a name, a virtual
// address or a proxy may lead to another server by then, whose data the keeper has to
// put right first.
//
//	made by dialServer ──publish──► used ──broken, or another server──► over
type connections struct {
	node    *node
	tracked rueidis.Client // nil while Redis refuses tracking
	plain   rueidis.Client
	waiting rueidis.Client // for writes that replicas must confirm; nil: none must
	reader  *connection    // the cache of tracked, which knows its owner
	server  identity

	noMSET atomic.Bool // the account may not run it
	proved atomic.Bool // a round of proofs has succeeded on it
	over   atomic.Bool // broken or replaced: nothing is dialled for it any more
}

// identity is what a server says of itself.
type identity struct {
	runID   string // another one after each start; "" where a server does not say
	history string // of its data: another one after it has taken over those of another server, and a promotion
	role    string // "master", "slave"
	version string
	cluster bool // it is a node of a Cluster
	loading bool // it has not read all of its data yet
	data    bool // it has keys
}

// end makes the connections fail from now on, and closes them. Commands that are on the
// way are answered first, within a second; entries that were read are not fresh any more
// at once. It may come twice.
func (conns *connections) end() {
	conns.over.Store(true)
	if conns.tracked != nil {
		conns.reader.Close(nil)
	}
	var all sync.WaitGroup // a server that says nothing costs a second for each
	for _, client := range []rueidis.Client{conns.tracked, conns.waiting, conns.plain} {
		if client != nil {
			all.Go(client.Close)
		}
	}
	all.Wait()
}

// errSpent is what a command meets on a connection that has broken.
var errSpent = errors.New("the connection is broken, and is dialled anew")

// dialOnce makes a client of one server at addr that dials once; remote is where it got.
func dialOnce(o rueidis.ClientOption, addr string) (c rueidis.Client, remote net.Addr, err error) {
	toOne(&o, addr)
	base, dialled := dialer(o), atomic.Bool{}
	o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, tlsConfig *tls.Config) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errSpent
		}
		conn, err := base(ctx, addr, d, tlsConfig)
		if err == nil {
			remote = conn.RemoteAddr()
		}
		return conn, err
	}
	c, err = dial(o)
	return c, remote, err
}

// toOne leaves of the options what leads to one server. However many commands go in one
// piece, they take no connection of their own: it would be another one.
func toOne(o *rueidis.ClientOption, addr string) {
	o.BlockingPipeline, o.PipelineMultiplex = math.MaxInt, -1
	o.InitAddress, o.ForceSingleClient, o.Sentinel = []string{addr}, true, rueidis.SentinelOption{}
}

// dialer is how the options dial.
func dialer(o rueidis.ClientOption) func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
	if o.DialCtxFn != nil {
		return o.DialCtxFn
	}
	return func(ctx context.Context, addr string, d *net.Dialer, tlsConfig *tls.Config) (net.Conn, error) {
		if tlsConfig != nil {
			return (&tls.Dialer{NetDialer: d, Config: tlsConfig}).DialContext(ctx, "tcp", addr)
		}
		return d.DialContext(ctx, "tcp", addr)
	}
}

// dial returns a usable client or an error, never both: rueidis returns both
// for a single node that is away.
func dial(o rueidis.ClientOption) (rueidis.Client, error) {
	c, err := rueidis.NewClient(o)
	if err != nil && c != nil {
		c.Close()
	}
	return c, remedy(err)
}

// dialServer dials the server at addr, a name that is resolved anew, and finds out what
// it is. The caller ends what it does not use.
func (n *node) dialServer(ctx context.Context, addr string) (*connections, error) {
	o, err := n.tier.cfg.options(n.tier.timeout, nil)
	if err != nil {
		return nil, err
	}
	plain, remote, err := dialOnce(o, addr)
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", addr, err)
	}
	c := &connections{node: n, plain: plain}
	if c.server, err = identify(ctx, plain, n.tier.timeout); err == nil {
		err = c.server.supported()
	}
	if err == nil {
		err = n.dialTracked(ctx, c, addr)
	}
	if err == nil && n.tier.cfg.WaitReplicas > 0 {
		c.waiting, err = dialWaiting(o, c, addr, remote)
	}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// dialTracked dials the tracked connection. Where Redis refuses CLIENT TRACKING (some
// managed services, an ACL) there is none: everything works, and memory keeps nothing
// longer than memory.untracked_ttl.
//
// The name may lead elsewhere between two calls, and both connections have to lead to one
// server. Where every connection leads to another one, as behind some managed endpoints,
// the last is taken, and the canary has to show that changes are reported on it.
func (n *node) dialTracked(ctx context.Context, c *connections, addr string) error {
	for attempt := 1; ; attempt++ {
		reader := &connection{node: n, of: c}
		o, err := n.tier.cfg.options(n.tier.timeout, func(rueidis.CacheStoreOption) rueidis.CacheStore { return reader })
		if err != nil {
			return err
		}
		tracked, _, err := dialOnce(o, addr)
		if errors.Is(err, rueidis.ErrNoCache) {
			n.trackingRefused(err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("connecting to %q: %w", addr, err)
		}
		other, err := identify(ctx, tracked, n.tier.timeout)
		if err == nil && (other.runID == c.server.runID || attempt == 4) {
			c.tracked, c.reader = tracked, reader
			return nil
		}
		reader.Close(nil)
		tracked.Close()
		if err != nil {
			return err
		}
	}
}

// dialWaiting makes the client for writes that replicas must confirm. WAIT stops its
// connection until they do, so there are several, dialled when they are needed, to
// where the plain one got.
func dialWaiting(o rueidis.ClientOption, c *connections, addr string, remote net.Addr) (rueidis.Client, error) {
	base := dialer(o)
	o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, tlsConfig *tls.Config) (net.Conn, error) {
		if c.over.Load() {
			return nil, errSpent
		}
		if remote != nil && remote.Network() == "tcp" {
			tlsConfig = knownAs(addr, tlsConfig)
			addr = remote.String()
		}
		return base(ctx, addr, d, tlsConfig)
	}
	toOne(&o, addr)
	return dial(o)
}

// identify asks a server what it is.
func identify(ctx context.Context, c rueidis.Client, timeout time.Duration) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var id identity
	text, err := c.Do(ctx, c.B().Info().Build()).ToString()
	if err == nil {
		id.read(text)
	}
	return id, err
}

// read takes what INFO says.
func (id *identity) read(info string) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			id.version = value
		case "run_id":
			id.runID = value
		case "role":
			id.role = value
		case "master_replid":
			id.history = value
		case "redis_mode":
			id.cluster = value == "cluster"
		case "loading":
			id.loading = value != "0"
		default:
			id.data = id.data || strings.HasPrefix(name, "db") && strings.HasPrefix(value, "keys=")
		}
	}
}

// same tells whether a server is known to be the one that was used before, with the same
// data: a master that is demoted takes over its master's, and may be promoted again.
func (id identity) same(before identity) bool {
	return id.runID != "" && id.runID == before.runID && id.history == before.history
}

// empty tells whether the server holds nothing, so nothing that is older than it should be.
func (id identity) empty() bool { return id.role == "master" && !id.loading && !id.data }

// supported refuses a Redis that cannot keep the promises: before 7.0 a push may
// cut into a transaction's reply (redis issue 8935), and SET takes no NX with GET.
func (id identity) supported() error {
	version := id.version
	if version == "" {
		version = "unknown"
	}
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 7 {
		return fmt.Errorf("redis %q is too old: 7.0 or later is needed", version)
	}
	return nil
}
