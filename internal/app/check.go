package app

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hearth/handlers"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/listen"
	"hearth/internal/metrics"
	"hearth/internal/source"
)

// Report is what is to be said of a configuration without serving it.
type Report struct {
	Faults   []config.Fault // what keeps it from being served, or would have it answer with errors
	Warnings []string       // what works and may surprise; of a configuration without faults
}

// Err is the faults as an error, nil without any.
func (r Report) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	return config.NewFaults(r.Faults)
}

// Check finds everything that serving a configuration would refuse or warn of. It
// opens no socket and asks no server. faults are those that reading it has found:
// what they concern is not looked at again.
func Check(cfg *config.Config, faults []config.Fault) Report {
	r := Report{Faults: append(faults, refuse(cfg)...)}
	r.Faults = append(r.Faults, refuseFiles(cfg)...)
	g := &generation{cfg: cfg}
	r.Faults = append(r.Faults, g.refuseSources()...)
	defer g.beside(nil).close(slog.New(slog.DiscardHandler))
	if len(r.Faults) > 0 {
		return r
	}
	tokens, _ := tokensOf(cfg.Auth.Tokens) // which refuse has judged
	g.keeper = auth.New(tokens)
	if _, err := g.docs(""); err != nil {
		r.Faults = append(r.Faults, cfg.Fault("resource", "describing it for /openapi.json: %v", err))
		return r
	}
	r.Warnings = append(cfg.Warnings[:len(cfg.Warnings):len(cfg.Warnings)], notes(cfg)...)
	for _, c := range cfg.Limits {
		g.limits = append(g.limits, limit.New(limit.Config{Name: c.Name, Rate: rateOf(c.Rate), LocalRate: rateOf(c.LocalRate), Log: slog.New(slog.DiscardHandler)}))
	}
	front := handlers.New(g.handlersConfig(handlers.Docs{}), handlers.Deps{Metrics: metrics.New(""), Log: slog.New(slog.DiscardHandler)})
	r.Warnings = append(append(r.Warnings, idle(cfg, front)...), g.doubts()...)
	if cfg.Server.TLS.Cert != "" {
		if certs, err := listen.LoadCertificates(listen.TLSFiles(cfg.Server.TLS)); err == nil {
			r.Warnings = append(r.Warnings, certs.Warnings()...)
		}
	}
	return r
}

// idle says which limits protect nothing.
func idle(cfg *config.Config, front *handlers.Server) (list []string) {
	for _, l := range front.IdleLimits() {
		list = append(list, cfg.Fault(fmt.Sprintf("limit.[%d].paths", l.Limit), "%s", l.Text).String())
	}
	return list
}

// doubts says which statements do not show by what name a row goes.
func (g *generation) doubts() (list []string) {
	for i, r := range g.cfg.Resources {
		for _, k := range g.kinds {
			if k.Name != r.Name {
				continue
			}
			for _, text := range source.Doubts(k.cached.Records) {
				list = append(list, g.cfg.Fault(fmt.Sprintf("resource.[%d].select", i), "%s", text).String())
			}
		}
	}
	return list
}

// refuse names settings that are unsafe: starting anyway would let an operator
// believe in a protection that is not there.
func refuse(cfg *config.Config) (faults []config.Fault) {
	fault := func(key, format string, args ...any) { faults = append(faults, cfg.Fault(key, format, args...)) }
	timed := cfg.Sound("load.lease") && cfg.Sound("database.timeout")
	for i := range cfg.Resources {
		timed = timed && sound(cfg, fmt.Sprintf("resource.[%d]", i), "select", "origin", "timeout")
	}
	if longest, from := longestLoad(cfg); timed && cfg.Load.Lease < longest*10/9 {
		fault("load.lease", "load.lease (%v) must exceed the longest load by a ninth, and that may take %v (%s): raise load.lease to %v, or lower the other",
			cfg.Load.Lease, longest, from, longest*10/9)
	}
	authSound := cfg.Sound("auth")
	if cfg.Sound("server.admin") && authSound && !auth.Loopback(cfg.Server.Admin) && len(cfg.Auth.Tokens) == 0 {
		fault("server.admin", "server.admin %q is not loopback and no auth.token is set: anybody could invalidate and profile; set a token with scope admin or listen on 127.0.0.1", cfg.Server.Admin)
	}
	if cfg.Sound("server.listen") && authSound {
		if err := auth.RefuseOpenWrites(cfg.Server.Listen, len(cfg.Auth.Tokens) > 0, cfg.Auth.OpenWrites, writes(cfg)); err != nil {
			fault("server.listen", "%v", err)
		}
		if _, err := tokensOf(cfg.Auth.Tokens); err != nil {
			fault("auth.token", "%v", err)
		}
	}
	if !cfg.Redis.URL.Empty() && cfg.Sound("redis") {
		if err := redisConfig(cfg).Validate(); err != nil {
			fault("redis.url", "%v", err)
		}
	}
	return faults
}

// sound tells whether nothing is wrong with some keys of a table.
func sound(cfg *config.Config, at string, keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return !cfg.Sound(at + "." + key) })
}

// refuseFiles looks at the files that are named.
func refuseFiles(cfg *config.Config) (faults []config.Fault) {
	if t := cfg.Server.TLS; t.Cert != "" && cfg.Sound("server.tls") {
		if _, err := listen.LoadCertificates(listen.TLSFiles(t)); err != nil {
			key := "server.tls"
			for _, named := range []string{"server.tls.cert", "server.tls.key", "server.tls.client_ca"} {
				if strings.Contains(err.Error(), named) {
					key = named
					break
				}
			}
			faults = append(faults, cfg.Fault(key, "%v", err))
		}
	}
	if cfg.Redis.URL.Empty() && cfg.Sound("embedded") && cfg.Sound("redis") && cfg.Sound("database") {
		path := cfg.Embedded.Path
		file, isFile := strings.CutPrefix(cfg.Database.URL.Reveal(), "sqlite:")
		one, err := os.Stat(path)
		other, otherErr := os.Stat(strings.TrimPrefix(file, "//"))
		if isFile && err == nil && otherErr == nil && os.SameFile(one, other) {
			faults = append(faults, cfg.Fault("embedded.path", "is the file of database.url too, by another name; take one of its own, because the two would wait for each other's locks"))
		}
	}
	return faults
}

// refuseSources opens what records come from, as far as the configuration of it
// is sound, and says what is wrong with the rest.
func (g *generation) refuseSources() (faults []config.Fault) {
	if c := g.cfg.Database; !c.URL.Empty() && g.cfg.Sound("database") {
		db, err := source.Open(g.databaseConfig())
		if err != nil {
			faults = append(faults, g.cfg.Fault("database.url", "%v", err))
		}
		g.db = db
	}
	for i, r := range g.cfg.Resources {
		at := fmt.Sprintf("resource.[%d]", i)
		if !sound(g.cfg, at, "name", "path", "select", "select_many", "upsert", "delete", "origin", "rows") || r.Select != "" && g.db == nil {
			continue
		}
		k, err := g.newKind(r)
		g.kinds = append(g.kinds, k)
		faults = append(faults, specFaults(g.cfg, at, err)...)
	}
	return faults
}

// specFaults finds the places of what is wrong with a resource.
func specFaults(cfg *config.Config, at string, err error) (faults []config.Fault) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var spec *source.SpecError
		switch {
		case errors.As(err, &spec):
			faults = append(faults, cfg.Fault(at+"."+spec.Key, "%s", spec.Text))
		case err != nil:
			faults = append(faults, cfg.Fault(at, "%v", err))
		}
	}
	return faults
}

func (g *generation) databaseConfig() source.Config {
	c := g.cfg.Database
	return source.Config{URL: c.URL.Reveal(), Init: c.Init, Demo: c.Demo, MaxConns: c.MaxConns, Timeout: c.Timeout, Log: g.log}
}

// notes are for the log at the start and after a reload: settings that work but
// may surprise.
func notes(cfg *config.Config) []string {
	var list []string
	if cfg.Redis.URL.Empty() && !auth.Loopback(cfg.Server.Listen) {
		list = append(list, cfg.Fault("server.listen",
			"the embedded tier serves beyond loopback: a second instance would not see this one's items, counters and writes; set redis.url for more than one").String())
	}
	if _, err := os.Stat(filepath.Dir(cfg.Embedded.Path)); cfg.Redis.URL.Empty() && errors.Is(err, fs.ErrNotExist) {
		list = append(list, cfg.Fault("embedded.path", "the directory of %q is not there, and the server makes none", cfg.Embedded.Path).String())
	}
	for key, addr := range map[string]string{"server.listen": cfg.Server.Listen, "server.admin": cfg.Server.Admin} {
		if path, unix := strings.CutPrefix(addr, "unix:"); unix {
			if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
				list = append(list, cfg.Fault(key, "the directory of %q is not there, and the server makes none", path).String())
			}
		}
	}
	slices.Sort(list)
	return list
}
