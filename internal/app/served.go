package app

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"hearth/internal/config"
	"hearth/internal/param"
)

// Served is what a server serves and where, for whoever has started it and looks on. It has no
// secret: of an URL it has the host alone. Texts are the configuration's, as they stand there.
type Served struct {
	Version string
	// Public and Admin are HOST:PORT or unix:PATH, as the sockets have it.
	Public, Admin string
	// TLS tells of the public listener, as do ClientCerts and ProxyHeader, without which
	// nobody is let in there.
	TLS, ClientCerts, ProxyHeader bool
	// Tokens tells that writes need one.
	Tokens bool
	// Tier is the shared tier and where it is.
	Tier  string
	Paths []ServedPath
	// Example is the path of a record; "" if there is no resource.
	Example string
}

// ServedPath is a path of the configuration, and what is behind it.
type ServedPath struct{ Path, From string }

// served tells it of the generation that serves, once the listeners are open.
func (a *App) served() Served {
	g := a.current.Load()
	s := Served{
		Version: a.Version, Public: addressOf(a.public.listener), Admin: addressOf(a.operators),
		TLS: g.cfg.Server.TLS.Cert != "", ClientCerts: g.cfg.Server.TLS.ClientCA != "", ProxyHeader: g.cfg.Server.ProxyProtocol,
		Tokens: !g.tokens.Open(), Tier: tierOf(g.cfg), Example: exampleOf(g.cfg.Resources),
	}
	for _, r := range g.cfg.Resources {
		from := "the shared tier alone"
		switch {
		case r.Select != "":
			from = hostOf(g.cfg.Database.URL.Reveal())
		case r.HasSource():
			from = hostOf(r.Origin.Text)
		}
		s.Paths = append(s.Paths, ServedPath{r.Path.Plain(), from})
	}
	for _, b := range g.cfg.Batches {
		s.Paths = append(s.Paths, ServedPath{b.Path.Text, "batches of " + b.Resource})
	}
	for _, c := range g.cfg.Counters {
		s.Paths = append(s.Paths, ServedPath{c.Path.Text, "a counter"})
	}
	return s
}

// tierOf is the shared tier of a configuration, by its hosts.
func tierOf(cfg *config.Config) string {
	if cfg.Redis.URL.Empty() {
		return "embedded, in " + cfg.Embedded.Path
	}
	u, err := url.Parse(cfg.Redis.URL.Reveal())
	if err != nil {
		return "Redis" // what it names cannot be told apart from its password
	}
	hosts := append([]string{u.Host}, u.Query()["addr"]...)
	switch set := u.Query().Get("master_set"); {
	case u.Scheme == "unix":
		return "Redis at unix:" + u.Path
	case set != "":
		return "Redis " + set + ", by the sentinels " + strings.Join(hosts, ", ")
	case len(hosts) > 1:
		return "Redis Cluster at " + strings.Join(hosts, ", ")
	}
	return "Redis at " + u.Host
}

// hostOf is scheme and host of an URL, or of a template of one: who logs in, the path and what
// is asked for there may be secrets.
func hostOf(address string) string {
	scheme, rest, isURL := strings.Cut(address, "://")
	if !isURL {
		return address // the file of a SQLite database
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
}

// exampleOf is a path that finds a record with some luck: by the first resource that the
// database answers, or else by the first.
func exampleOf(all []config.Resource) string {
	if len(all) == 0 {
		return ""
	}
	r := all[max(0, slices.IndexFunc(all, func(r config.Resource) bool { return r.Select != "" }))]
	return exampleIn(r.Path.Plain(), r.Path.Params())
}

// exampleIn puts values into a template that records may have.
func exampleIn(template string, params []param.Param) string {
	for _, p := range params {
		value := "1"
		if p.Type == param.UUID {
			value = "00000000-0000-4000-8000-000000000001"
		}
		template = strings.Replace(template, "{"+p.Name+"}", value, 1)
	}
	return template
}

// dashboardURL is where the dashboard is, for a browser on this machine: the docs page gets it,
// which anybody may read, so it is told of a port of loopback alone, and there by a listener
// that is on loopback, too.
func dashboardURL(cfg *config.Config) string {
	loopback := func(address string) bool {
		host, port, err := net.SplitHostPort(address)
		ip := net.ParseIP(host)
		return err == nil && port != "0" && (host == "localhost" || ip != nil && ip.IsLoopback())
	}
	if !loopback(cfg.Server.Listen) || !loopback(cfg.Server.Admin) {
		return ""
	}
	return "http://" + cfg.Server.Admin + "/"
}
