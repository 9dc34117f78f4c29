package app

import (
	"errors"
	"fmt"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/source/database"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// refuse names settings that are unsafe: starting anyway would let an operator
// believe in a protection that is not there.
func refuse(cfg *config.Config) (faults []config.Fault) {
	fault := func(key, format string, args ...any) { faults = append(faults, cfg.Fault(key, format, args...)) }
	// A key that is at fault already would only be at fault again.
	timed := cfg.Sound("load.lease") && cfg.Sound("database.timeout")
	for i := range cfg.Resources {
		timed = timed && sound(cfg, fmt.Sprintf("resource.[%d]", i), "select", "origin", "timeout")
	}
	if longest, from := longestLoad(cfg); timed && cfg.Load.Lease < longest*10/9 {
		fault("load.lease", "load.lease (%v) must exceed the longest load by a ninth, and that may take %v (%s): raise load.lease to %v, or lower the other",
			cfg.Load.Lease, longest, from, longest*10/9)
	}
	// With a faulty token it is not known whether there would be any.
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
	_, watches := wantedSets(cfg)
	return slices.Concat(faults, redisFaults(cfg), watches)
}

// writes tells whether clients can change anything.
func writes(cfg *config.Config) bool {
	for _, r := range cfg.Resources {
		if r.CanPut() || r.CanDelete() {
			return true
		}
	}
	return len(cfg.Batches) > 0
}

// sound tells whether nothing is wrong with some keys of a table.
func sound(cfg *config.Config, at string, keys ...string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool { return !cfg.Sound(at + "." + key) })
}

// refuseFiles looks at the files that are named.
func refuseFiles(cfg *config.Config) (faults []config.Fault) {
	if cfg.Sound("server.tls") {
		if _, err := loadCertificates(cfg); err != nil {
			// The error names the key of the file it is about.
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
		// By the file, not by its name: a link or another spelling is the same file.
		file, isFile := strings.CutPrefix(cfg.Database.URL.Reveal(), "sqlite:")
		one, err := os.Stat(path)
		other, otherErr := os.Stat(strings.TrimPrefix(file, "//"))
		if isFile && err == nil && otherErr == nil && os.SameFile(one, other) {
			faults = append(faults, cfg.Fault("embedded.path", "is the file of database.url too, by another name; take one of its own, because the two would wait for each other's locks"))
		}
	}
	return faults
}

// warnings are for the log at the start and after a reload: what works and may
// surprise.
func (a *App) warnings(g *generation) []string {
	all := append(slices.Clone(g.cfg.Warnings), notes(g.cfg)...)
	for _, l := range g.front.IdleLimits() {
		all = append(all, g.cfg.Fault(fmt.Sprintf("limit.[%d].paths", l.Limit), "%s", l.Text).String())
	}
	for i, r := range g.resources { // which do not show by what name a row goes
		for _, text := range database.Doubts(r.cached.Records) {
			all = append(all, g.cfg.Fault(fmt.Sprintf("resource.[%d].select", i), "%s", text).String())
		}
	}
	if a.public.certs != nil {
		all = append(all, a.public.certs.Warnings()...)
	}
	return all
}

// warn logs them.
func (a *App) warn(g *generation) {
	for _, w := range a.warnings(g) {
		a.log.Warn(w)
	}
}

// notes are about settings alone.
func notes(cfg *config.Config) []string {
	list := redisNotes(cfg)
	if cfg.Redis.URL.Empty() && !auth.Loopback(cfg.Server.Listen) {
		list = append(list, cfg.Fault("server.listen",
			"the embedded tier serves beyond loopback: a second instance would not see this one's items, counters and writes; set redis.url for more than one").String())
	}
	// Not a fault: the directory may be there when the server starts.
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
