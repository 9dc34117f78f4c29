// Package config reads config.toml: strict TOML, every scalar open to an
// override from the environment, and all faults of a file reported at once.
//
// Each key is described once, by the tags of the field that it fills: the reader,
// the overrides, the search for what a mistyped key meant, the reload and the tests
// of the manuals go by them. Of this project the package imports internal/param
// alone, which parses paths and keys for all rooms. The packages it configures do
// not know it: internal/app maps a Config to what each of them wants, so that
// neither the file's shape nor a package's options dictate the other.
package config

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"hearth/internal/param"
)

// Config is a whole configuration after defaults, file and environment.
// Load returns it complete and valid; it is read-only from then on.
//
// The tags of the fields below it, down to those of its lists:
//
//	key:"name"         the key in its table
//	file:"name"        of a Secret: the key that names a file which holds it
//	default:"value"    as an environment variable would write it, the items of a
//	                   list with spaces between them; without it the zero value
//	range:"least most" what numbers, durations and sizes are bounded by
//	check:"name"       what else is asked of a text, see checks
//	oneof:"a b c"      the texts it may be
//	reload:"no"        changes with a restart only
//	instead:"word F"   a list of tables may be this word, which sets the field F
type Config struct {
	Server    Server     `key:"server"`
	Redis     Redis      `key:"redis"`
	Embedded  Embedded   `key:"embedded"`
	Database  Database   `key:"database"`
	Memory    Memory     `key:"memory"`
	Load      LoadLimits `key:"load"`
	Auth      Auth       `key:"auth"`
	CORS      CORS       `key:"cors"`
	Feed      Feed       `key:"feed"`
	Audit     Audit      `key:"audit"`
	Log       Log        `key:"log"`
	Limits    []Limit    `key:"limit"`
	Counters  []Counter  `key:"counter"`
	Batches   []Batch    `key:"batch"`
	Resources []Resource `key:"resource"`

	// Warnings are findings that do not keep the server from starting, such
	// as an unknown HEARTH_ variable. The caller logs them.
	Warnings []string

	places places
	faulty []string // keys with faults, as places has them
}

// Server is [server]: both listeners and what one request may cost.
type Server struct {
	// Listen is where the public is served: host:port or unix:/path.
	Listen string `key:"listen" default:"127.0.0.1:8080" check:"address" reload:"no"`
	// Admin is where operators are served, likewise.
	Admin string `key:"admin" default:"127.0.0.1:9090" check:"address" reload:"no"`
	// Title is what /docs and /openapi.json call the service.
	Title string `key:"title" default:"Hearth" check:"title"`
	// ReadTimeout is from the first byte of a request to its last.
	ReadTimeout time.Duration `key:"read_timeout" default:"10s" range:"100ms 10m"`
	// WriteTimeout is for sending one answer.
	WriteTimeout time.Duration `key:"write_timeout" default:"10s" range:"100ms 10m"`
	// IdleTimeout is how long a connection may stay open without a request. Usual
	// balancers close at 60 s; the side that closes first must be the balancer.
	IdleTimeout time.Duration `key:"idle_timeout" default:"75s" range:"1s 1h"`
	// MaxBody bounds the body of one request.
	MaxBody Bytes `key:"max_body" default:"8MiB" range:"1KiB 1GiB" reload:"no"`
	// MaxItems bounds the items of one batch.
	MaxItems int `key:"max_items" default:"10000" range:"1 1000000"`
	// MaxMany bounds the ids of one many-read.
	MaxMany int `key:"max_many" default:"100" range:"1 10000"`
	// MaxHeader bounds request line and headers together.
	MaxHeader Bytes `key:"max_header" default:"16KiB" range:"1KiB 1MiB" reload:"no"`
	// MaxInFlight bounds requests being answered, and with them connections.
	MaxInFlight int `key:"max_in_flight" default:"20000" range:"1 1000000"`
	// HonorRequestCacheControl is whose Cache-Control of reads counts.
	HonorRequestCacheControl string `key:"honor_request_cache_control" default:"authorised" oneof:"none authorised all"`
	// FreshRate bounds the loads per second that it causes on this instance; 0: no bound.
	FreshRate float64 `key:"fresh_rate" default:"10" range:"0 1000000"`
	// Drain is how long SIGTERM keeps answering before listeners close.
	Drain time.Duration `key:"drain" default:"5s" range:"0s 10m"`
	// StartGrace is how long /healthz may say "starting".
	StartGrace time.Duration `key:"start_grace" default:"5s" range:"0s 5m"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	// ProxyProtocol expects the PROXY header at the beginning of public connections.
	ProxyProtocol bool `key:"proxy_protocol" default:"false" reload:"no"`
	// AdminHosts are the names of the admin listener besides IP addresses and
	// localhost.
	AdminHosts []string `key:"admin_hosts" check:"host"`
	// SocketMode is of the file of Listen, if that is a unix socket.
	SocketMode fs.FileMode `key:"socket_mode" default:"0600" reload:"no"`
	// AdminSocketMode is that of the file of Admin.
	AdminSocketMode fs.FileMode `key:"admin_socket_mode" default:"0600" reload:"no"`
	TLS             TLS         `key:"tls"`
}

// TLS is [server.tls]; Cert == "" means none.
type TLS struct {
	Cert     string `key:"cert"`
	Key      string `key:"key"`
	ClientCA string `key:"client_ca"`
}

// Redis is [redis]; an empty URL means the embedded tier. Of the URL a reload may
// change user and password.
type Redis struct {
	// URL is redis://, rediss:// or unix://; as a secret it may stand in a file.
	URL Secret `key:"url" file:"url_file" default:"" check:"redis"`
	// Password goes with a URL that has none. It is given by a file alone.
	Password Secret `file:"password_file"`
	// SentinelUsername and SentinelPassword are who logs in to the sentinels.
	SentinelUsername string `key:"sentinel_username" check:"filled"`
	SentinelPassword Secret `file:"sentinel_password_file"`
	// WaitReplicas is how many replicas must confirm guards and unguards.
	WaitReplicas int      `key:"wait_replicas" default:"0" range:"0 16" reload:"no"`
	TLS          RedisTLS `key:"tls"`
}

// RedisTLS is [redis.tls], for rediss:// alone.
type RedisTLS struct {
	// CA are the authorities that certificates must come from; empty: the system's.
	CA string `key:"ca"`
	// Cert and Key are the client's own.
	Cert string `key:"cert"`
	Key  string `key:"key"`
	// ServerName is whose certificate the servers must have; empty: that of the host.
	ServerName string `key:"server_name" check:"filled"`
}

// Embedded is [embedded].
type Embedded struct {
	// Path is the file that one process uses at a time.
	Path string `key:"path" default:"hearth.db" check:"filled" reload:"no"`
}

// Database is [database].
type Database struct {
	// URL is sqlite:, postgres:// or mysql://; empty without a database.
	URL Secret `key:"url" file:"url_file" default:"" check:"database"`
	// Init are statements run at every start.
	Init []string `key:"init" check:"filled"`
	// Demo makes and fills the table users if there is none.
	Demo bool `key:"demo" default:"false"`
	// MaxConns bounds the connections.
	MaxConns int `key:"max_conns" default:"16" range:"1 10000"`
	// Timeout is for one statement, unless the resource has its own.
	Timeout time.Duration `key:"timeout" default:"2s" range:"10ms 5m"`
}

// Memory is [memory].
type Memory struct {
	// Budget bounds the entries, overhead included; 0 means "auto".
	Budget Bytes `key:"budget" default:"auto" range:"1MiB 1024GiB"`
	// Revalidate is how long an entry is trusted without asking Redis again.
	Revalidate time.Duration `key:"revalidate" default:"1m" range:"100ms 24h" reload:"no"`
	// LinkTimeout is the silence on a connection after which its entries are not
	// fresh any more.
	LinkTimeout time.Duration `key:"link_timeout" default:"2s" range:"100ms 1m" reload:"no"`
	// UntrackedTTL is how long memory keeps what was loaded while Redis was away.
	UntrackedTTL time.Duration `key:"untracked_ttl" default:"1s" range:"10ms 1m"`
	// MissingShare is the part of Budget for records known to be missing.
	MissingShare float64 `key:"missing_share" default:"0.05" range:"0 1"`
	// MissingRate bounds the missing records written to Redis per second.
	MissingRate int `key:"missing_rate" default:"1000" range:"0 1000000"`
}

// LoadLimits is [load].
type LoadLimits struct {
	// MaxConcurrent bounds loads from one source at a time, and as many writes.
	MaxConcurrent int `key:"max_concurrent" default:"64" range:"1 100000"`
	// MaxWaiting bounds readers that wait for another's load or write.
	MaxWaiting int `key:"max_waiting" default:"10000" range:"1 1000000"`
	// Wait is how long a reader waits for another's load.
	Wait time.Duration `key:"wait" default:"3s" range:"10ms 1m"`
	// Lease is the lifetime of leases and guards: what a dead loader costs at most.
	Lease time.Duration `key:"lease" default:"5s" range:"100ms 5m" reload:"no"`
	// HotRate is how many reads per second make a key hot.
	HotRate float64 `key:"hot_rate" default:"10" range:"0.01 1000000"`
}

// Audit is [audit]: how often what memory answers is compared with what it should be.
type Audit struct {
	// Rate is how many records a second are compared with the shared tier; 0: none.
	Rate int `key:"rate" default:"100" range:"0 10000"`
	// SourceRate is how many are compared with their source; 0: none.
	SourceRate float64 `key:"source_rate" default:"0.05" range:"0 100"`
}

// Auth is [auth].
type Auth struct {
	// OpenWrites serves writes beyond loopback without tokens.
	OpenWrites bool    `key:"open_writes" default:"false"`
	Tokens     []Token `key:"token"`
}

// Token is one [[auth.token]].
type Token struct {
	// Name is what logs call the token.
	Name string `key:"name" check:"name"`
	// Scopes are what it opens.
	Scopes []string `key:"scopes" oneof:"write admin metrics fresh"`
	Token  Secret   `key:"token" file:"token_file" check:"token"`
}

// CORS is [cors].
type CORS struct {
	// Origins are whose pages may read; "*" means all.
	Origins []string `key:"origins" default:"*" check:"origin"`
	Methods []string `key:"methods" default:"GET HEAD PUT POST DELETE OPTIONS" check:"method"`
	Headers []string `key:"headers" default:"*" check:"header"`
	// OpenWrites lets pages of other origins write although there is no token.
	OpenWrites bool `key:"open_writes" default:"false"`
}

// Log is [log].
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug info warn error"`
	Format string `key:"format" default:"text" oneof:"text json"`
	// AccessSample is the part of ordinary requests that is logged.
	AccessSample float64 `key:"access_sample" default:"0" range:"0 1"`
	// Slow is the time beyond which a request is always logged.
	Slow time.Duration `key:"slow" default:"1s" range:"1ms 1h"`
}

// Limit is one [[limit]]. Burst and LocalRate are zero where they are not set: the
// limit then goes by Rate.
type Limit struct {
	// Name appears in headers and metrics.
	Name string `key:"name" check:"name"`
	// Paths are what it covers.
	Paths []param.Area `key:"paths"`
	// By is what it counts apart: "client", "global" or "header:NAME".
	By   string `key:"by" default:"client" check:"by"`
	Rate Rate   `key:"rate"`
	// Burst is how many may be admitted at once when a window begins.
	Burst int `key:"burst" range:"1 1000000000"`
	// LocalRate is what each instance admits while Redis is away.
	LocalRate Rate `key:"local_rate"`
}

// Counter is one [[counter]].
type Counter struct {
	Path param.Path `key:"path" check:"plain"`
	// Key is where the count stands. Two counters may share one.
	Key param.Template `key:"key" check:"plain"`
	// Work is simulated work between adding and reading.
	Work time.Duration `key:"work" default:"0s" range:"0s 10s"`
}

// Batch is one [[batch]].
type Batch struct {
	Path param.Path `key:"path" check:"plain"`
	// Resource names the resource whose records the items become.
	Resource string `key:"resource" check:"name"`
	// TTL is how long an item lives from when it is stored; 0: until it is removed.
	TTL time.Duration `key:"ttl" default:"0s" range:"0s 876000h"`
}

// Resource is one [[resource]]. Envelope follows Name where it is not set.
type Resource struct {
	Name string `key:"name" check:"name"`
	// Path is where records are read and written, Key where they stand in the
	// shared tier.
	Path param.Path     `key:"path"`
	Key  param.Template `key:"key"`
	// Envelope is the member that wraps a record; empty for the bare record.
	Envelope string `key:"envelope" check:"envelope"`
	// Select and the other statements are SQL with placeholders.
	Select     string `key:"select" check:"filled"`
	SelectMany string `key:"select_many" check:"filled"`
	Upsert     string `key:"upsert" check:"filled"`
	Delete     string `key:"delete" check:"filled"`
	// Origin is where to GET records from instead.
	Origin param.URL `key:"origin"`
	// OriginWrites are the methods that go on to the origin.
	OriginWrites []string `key:"origin_writes" oneof:"PUT DELETE"`
	// ObeyMaxAge bounds lifetimes by what the origin says of them.
	ObeyMaxAge bool `key:"obey_max_age" default:"false"`
	// OriginToken is sent to the origin with every request.
	OriginToken Secret    `key:"origin_token" file:"origin_token_file" check:"bearer"`
	OriginTLS   OriginTLS `key:"origin_tls"`
	// Rows tells whether a record is one row or the list of all.
	Rows string `key:"rows" default:"one" oneof:"one many"`
	// KeyColumns are the columns that show the key, by path parameter; "" for one
	// that nothing shows.
	KeyColumns   map[string]string `key:"key_columns" check:"column"`
	CacheControl string            `key:"cache_control" default:"no-cache" check:"header value"`
	// Timeout is for one load; 0 means the database's.
	Timeout time.Duration `key:"timeout" range:"10ms 5m"`
	TTL     Lifetimes     `key:"ttl"`
	// Watches are the tables whose changes concern its records. Empty: they are derived
	// from Select.
	Watches []Watch `key:"watch" instead:"none Unwatched"`
	// Unwatched says that its records live by TTL alone, whatever the feed does.
	Unwatched bool
}

// OriginTLS is the files by which an https origin and this server know each other.
type OriginTLS struct {
	// CA are the authorities that certificates must come from; empty: the system's.
	CA string `key:"ca"`
	// Cert and Key are this server's own.
	Cert string `key:"cert"`
	Key  string `key:"key"`
}

// CanPut tells whether its records can be written.
func (r *Resource) CanPut() bool {
	return r.Upsert != "" || slices.Contains(r.OriginWrites, "PUT")
}

// CanDelete tells whether its records can be deleted.
func (r *Resource) CanDelete() bool {
	return r.Delete != "" || slices.Contains(r.OriginWrites, "DELETE")
}

// HasSource tells whether its records come from somewhere: else they live in the
// shared tier alone.
func (r *Resource) HasSource() bool { return r.Select != "" || r.Origin.Text != "" }

// Lifetimes is a resource's ttl table.
type Lifetimes struct {
	// Cold is of ordinary records, Hot of those that are read often.
	Cold time.Duration `key:"cold" default:"1h" range:"100ms 720h"`
	Hot  time.Duration `key:"hot" default:"5m" range:"100ms 720h"`
	// Missing is of the knowledge that there is no such record.
	Missing time.Duration `key:"missing" default:"30s" range:"100ms 720h"`
	// Stale is how long memory may serve a copy that it cannot verify.
	Stale time.Duration `key:"stale" default:"10m" range:"0s 24h"`
}
