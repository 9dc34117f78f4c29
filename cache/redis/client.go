package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// Config describes the shared tier when it is Redis. Every field is required
// unless it says otherwise.
type Config struct {
	URL          string // redis://, rediss://, unix://; ?addr= for Cluster, ?master_set= for Sentinel
	WaitReplicas int    // replicas that must confirm guards and unguards; 0: none

	// The three are asked at every dial, so that what was rotated counts from the
	// next connection on, and none that is healthy is dropped for it. They are called
	// from any goroutine and may read files.

	Account         func() (Account, error)     // who logs in to Redis; nil: whom the URL names
	SentinelAccount func() (Account, error)     // who logs in to the sentinels; nil: nobody
	TLS             func() (*tls.Config, error) // authorities, certificate and server name for rediss://; nil: the system's authorities

	LinkTimeout time.Duration // silence after which a link proves nothing any more; commands take half of it at most
	Lease       time.Duration // lifetime of leases and guards
	Revalidate  time.Duration // how long rueidis may be told to keep a reply
	Log         *slog.Logger
}

// Validate finds what New would refuse. It connects to nothing.
func (c Config) Validate() error {
	_, err := c.options(time.Second, nil)
	return err
}

// options returns what both clients share. timeout is that of one command. With
// newStore they are the options of the tracked reader.
func (c Config) options(timeout time.Duration, newStore rueidis.NewCacheStoreFn) (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(c.URL)
	if err != nil {
		return o, errors.New("redis.url is no Redis URL; write redis://host:port, rediss:// or unix:///path")
	}
	c.secure(&o)
	o.PipelineMultiplex = -1 // one connection per node: one order of replies and pushes
	o.MaxFlushDelay = 20 * time.Microsecond
	o.ReadBufferEachConn, o.WriteBufferEachConn = 64<<10, 64<<10
	o.Dialer.Timeout = min(timeout, 500*time.Millisecond)
	o.Dialer.KeepAlive = time.Second
	o.ConnWriteTimeout = max(timeout, 500*time.Millisecond)
	o.DisableRetry = true // deadlines and retries are decided in this package
	o.BlockingPoolSize = 8
	o.ClientName = cmp.Or(o.ClientName, "hearth")
	o.OnInvalidations = func([]rueidis.RedisMessage) {} // makes rueidis read pushes on an idle connection, too
	if newStore == nil {
		o.DisableCache = true
		o.OnInvalidations = nil
	}
	o.NewCacheStoreFn = newStore
	return o, nil
}

// sentinelOptions returns what the connections to sentinels share. The account of Redis
// is not theirs; what speaks TLS speaks it everywhere.
func (c Config) sentinelOptions(timeout time.Duration) (rueidis.ClientOption, error) {
	o, err := c.options(timeout, nil)
	o.Username, o.Password, o.AuthCredentialsFn, o.SelectDB = "", "", nil, 0
	if c.SentinelAccount != nil {
		o.AuthCredentialsFn = credentials(c.SentinelAccount)
	}
	return o, err
}

// Probe connects to Redis as the shared tier would, and says what would keep it
// from being one: it does not answer, it refuses the account, it is too old, it
// refuses CLIENT TRACKING. Of a Cluster one node is enough; with Sentinel it is the master
// that they name. It leaves no connection behind, and takes a few seconds at most.
func Probe(ctx context.Context, c Config) error {
	o, addrs, err := c.servers(ctx)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		failed := probeServer(ctx, o, addr, probeTimeout)
		if failed == nil {
			return nil
		}
		err = errors.Join(err, failed)
	}
	return err
}

// probeTimeout is for each step of a probe.
const probeTimeout = 3 * time.Second

// servers are those that a URL leads to now, and how to dial them: with Sentinel the one
// master that they name.
func (c Config) servers(ctx context.Context) (o rueidis.ClientOption, addrs []string, err error) {
	if o, err = c.options(probeTimeout, nil); err != nil {
		return o, nil, err
	}
	o.Dialer.Timeout = probeTimeout
	addrs = o.InitAddress
	if o.Sentinel.MasterSet != "" {
		within, cancel := context.WithTimeout(ctx, 2*probeTimeout)
		defer cancel()
		s := newSentinels(c, addrs, o.Sentinel.MasterSet)
		var asking sync.WaitGroup
		asking.Go(func() { s.keep(within, probeTimeout, probeTimeout, func() {}) })
		addrs, err = s.master(within)
		cancel()
		asking.Wait()
	}
	return o, addrs, err
}

// probeServer looks at one server.
func probeServer(ctx context.Context, o rueidis.ClientOption, addr string, timeout time.Duration) error {
	client, _, err := dialOnce(o, addr)
	switch {
	case err != nil && o.TLSConfig == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return fmt.Errorf("connecting: %w (it ends the connection; if it speaks TLS at this port, write rediss:// in redis.url)", err)
	case err != nil:
		return fmt.Errorf("connecting: %w", err)
	}
	defer client.Close()
	id, err := identify(ctx, client, timeout)
	if err != nil {
		return err
	}
	if err := id.supported(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = client.Do(ctx, client.B().Arbitrary("CLIENT", "TRACKING", "OFF").Build()).Error()
	if reply := errorReply(err); reply != "" {
		return errors.New("memory would be nearly useless without CLIENT TRACKING: " + reply)
	}
	return err
}
