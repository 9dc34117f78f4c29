package config

import "time"

// field is one key of a table.
type field struct {
	name   string
	read   reader
	isList bool // not open to an override
}

// table is what a TOML table may hold. It is bound to the part of a Config
// that reading it fills; the same description serves the reader, the overrides
// from the environment, the search for what a mistyped key meant, and the test
// that the documentation names every key.
type table struct {
	name   string
	fields []field
	tables []table
	lists  []tableList
}

// tableList is an array of tables.
type tableList struct {
	name string
	// item appends an item and returns its table, which is bound to that item
	// until the next call, and what is left to do once it has been read.
	item func(place string) (t table, done func())
}

// find returns what the table holds under a name.
func (t table) find(name string) (f *field, sub *table, list *tableList) {
	for i := range t.fields {
		if t.fields[i].name == name {
			return &t.fields[i], nil, nil
		}
	}
	for i := range t.tables {
		if t.tables[i].name == name {
			return nil, &t.tables[i], nil
		}
	}
	for i := range t.lists {
		if t.lists[i].name == name {
			return nil, nil, &t.lists[i]
		}
	}
	return nil, nil, nil
}

// names lists everything the table may hold.
func (t table) names() []string {
	var names []string
	for _, f := range t.fields {
		names = append(names, f.name)
	}
	for _, sub := range t.tables {
		names = append(names, sub.name)
	}
	for _, l := range t.lists {
		names = append(names, l.name)
	}
	return names
}

// schema describes the whole file, bound to l.config.
func (l *loader) schema() table {
	c := l.config
	return table{
		tables: []table{
			serverTable(&c.Server),
			l.redisTable(&c.Redis),
			{name: "embedded", fields: []field{{name: "path", read: text(&c.Embedded.Path, filled)}}},
			l.databaseTable(&c.Database),
			memoryTable(&c.Memory),
			loadTable(&c.Load),
			{
				name:   "auth",
				fields: []field{{name: "open_writes", read: flag(&c.Auth.OpenWrites)}},
				lists:  []tableList{{name: "token", item: l.token}},
			},
			corsTable(&c.CORS),
			logTable(&c.Log),
		},
		lists: []tableList{
			{name: "limit", item: l.limit},
			{name: "counter", item: l.counter},
			{name: "batch", item: l.batch},
			{name: "resource", item: l.resource},
		},
	}
}

func serverTable(s *Server) table {
	const second, minute = time.Second, time.Minute
	return table{
		name: "server",
		fields: []field{
			{name: "listen", read: text(&s.Listen, checkAddress)},
			{name: "admin", read: text(&s.Admin, checkAddress)},
			{name: "read_timeout", read: span(&s.ReadTimeout, 100*time.Millisecond, 10*minute)},
			{name: "write_timeout", read: span(&s.WriteTimeout, 100*time.Millisecond, 10*minute)},
			{name: "idle_timeout", read: span(&s.IdleTimeout, second, time.Hour)},
			{name: "max_body", read: size(&s.MaxBody, 1<<10, 1<<30)},
			{name: "max_items", read: whole(&s.MaxItems, 1, 1_000_000)},
			{name: "max_many", read: whole(&s.MaxMany, 1, 10_000)},
			{name: "max_header", read: size(&s.MaxHeader, 1<<10, 1<<20)},
			{name: "max_in_flight", read: whole(&s.MaxInFlight, 1, 1_000_000)},
			{name: "drain", read: span(&s.Drain, 0, 10*minute)},
			{name: "start_grace", read: span(&s.StartGrace, 0, 5*minute)},
			{name: "trusted_proxies", read: texts(&s.TrustedProxy, checkNetwork), isList: true},
			{name: "proxy_protocol", read: flag(&s.ProxyProtocol)},
			{name: "admin_hosts", read: texts(&s.AdminHosts, checkHost), isList: true},
			{name: "socket_mode", read: mode(&s.SocketMode)},
			{name: "admin_socket_mode", read: mode(&s.AdminMode)},
		},
		tables: []table{{
			name: "tls",
			fields: []field{
				{name: "cert", read: text(&s.TLS.Cert, anything)},
				{name: "key", read: text(&s.TLS.Key, anything)},
				{name: "client_ca", read: text(&s.TLS.ClientCA, anything)},
			},
		}},
	}
}

func (l *loader) redisTable(r *Redis) table {
	return table{
		name: "redis",
		fields: []field{
			{name: "url", read: secret(&r.URL, checkRedis)},
			{name: "url_file", read: text(l.secretFile("redis.url", "redis.url_file", checkRedis, func() *Secret { return &r.URL }), anything)},
			{name: "password_file", read: text(l.secretFile("", "redis.password_file", anything, func() *Secret { return &r.Password }), anything)},
			{name: "wait_replicas", read: whole(&r.WaitReplicas, 0, 16)},
		},
	}
}

func (l *loader) databaseTable(d *Database) table {
	return table{
		name: "database",
		fields: []field{
			{name: "url", read: secret(&d.URL, checkDatabase)},
			{name: "url_file", read: text(l.secretFile("database.url", "database.url_file", checkDatabase, func() *Secret { return &d.URL }), anything)},
			{name: "init", read: texts(&d.Init, filled), isList: true},
			{name: "demo", read: flag(&d.Demo)},
			{name: "max_conns", read: whole(&d.MaxConns, 1, 10_000)},
			{name: "timeout", read: span(&d.Timeout, 10*time.Millisecond, 5*time.Minute)},
		},
	}
}

func memoryTable(m *Memory) table {
	return table{
		name: "memory",
		fields: []field{
			{name: "budget", read: budget(&m.Budget, 1<<20, 1<<40)},
			{name: "revalidate", read: span(&m.Revalidate, 100*time.Millisecond, 24*time.Hour)},
			{name: "link_timeout", read: span(&m.LinkTimeout, 100*time.Millisecond, time.Minute)},
			{name: "untracked_ttl", read: span(&m.UntrackedTTL, 10*time.Millisecond, time.Minute)},
			{name: "missing_share", read: number(&m.MissingShare, 0, 1)},
			{name: "missing_rate", read: whole(&m.MissingRate, 0, 1_000_000)},
		},
	}
}

func loadTable(l *LoadLimits) table {
	return table{
		name: "load",
		fields: []field{
			{name: "max_concurrent", read: whole(&l.MaxConcurrent, 1, 100_000)},
			{name: "max_waiting", read: whole(&l.MaxWaiting, 1, 1_000_000)},
			{name: "wait", read: span(&l.Wait, 10*time.Millisecond, time.Minute)},
			{name: "lease", read: span(&l.Lease, 100*time.Millisecond, 5*time.Minute)},
			{name: "hot_rate", read: number(&l.HotRate, 0.01, 1_000_000)},
		},
	}
}

func corsTable(c *CORS) table {
	return table{
		name: "cors",
		fields: []field{
			{name: "origins", read: texts(&c.Origins, checkOrigin), isList: true},
			{name: "methods", read: texts(&c.Methods, checkMethod), isList: true},
			{name: "headers", read: texts(&c.Headers, checkHeader), isList: true},
			{name: "open_writes", read: flag(&c.OpenWrites)},
		},
	}
}

func logTable(g *Log) table {
	return table{
		name: "log",
		fields: []field{
			{name: "level", read: text(&g.Level, oneOf("debug", "info", "warn", "error"))},
			{name: "format", read: text(&g.Format, oneOf("text", "json"))},
			{name: "access_sample", read: number(&g.AccessSample, 0, 1)},
			{name: "slow", read: span(&g.Slow, time.Millisecond, time.Hour)},
		},
	}
}
