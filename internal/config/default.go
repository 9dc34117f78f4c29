package config

import "time"

// defaults returns the configuration of an empty file. It has no resources and
// therefore serves nothing but the built-in paths.
func defaults() *Config {
	return &Config{
		Server: Server{
			Listen:       "127.0.0.1:8080",
			Admin:        "127.0.0.1:9090",
			ReadTimeout:  10 * time.Second,
			WriteTimeout: 10 * time.Second,
			IdleTimeout:  75 * time.Second, // usual balancers close at 60 s; the server must not be first
			MaxBody:      8 << 20,
			MaxItems:     10_000,
			MaxMany:      100,
			MaxHeader:    16 << 10,
			MaxInFlight:  20_000,
			Drain:        5 * time.Second,
			StartGrace:   5 * time.Second,
			TrustedProxy: []string{},
			AdminHosts:   []string{},
			SocketMode:   0o600,
			AdminMode:    0o600,
		},
		Embedded: Embedded{Path: "hearth.db"},
		Database: Database{Init: []string{}, MaxConns: 16, Timeout: 2 * time.Second},
		Memory: Memory{
			Revalidate:   time.Minute,
			LinkTimeout:  2 * time.Second,
			UntrackedTTL: time.Second,
			MissingShare: 0.05,
			MissingRate:  1000,
		},
		Load: LoadLimits{MaxConcurrent: 64, MaxWaiting: 10000, Wait: 3 * time.Second, Lease: 5 * time.Second, HotRate: 10},
		CORS: CORS{
			Origins: []string{"*"},
			Methods: []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"},
			Headers: []string{"*"},
		},
		Log: Log{Level: "info", Format: "text", Slow: time.Second},
	}
}

// defaultResource returns a resource before its table is read.
func defaultResource() Resource {
	return Resource{
		Rows:         "one",
		CacheControl: "no-cache",
		TTL: Lifetimes{
			Cold:    time.Hour,
			Hot:     5 * time.Minute,
			Missing: 30 * time.Second,
			Stale:   10 * time.Minute,
		},
	}
}
