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
type Config struct {
	Server    Server     `key:"server"`
	Redis     Redis      `key:"redis"`
	Embedded  Embedded   `key:"embedded"`
	Database  Database   `key:"database"`
	Memory    Memory     `key:"memory"`
	Load      LoadLimits `key:"load"`
	Auth      Auth       `key:"auth"`
	CORS      CORS       `key:"cors"`
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
	Listen          string         `key:"listen" default:"127.0.0.1:8080" check:"address" reload:"no"` // host:port or unix:/path
	Admin           string         `key:"admin" default:"127.0.0.1:9090" check:"address" reload:"no"`
	ReadTimeout     time.Duration  `key:"read_timeout" default:"10s" range:"100ms 10m"` // first byte to whole request
	WriteTimeout    time.Duration  `key:"write_timeout" default:"10s" range:"100ms 10m"`
	IdleTimeout     time.Duration  `key:"idle_timeout" default:"75s" range:"1s 1h"` // usual balancers close at 60 s; the server must not be first
	MaxBody         Bytes          `key:"max_body" default:"8MiB" range:"1KiB 1GiB" reload:"no"`
	MaxItems        int            `key:"max_items" default:"10000" range:"1 1000000"`              // of one batch
	MaxMany         int            `key:"max_many" default:"100" range:"1 10000"`                   // ids of one many-read
	MaxHeader       Bytes          `key:"max_header" default:"16KiB" range:"1KiB 1MiB" reload:"no"` // request line included
	MaxInFlight     int            `key:"max_in_flight" default:"20000" range:"1 1000000"`          // requests being answered; also bounds connections
	Drain           time.Duration  `key:"drain" default:"5s" range:"0s 10m"`                        // how long SIGTERM keeps answering before listeners close
	StartGrace      time.Duration  `key:"start_grace" default:"5s" range:"0s 5m"`                   // how long /healthz may say "starting"
	TrustedProxies  []netip.Prefix `key:"trusted_proxies"`                                          // CIDRs
	ProxyProtocol   bool           `key:"proxy_protocol" default:"false" reload:"no"`               // on public connections
	AdminHosts      []string       `key:"admin_hosts" check:"host"`                                 // besides IP addresses and localhost
	SocketMode      fs.FileMode    `key:"socket_mode" default:"0600" reload:"no"`                   // of the file of Listen, if that is a unix socket
	AdminSocketMode fs.FileMode    `key:"admin_socket_mode" default:"0600" reload:"no"`             // likewise of Admin
	TLS             TLS            `key:"tls"`
}

// TLS is [server.tls]; Cert == "" means none.
type TLS struct {
	Cert     string `key:"cert"`
	Key      string `key:"key"`
	ClientCA string `key:"client_ca"`
}

// Redis is [redis]; an empty URL means the embedded tier.
type Redis struct {
	URL          Secret `key:"url" file:"url_file" default:"" check:"redis" reload:"no"`
	Password     Secret `file:"password_file" reload:"no"`
	WaitReplicas int    `key:"wait_replicas" default:"0" range:"0 16" reload:"no"` // that must confirm guards and unguards
}

// Embedded is [embedded].
type Embedded struct {
	Path string `key:"path" default:"hearth.db" check:"filled" reload:"no"`
}

// Database is [database].
type Database struct {
	URL      Secret        `key:"url" file:"url_file" default:"" check:"database"`
	Init     []string      `key:"init" check:"filled"`
	Demo     bool          `key:"demo" default:"false"`
	MaxConns int           `key:"max_conns" default:"16" range:"1 10000"`
	Timeout  time.Duration `key:"timeout" default:"2s" range:"10ms 5m"`
}

// Memory is [memory].
type Memory struct {
	Budget       Bytes         `key:"budget" default:"auto" range:"1MiB 1024GiB"` // 0 means "auto"
	Revalidate   time.Duration `key:"revalidate" default:"1m" range:"100ms 24h" reload:"no"`
	LinkTimeout  time.Duration `key:"link_timeout" default:"2s" range:"100ms 1m" reload:"no"`
	UntrackedTTL time.Duration `key:"untracked_ttl" default:"1s" range:"10ms 1m"`
	MissingShare float64       `key:"missing_share" default:"0.05" range:"0 1"`      // of the budget
	MissingRate  int           `key:"missing_rate" default:"1000" range:"0 1000000"` // missing records written to Redis per second
}

// LoadLimits is [load].
type LoadLimits struct {
	MaxConcurrent int           `key:"max_concurrent" default:"64" range:"1 100000"`
	MaxWaiting    int           `key:"max_waiting" default:"10000" range:"1 1000000"`
	Wait          time.Duration `key:"wait" default:"3s" range:"10ms 1m"` // how long a reader waits for somebody else's load
	Lease         time.Duration `key:"lease" default:"5s" range:"100ms 5m" reload:"no"`
	HotRate       float64       `key:"hot_rate" default:"10" range:"0.01 1000000"` // reads per second that make a key hot
}

// Auth is [auth].
type Auth struct {
	OpenWrites bool    `key:"open_writes" default:"false"`
	Tokens     []Token `key:"token"`
}

// Token is one [[auth.token]].
type Token struct {
	Name   string   `key:"name" check:"name"`
	Scopes []string `key:"scopes" oneof:"write admin metrics"`
	Token  Secret   `key:"token" file:"token_file" check:"token"`
}

// CORS is [cors].
type CORS struct {
	Origins    []string `key:"origins" default:"*" check:"origin"`
	Methods    []string `key:"methods" default:"GET HEAD PUT POST DELETE OPTIONS" check:"method"`
	Headers    []string `key:"headers" default:"*" check:"header"`
	OpenWrites bool     `key:"open_writes" default:"false"`
}

// Log is [log].
type Log struct {
	Level        string        `key:"level" default:"info" oneof:"debug info warn error"`
	Format       string        `key:"format" default:"text" oneof:"text json"`
	AccessSample float64       `key:"access_sample" default:"0" range:"0 1"` // part of the requests
	Slow         time.Duration `key:"slow" default:"1s" range:"1ms 1h"`
}

// Limit is one [[limit]]. Burst and LocalRate are zero where they are not set: the
// limit then goes by Rate.
type Limit struct {
	Name      string       `key:"name" check:"name"`
	Paths     []param.Area `key:"paths"`
	By        string       `key:"by" default:"client" check:"by"`
	Rate      Rate         `key:"rate"`
	Burst     int          `key:"burst" range:"1 1000000000"`
	LocalRate Rate         `key:"local_rate"`
}

// Counter is one [[counter]].
type Counter struct {
	Path param.Path     `key:"path" check:"plain"`
	Key  param.Template `key:"key" check:"plain"`
	Work time.Duration  `key:"work" default:"0s" range:"0s 10s"` // simulated, between INCR and GET
}

// Batch is one [[batch]].
type Batch struct {
	Path     param.Path `key:"path" check:"plain"`
	Resource string     `key:"resource" check:"name"`
}

// Resource is one [[resource]]. Envelope follows Name where it is not set.
type Resource struct {
	Name         string            `key:"name" check:"name"`
	Path         param.Path        `key:"path"`
	Key          param.Template    `key:"key"`
	Envelope     string            `key:"envelope" check:"envelope"` // "" = the bare data
	Select       string            `key:"select" check:"filled"`
	SelectMany   string            `key:"select_many" check:"filled"`
	Upsert       string            `key:"upsert" check:"filled"`
	Delete       string            `key:"delete" check:"filled"`
	Origin       param.URL         `key:"origin"`
	Rows         string            `key:"rows" default:"one" oneof:"one many"`
	KeyColumns   map[string]string `key:"key_columns" check:"column"` // by path parameter; "": nothing shows it
	CacheControl string            `key:"cache_control" default:"no-cache" check:"header value"`
	Timeout      time.Duration     `key:"timeout" range:"10ms 5m"` // 0: the database's
	TTL          Lifetimes         `key:"ttl"`
}

// HasSource tells whether its records come from somewhere: else they live in the
// shared tier alone.
func (r *Resource) HasSource() bool { return r.Select != "" || r.Origin.Text != "" }

// Lifetimes is a resource's ttl table.
type Lifetimes struct {
	Cold    time.Duration `key:"cold" default:"1h" range:"100ms 720h"`
	Hot     time.Duration `key:"hot" default:"5m" range:"100ms 720h"`
	Missing time.Duration `key:"missing" default:"30s" range:"100ms 720h"`
	Stale   time.Duration `key:"stale" default:"10m" range:"0s 24h"`
}
