// Package config reads config.toml: strict TOML, every scalar open to an
// override from the environment, and all faults of a file reported at once.
//
// Of this project it imports internal/param alone, which parses paths and keys
// for all rooms. The packages it configures do not know it: internal/app maps a Config to what each of them wants, so that
// neither the file's shape nor a package's options dictate the other.
package config

import (
	"io/fs"
	"time"

	"hearth/internal/param"
)

// Config is a whole configuration after defaults, file and environment.
// Load returns it complete and valid; it is read-only from then on.
type Config struct {
	Server    Server
	Redis     Redis
	Embedded  Embedded
	Database  Database
	Memory    Memory
	Load      LoadLimits
	Auth      Auth
	CORS      CORS
	Log       Log
	Limits    []Limit
	Counters  []Counter
	Batches   []Batch
	Resources []Resource

	// Warnings are findings that do not keep the server from starting, such
	// as an unknown HEARTH_ variable. The caller logs them.
	Warnings []string

	origins origins
}

// Server is [server]: both listeners and what one request may cost.
type Server struct {
	Listen        string // host:port or unix:/path
	Admin         string
	ReadTimeout   time.Duration // first byte to whole request
	WriteTimeout  time.Duration
	IdleTimeout   time.Duration // keep-alive; longer than the balancer's
	MaxBody       int           // bytes
	MaxItems      int           // items of one batch
	MaxMany       int           // ids of one many-read
	MaxHeader     int           // bytes of request line and headers
	MaxInFlight   int           // requests being answered; also bounds connections
	Drain         time.Duration // how long SIGTERM keeps answering before listeners close
	StartGrace    time.Duration // how long /healthz may say "starting"
	TrustedProxy  []string      // CIDRs (key trusted_proxies)
	ProxyProtocol bool
	AdminHosts    []string
	SocketMode    fs.FileMode // of the file of Listen, if that is a unix socket
	AdminMode     fs.FileMode // likewise of Admin (key admin_socket_mode)
	TLS           TLS
}

// TLS is [server.tls]; Cert == "" means none.
type TLS struct{ Cert, Key, ClientCA string }

// Redis is [redis]; an empty URL means the embedded tier.
type Redis struct {
	URL          Secret // also from url_file
	Password     Secret // from password_file
	WaitReplicas int    // replicas that must confirm guards and unguards
}

// Embedded is [embedded].
type Embedded struct{ Path string }

// Database is [database].
type Database struct {
	URL      Secret
	Init     []string
	Demo     bool
	MaxConns int
	Timeout  time.Duration
}

// Memory is [memory].
type Memory struct {
	Budget       int64 // bytes; 0 means "auto"
	Revalidate   time.Duration
	LinkTimeout  time.Duration
	UntrackedTTL time.Duration
	MissingShare float64 // of the budget, 0..1
	MissingRate  int     // missing records written to Redis per second
}

// LoadLimits is [load].
type LoadLimits struct {
	MaxConcurrent int
	MaxWaiting    int
	Wait          time.Duration // how long a reader waits for somebody else's load
	Lease         time.Duration
	HotRate       float64 // reads per second that make a key hot
}

// Auth is [auth].
type Auth struct {
	OpenWrites bool
	Tokens     []Token
}

// Token is one [[auth.token]]. Scopes are out of write, admin, metrics.
type Token struct {
	Name   string
	Scopes []string
	Token  Secret
}

// CORS is [cors].
type CORS struct {
	Origins, Methods, Headers []string
	OpenWrites                bool
}

// Log is [log].
type Log struct {
	Level        string // debug, info, warn, error
	Format       string // text, json
	AccessSample float64
	Slow         time.Duration
}

// Limit is one [[limit]].
type Limit struct {
	Name      string
	Paths     []string
	By        string
	Rate      Rate
	Burst     int
	LocalRate Rate
}

// Rate is a count per aligned window, written "100/s" or "5000/m".
type Rate struct {
	Count  int
	Window time.Duration
}

// Counter is one [[counter]].
type Counter struct {
	Path string
	Key  string
	Work time.Duration // simulated work between INCR and GET
}

// Batch is one [[batch]].
type Batch struct {
	Path     string
	Resource string
}

// Lifetimes is a resource's ttl table.
type Lifetimes struct{ Cold, Hot, Missing, Stale time.Duration }

// Resource is one [[resource]].
type Resource struct {
	Name         string
	Path         param.Path
	Key          param.Template
	Envelope     string // "" = the bare data
	Select       string
	SelectMany   string
	Upsert       string
	Delete       string
	Origin       string            // URL template
	Rows         string            // "one" or "many"
	KeyColumns   map[string]string // by path parameter; "": nothing shows it
	CacheControl string
	Timeout      time.Duration // 0: the database's
	TTL          Lifetimes
}
