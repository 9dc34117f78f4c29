package doctor

import (
	"fmt"
	"strings"
	"time"
)

// DatabaseFacts are what the database says of itself. What it does not tell is left at zero.
type DatabaseFacts struct {
	Kind, Version  string
	Standby        bool // it takes no writes, or replays another's
	Writes         bool // resources write
	Ahead, Took    time.Duration
	Most, Open     int64         // connections, of all clients
	MaxConns       int           // database.max_conns
	Replicas       int64         // that stream from it
	ReplicaLag     time.Duration // of the slowest of them
	SyncCommit     string        // synchronous_commit
	StatementLimit string        // statement_timeout of the account
}

// Database judges the system of record.
func Database(d DatabaseFacts) (f Findings) {
	about, page := "the database", "operations.md#the-database"
	if d.Version != "" {
		f.add(Finding{Level: OK, About: about, Setting: "version", Found: strings.TrimSpace(d.Kind + " " + d.Version)})
	}
	level := Warning
	change, why := "name the primary in database.url", "a load from a replica that lags can bring back an old record"
	if d.Writes {
		level, why = Fault, "PUT and DELETE are refused, and a load from a replica that lags can bring back an old record"
	}
	f.judge(!d.Standby, Finding{Level: level, About: about, Setting: "role", Found: "a standby, or read only", Page: page, Change: change, Why: why})
	skew := d.Ahead.Abs() - d.Took/2
	f.judge(skew < mostSkew, Finding{Level: Warning, About: about, Setting: "clock", Found: fmt.Sprintf("%v from this machine's", d.Ahead.Round(time.Millisecond)), Page: page,
		Change: "run a time service on both", Why: "the feed's lag is told by both clocks"})
	if d.Most > 0 {
		f.judge(d.Open+int64(d.MaxConns) <= d.Most, Finding{Level: Warning, About: about, Setting: "connections", Found: fmt.Sprintf("%d of %d open, and each instance may open %d", d.Open, d.Most, d.MaxConns), Page: page,
			Change: "raise the server's limit, lower database.max_conns, or put a pooler between", Why: "what cannot connect counts as an outage"})
	}
	if d.Replicas > 0 {
		f.judge(d.ReplicaLag < 10*time.Second, Finding{Level: Warning, About: about, Setting: "replica lag", Found: d.ReplicaLag.Round(time.Millisecond).String(), Page: "consistency.md#gaps",
			Change: "find out what holds the replica up", Why: "after a fail-over to it, what it has not got is gone, and copies may be newer than the database"})
		f.judge(d.SyncCommit != "off" && d.SyncCommit != "local", Finding{Level: Warning, About: about, Setting: "synchronous_commit", Found: d.SyncCommit, Page: "consistency.md#gaps",
			Change: "synchronous_commit = on, with synchronous_standby_names, if no acknowledged write may be lost", Why: "a fail-over loses what the standby has not got"})
	}
	return f
}
