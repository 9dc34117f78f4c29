package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"hearth/cache/redis"
	"hearth/internal/config"
	"hearth/internal/doctor"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Surroundings are what Doctor looks at besides what a configuration names.
type Surroundings struct {
	Descriptors uint64   // that the server may have open, by the process itself or its own limit
	Balancers   []string // files of HAProxy or nginx
}

// Doctor judges what a server would run in: the configuration itself, the servers that it names,
// the machine, and the balancers before it. It changes nothing anywhere.
func Doctor(ctx context.Context, cfg *config.Config, faults []config.Fault, s Surroundings) (f doctor.Findings) {
	report := Check(cfg, faults)
	noteFaults(&f, "the configuration", report.Faults)
	for _, w := range report.Warnings {
		f = append(f, doctor.Finding{Level: doctor.Warning, About: "the configuration", Found: w, Change: "see the line"})
	}
	f = append(f, doctor.Machine(doctor.MachineFacts{Root: os.DirFS("/"), Descriptors: s.Descriptors, Wanted: descriptorsOf(cfg), Budget: budgetOf(cfg)})...)
	for _, file := range s.Balancers {
		f = append(f, doctorBalancer(cfg, file)...)
	}
	if len(report.Faults) > 0 { // servers that a faulty configuration names may be others than are meant
		return f
	}
	f = append(f, doctorRedis(ctx, cfg)...)
	f = append(f, doctorDatabase(ctx, cfg)...)
	wrong, notes := Connect(ctx, cfg)
	noteFaults(&f, "what it is asked to do", wrong)
	for _, n := range notes {
		f = append(f, doctor.Finding{Level: doctor.OK, About: "what it is asked to do", Setting: "note", Found: n})
	}
	return f
}

// noteFaults adds faults of the configuration, or that there is none.
func noteFaults(f *doctor.Findings, about string, faults []config.Fault) {
	for _, fault := range faults {
		*f = append(*f, doctor.Finding{Level: doctor.Fault, About: about, Found: fault.String(), Change: "mend that key"})
	}
	if len(faults) == 0 {
		*f = append(*f, doctor.Finding{Level: doctor.OK, About: about, Found: "no faults"})
	}
}

// descriptorsOf is how many descriptors the server may need, see docs/operations.md.
func descriptorsOf(cfg *config.Config) uint64 {
	n := max(4*cfg.Server.MaxInFlight, 1024) + cfg.Database.MaxConns + 20
	for _, r := range cfg.Resources {
		if r.Origin.Text != "" {
			n += 16
		}
	}
	return uint64(n)
}

func doctorBalancer(cfg *config.Config, file string) doctor.Findings {
	f, err := os.Open(file)
	if err != nil {
		return doctor.Findings{{Level: doctor.Unknown, About: file, Found: err.Error(), Change: "name the balancer's file, or ask as somebody who may read it"}}
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return doctor.Findings{{Level: doctor.Unknown, About: file, Found: err.Error(), Change: "name the balancer's file"}}
	}
	return doctor.Balancer(doctor.BalancerFacts{File: file, Text: string(text), Idle: cfg.Server.IdleTimeout, Drain: cfg.Server.Drain, InFlight: cfg.Server.MaxInFlight})
}

func doctorRedis(ctx context.Context, cfg *config.Config) (f doctor.Findings) {
	if cfg.Redis.URL.Empty() {
		return doctor.Findings{{Level: doctor.OK, About: "the shared tier", Found: "the embedded file " + cfg.Embedded.Path + ", for one instance"}}
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	all, err := redis.SurveyAll(ctx, newAccess(cfg, NewLog(cfg.Log, io.Discard).Logger()).redisConfig(), exampleKeys(cfg))
	if err != nil {
		return doctor.Findings{{Level: doctor.Fault, About: "Redis", Found: oneLine(err), Change: "mend redis.url, or start it"}}
	}
	for _, s := range all {
		if s.Err != nil {
			f = append(f, doctor.Finding{Level: doctor.Fault, About: "Redis " + s.Addr, Found: oneLine(s.Err), Change: "start it, or mend redis.url"})
			continue
		}
		f = append(f, doctor.Redis(doctor.RedisFacts{Addr: s.Addr, Info: s.Info, Settings: s.Settings, Ahead: s.Ahead, Took: s.Took, Refused: s.Refused,
			Items: len(cfg.Batches)+len(cfg.Counters) > 0, WaitReplicas: cfg.Redis.WaitReplicas})...)
	}
	return f
}

// exampleKeys are keys such as records have, one of each resource.
func exampleKeys(cfg *config.Config) (keys []string) {
	for _, r := range cfg.Resources {
		keys = append(keys, exampleIn(r.Key.Text, r.Path.Params()))
	}
	for _, c := range cfg.Counters {
		keys = append(keys, c.Key.Text)
	}
	return keys
}

// doctorQueries ask a database about itself. Each is tried by itself, since an account may see
// some of it only; the names of what they return are those of factsOf.
var doctorQueries = map[sqltext.Dialect][]string{
	sqltext.PostgreSQL: {
		"SELECT current_setting('server_version') AS version, pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS standby, current_setting('max_connections')::int8 - current_setting('superuser_reserved_connections')::int8 AS most, current_setting('synchronous_commit') AS sync",
		"SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS clock",
		"SELECT count(*) AS open FROM pg_stat_activity WHERE backend_type = 'client backend'",
		"SELECT count(*) AS replicas, coalesce(extract(epoch FROM max(replay_lag)) * 1000, 0)::int8 AS lag FROM pg_stat_replication WHERE state = 'streaming'",
	},
	sqltext.MySQL: {
		"SELECT version() AS version, @@global.read_only AS standby, @@global.max_connections AS most",
		"SELECT CAST(unix_timestamp(now(3)) * 1000 AS SIGNED) AS clock",
		"SELECT CAST(variable_value AS SIGNED) AS open FROM information_schema.global_status WHERE variable_name = 'Threads_connected'",
	},
	sqltext.SQLite: {"SELECT sqlite_version() AS version"},
}

func doctorDatabase(ctx context.Context, cfg *config.Config) doctor.Findings {
	url := cfg.Database.URL
	if url.Empty() {
		return nil
	}
	if file, isFile := strings.CutPrefix(url.Reveal(), "sqlite:"); isFile {
		file, _, _ = strings.Cut(file, "?")
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return doctor.Findings{{Level: doctor.Unknown, About: "the database", Found: "the file " + file + " is not there yet; the server makes it at its start", Change: "start it, and look again"}}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	e, err := database.Engine(engine.Config{URL: url.Reveal(), Renew: url.Current, MaxConns: 1, Timeout: cfg.Database.Timeout, Look: true})
	if err == nil {
		defer func() { _ = e.Close() }()
		err = e.Open()
	}
	if err != nil {
		return doctor.Findings{{Level: doctor.Fault, About: "the database", Found: oneLine(err), Change: "mend database.url"}}
	}
	d := doctor.DatabaseFacts{Kind: e.Dialect().String(), MaxConns: cfg.Database.MaxConns}
	for _, r := range cfg.Resources {
		d.Writes = d.Writes || r.Upsert != "" || r.Delete != ""
	}
	why := "it tells nothing"
	for _, q := range doctorQueries[e.Dialect()] {
		sent := time.Now()
		found, err := e.Query(ctx, engine.Query{SQL: q})
		if err != nil {
			why = oneLine(err)
			continue
		}
		if len(found.Rows) != 1 {
			continue
		}
		for i, name := range found.Names {
			factOf(&d, strings.ToLower(name), strings.Trim(string(found.Rows[0][i]), `"`), sent)
		}
	}
	if d.Version == "" {
		return doctor.Findings{{Level: doctor.Fault, About: "the database", Found: why, Change: "start it, or mend database.url (hearth check -connect says more)", Page: "operations.md#the-database"}}
	}
	return doctor.Database(d)
}

// factOf puts one value in its place.
func factOf(d *doctor.DatabaseFacts, name, value string, sent time.Time) {
	n, _ := strconv.ParseInt(value, 10, 64)
	switch name {
	case "version":
		d.Version = value
	case "standby":
		d.Standby = value == "true" || value == "1"
	case "most":
		d.Most = n
	case "open":
		d.Open = n
	case "sync":
		d.SyncCommit = value
	case "replicas":
		d.Replicas = n
	case "lag":
		d.ReplicaLag = time.Duration(n) * time.Millisecond
	case "clock":
		d.Took = time.Since(sent)
		d.Ahead = time.UnixMilli(n).Sub(sent.Add(d.Took / 2))
	default:
		panic(fmt.Sprintf("BUG: nobody asked a database for %q", name))
	}
}
