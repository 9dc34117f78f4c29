package app

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/cache/redis"
	"hearth/internal/config"
	"hearth/internal/param"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
)

// access is what the shared tier logs in with, as the latest configuration has it and
// as the files that it names are now. The tier asks at every dial, so what is rotated
// needs no restart, not even a reload, and drops no connection.
//
// A file that cannot be read at that moment, such as one that is being replaced,
// leaves what was read last in force: only Redis can tell whether it is still good.
type access struct {
	cfg atomic.Pointer[config.Config]
	log *slog.Logger

	mu   sync.Mutex
	last *tls.Config       // that was read last
	read map[string]string // by key, the secrets that were read last, since the configuration was
	told map[string]string // by key, the fault that the log has
}

// newAccess begins with cfg. It reads no file.
func newAccess(cfg *config.Config, log *slog.Logger) *access {
	a := &access{log: log, read: map[string]string{}, told: map[string]string{}}
	a.cfg.Store(cfg)
	return a
}

// use makes cfg the latest configuration.
func (a *access) use(cfg *config.Config) {
	before := a.cfg.Swap(cfg)
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.read)
	if before.Redis.TLS != cfg.Redis.TLS {
		a.last = nil // which was read from other files
	}
}

// redisConfig is what the configuration says of Redis.
func (a *access) redisConfig() redis.Config {
	cfg := a.cfg.Load()
	c := redis.Config{
		URL: cfg.Redis.URL.Reveal(), WaitReplicas: cfg.Redis.WaitReplicas, Account: a.account, SentinelAccount: a.sentinelAccount,
		LinkTimeout: cfg.Memory.LinkTimeout, Lease: cfg.Load.Lease, Revalidate: cfg.Memory.Revalidate, Log: a.log,
	}
	if isSecure(cfg.Redis.URL) {
		c.TLS = a.tls
	}
	return c
}

// isSecure tells whether Redis is spoken to over TLS.
func isSecure(address config.Secret) bool { return strings.HasPrefix(address.Reveal(), "rediss:") }

// account is who logs in to Redis. It never fails: without a file there is what was
// read before.
func (a *access) account() (who redis.Account, _ error) {
	r := a.cfg.Load().Redis
	address := a.current("redis.url_file", r.URL)
	if otherRedis(r.URL.Reveal(), address) {
		a.tell("redis.url_file", errors.New("it names another Redis now, which counts from a restart on"))
		address = r.URL.Reveal()
	}
	if u, err := url.Parse(address); err == nil && u.User != nil {
		who.Username = u.User.Username()
		who.Password, _ = u.User.Password()
	}
	who.Password = cmp.Or(a.current("redis.password_file", r.Password), who.Password)
	return who, nil
}

// sentinelAccount is who logs in to the sentinels.
func (a *access) sentinelAccount() (redis.Account, error) {
	r := a.cfg.Load().Redis
	return redis.Account{Username: r.SentinelUsername, Password: a.current("redis.sentinel_password_file", r.SentinelPassword)}, nil
}

// current is a secret as it is now, or as it was read last.
func (a *access) current(key string, s config.Secret) string {
	text, err := s.Current()
	a.tell(key, err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.read[key] = text
	}
	return cmp.Or(a.read[key], s.Reveal())
}

// tls is what TLS goes by: authorities, certificate, name of the server.
func (a *access) tls() (*tls.Config, error) {
	files := a.cfg.Load().Redis.TLS
	c, err := redisTLS(files)
	a.mu.Lock()
	last := a.last
	if err == nil && a.cfg.Load().Redis.TLS == files {
		a.last = c
	}
	a.mu.Unlock()
	if err != nil && last == nil {
		return nil, err
	}
	a.tell("redis.tls", err)
	if err != nil {
		return last, nil
	}
	return c, nil
}

// tell logs a fault of what a key names, once until it is another one or mended.
func (a *access) tell(key string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.told[key]
	if err == nil {
		delete(a.told, key)
		return
	}
	if a.told[key] = err.Error(); was != err.Error() {
		a.log.Warn("what a key names cannot be read again; what was read before is still used", "key", key, "error", err)
	}
}

// redisTLS reads the files of [redis.tls]. Its errors begin with the key that they are
// about.
func redisTLS(c config.RedisTLS) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("redis.tls.ca: %w; make it readable to the server's user, or correct the path", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis.tls.ca: %q holds no certificate; name a PEM file", c.CA)
		}
	}
	if c.Cert == "" {
		return out, nil
	}
	cert, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, fmt.Errorf("redis.tls.cert: %w; make it readable to the server's user, or correct the path", err)
	}
	key, err := os.ReadFile(c.Key)
	if err != nil {
		return nil, fmt.Errorf("redis.tls.key: %w; make it readable to the server's user, or correct the path", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("redis.tls.cert: %q and %q are no certificate with its key: %w", c.Cert, c.Key, err)
	}
	out.Certificates = []tls.Certificate{pair}
	return out, nil
}

// redisFaults is what keeps the tier from being made of a configuration.
func redisFaults(cfg *config.Config) []config.Fault {
	if cfg.Redis.URL.Empty() || !cfg.Sound("redis") {
		return nil
	}
	if err := newAccess(cfg, slog.New(slog.DiscardHandler)).redisConfig().Validate(); err != nil {
		return []config.Fault{cfg.Fault("redis.url", "%v", err)}
	}
	if !isSecure(cfg.Redis.URL) {
		return nil
	}
	if _, err := redisTLS(cfg.Redis.TLS); err != nil {
		key, text, _ := strings.Cut(err.Error(), ": ")
		return []config.Fault{cfg.Fault(key, "%s", text)}
	}
	return nil
}

// redisNotes warn of a certificate that Redis will not take.
func redisNotes(cfg *config.Config) []string {
	if !isSecure(cfg.Redis.URL) {
		return nil
	}
	c, err := redisTLS(cfg.Redis.TLS)
	if err != nil || len(c.Certificates) == 0 || time.Now().Before(c.Certificates[0].Leaf.NotAfter) {
		return nil
	}
	return []string{cfg.Fault("redis.tls.cert", "has ended on %s; renew it, the next connection reads it again", c.Certificates[0].Leaf.NotAfter.UTC().Format(time.DateOnly)).String()}
}

// otherRedis tells whether two URLs differ in more than user and password: what they
// differ in may hold other counters, items, guards and leases.
func otherRedis(one, other string) bool { return redisIdentity(one) != redisIdentity(other) }

// redisIdentity is what a URL says of which Redis it is.
func redisIdentity(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	u.User = nil
	q := u.Query()
	slices.Sort(q["addr"]) // of which the order does not matter
	u.RawQuery = q.Encode()
	return u.String()
}

// databaseAccess is the URL of a database as the latest configuration has it, and as
// the file that holds it is now. The pool asks for each connection that it makes.
type databaseAccess struct{ loaded atomic.Pointer[config.Secret] }

// use makes address, which is of the same database, the latest one.
func (d *databaseAccess) use(address config.Secret) { d.loaded.Store(&address) }

// read reads the URL again. That of another database is not used: only a reload judges
// it.
func (d *databaseAccess) read() (string, error) {
	loaded := *d.loaded.Load()
	address, err := loaded.Current()
	if err == nil && database.Identity(address) != database.Identity(loaded.Reveal()) {
		err = errors.New("database.url_file names another database now, which counts from a restart on")
	}
	return address, err
}

// rereadEvery is how often a secret that goes with every request is read again.
const rereadEvery = time.Second

// rereading returns a secret as it is now, or was within rereadEvery: what is rotated
// in its file needs no reload.
func rereading(s config.Secret, log *slog.Logger) func() string {
	var mu sync.Mutex
	var next time.Time
	present := engine.NewRenewal(s.Reveal(), log, s.Current)
	last := s.Reveal()
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.After(next) {
			next, last = now.Add(rereadEvery), present.Now()
		}
		return last
	}
}

// samePool tells whether connections of one configuration serve another. A password
// that was rotated is asked for by the next one; another user may have other rights,
// so that old connections must not go on.
func samePool(one, other config.Database) bool {
	if withoutPassword(one.URL.Reveal()) != withoutPassword(other.URL.Reveal()) {
		return false
	}
	one.URL = other.URL
	return reflect.DeepEqual(one, other)
}

// withoutPassword is a URL without it.
func withoutPassword(address string) string {
	u, err := url.Parse(param.FirstHost(address))
	if err != nil {
		return address
	}
	u.Host = strings.Join(param.Hosts(address), ",")
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	if q.Has("password") {
		q.Del("password")
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// mend is what to change where a database does not let this server in; "" where only
// the error tells.
func mend(err error) string {
	switch {
	case database.RefusesAccess(err):
		return "user, password, name and settings in database.url, or the file of database.url_file, which is read at the next attempt"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "the authorities that database.url names (sslrootcert, ssl-ca), which are read at the next attempt"
	case errors.As(err, new(x509.HostnameError)):
		return "the host in database.url, for which the certificate is not; or let the authority suffice (sslmode=verify-ca, tls=verify-ca)"
	case errors.As(err, new(x509.CertificateInvalidError)):
		return "the certificate of the database, which has to be renewed"
	}
	return ""
}

// rotated are the secrets in which two configurations differ, as attributes for the
// log: which of them it was that a reload has taken up.
func rotated(old, next *config.Config) []any {
	var keys []string
	for key, pair := range map[string][2]config.Secret{
		"redis.url":                    {old.Redis.URL, next.Redis.URL},
		"redis.password_file":          {old.Redis.Password, next.Redis.Password},
		"redis.sentinel_password_file": {old.Redis.SentinelPassword, next.Redis.SentinelPassword},
		"database.url":                 {old.Database.URL, next.Database.URL},
		"feed.url":                     {old.Feed.URL, next.Feed.URL},
	} {
		if !pair[0].Equal(pair[1]) {
			keys = append(keys, key)
		}
	}
	tokens := func(c *config.Config) (callers, origins map[string]string) {
		callers, origins = map[string]string{}, map[string]string{}
		for _, t := range c.Auth.Tokens {
			callers[t.Name] = t.Token.Reveal()
		}
		for _, r := range c.Resources {
			if !r.OriginToken.Empty() {
				origins[r.Name] = r.OriginToken.Reveal()
			}
		}
		return callers, origins
	}
	oldCallers, oldOrigins := tokens(old)
	callers, origins := tokens(next)
	if !maps.Equal(oldCallers, callers) {
		keys = append(keys, "auth.token")
	}
	if !maps.Equal(oldOrigins, origins) {
		keys = append(keys, "resource.origin_token")
	}
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return []any{"changed_secrets", strings.Join(keys, ", ")}
}
