package app

import (
	"os"
	"sync/atomic"
	"time"

	"hearth/internal/config"
	"hearth/internal/feed"
	"hearth/internal/metrics"
	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
)

// changeFeed is the change feed of this process and what it stands on; the zero value is
// none.
type changeFeed struct {
	feed   *feed.Feed
	outbox *outbox.Outbox
	login  *databaseAccess
	found  atomic.Pointer[foundWatches]
}

// feedConns is how many connections to the database the feed may have: one to read, one to
// delete, and one more for a look at the triggers.
const feedConns = 3

// leastFeedTimeout is how long a question of the feed may take at least: one removes a
// thousand copies, and another reads the catalog, where database.timeout is for one record.
const leastFeedTimeout = 2 * time.Second

// openFeed makes the feed, if the configuration wants one. It works as long as the process
// lives; a reload changes what it watches.
func (a *App) openFeed(cfg *config.Config) error {
	if !cfg.FeedOn() {
		return nil
	}
	url, timeout := cfg.FeedURL(), max(cfg.Database.Timeout, leastFeedTimeout)
	a.changes.login = &databaseAccess{}
	a.changes.login.use(url)
	o, err := outbox.New(engine.Config{URL: url.Reveal(), Renew: a.changes.login.read, MaxConns: feedConns, Timeout: timeout, Log: a.log})
	if err != nil {
		return config.NewFaults([]config.Fault{cfg.Fault("feed.url", "%v", err)})
	}
	a.changes.outbox = o
	if err := o.Open(); err != nil {
		return err
	}
	lag := a.metrics.Histogram("hearth_feed_lag_seconds", "Time from a commit in the database to the acknowledged removal of the copies, by canary rows.")
	a.changes.feed = feed.New(feed.Config{
		Instance: a.instanceName(cfg), Outbox: judgedOutbox{o, a}, Cache: a.cache, Timeout: timeout, Log: a.log,
		OnLag: lag.Observe, Settings: feedSettings(cfg),
	})
	return nil
}

// instanceName is what operators know this process by.
func (a *App) instanceName(cfg *config.Config) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + " " + cfg.Server.Listen
}

// feedSettings is what a reload may change of it.
func feedSettings(cfg *config.Config) feed.Settings {
	f := cfg.Feed
	return feed.Settings{
		Poll: f.Poll, Keep: f.Keep, DegradedAfter: f.DegradedAfter, DegradedTTL: f.DegradedTTL, FlushBacklog: int64(f.FlushBacklog),
	}
}

// useFeed has the feed work for a generation.
func (a *App) useFeed(g *generation) {
	if a.changes.feed == nil {
		return
	}
	a.changes.login.use(g.cfg.FeedURL())
	var all []feed.Resource
	for _, r := range g.resources {
		all = append(all, feed.Resource{
			Name: r.Name, Key: r.Key, Params: r.Path.Params(), Watched: g.watches(r.Name),
			Degrade: func(since time.Time) { a.cache.Degrade(r.cached, since) },
			Restore: func() { a.cache.Restore(r.cached) },
		})
	}
	a.changes.feed.Use(all, g.sets, feedSettings(g.cfg))
}

// watches tells whether the feed hears of the changes of a resource's records.
func (g *generation) watches(resource string) bool {
	for _, s := range g.sets {
		for _, m := range s.Meanings {
			if m.Resource == resource {
				return true
			}
		}
	}
	return false
}

// open begins to drain.
func (c *changeFeed) open() {
	if c.feed != nil {
		c.feed.Open()
	}
}

// close ends the feed, and then what it stands on.
func (c *changeFeed) close() error {
	if c.feed != nil {
		c.feed.Close()
	}
	if c.outbox != nil {
		return c.outbox.Close()
	}
	return nil
}

// registerFeed exports how the feed is.
func (a *App) registerFeed() {
	f := a.changes.feed
	if f == nil {
		return
	}
	a.metrics.GaugeFunc("hearth_feed_live", "1 if somebody drains the outbox of the database, as far as this instance knows.",
		func() float64 { return truth(f.Status().Live) })
	a.metrics.GaugeFunc("hearth_feed_leader", "1 if this instance drains the outbox.", func() float64 { return truth(f.Leader.Load()) })
	a.metrics.GaugeFunc("hearth_feed_backlog", "Rows that wait in the outbox, as the leader has counted last; 0 elsewhere.",
		func() float64 { return float64(f.Backlog.Load()) })
	a.metrics.GaugeFunc("hearth_feed_oldest_seconds", "Age of the oldest row that waits in the outbox, as the leader has seen last; 0 elsewhere.",
		func() float64 { return time.Duration(f.Oldest.Load()).Seconds() })
	count := func(name, help string, read func() int64, labels ...metrics.Label) {
		a.metrics.CounterFunc(name, help, func() float64 { return float64(read()) }, labels...)
	}
	for result, read := range map[string]func() int64{
		"drained": f.Drained.Load, "flushed": f.Flushed.Load, "unknown": f.Unknown.Load,
	} {
		count("hearth_feed_rows_total", "Rows of the outbox that this instance has handled: record by record, as a change of everything, or not understood.",
			read, metrics.Label{Name: "result", Value: result})
	}
	count("hearth_feed_keys_total", "Records of which the feed has removed the copies, one by one.", f.Keys.Load)
	count("hearth_feed_own_total", "Records that the feed has left, for a write of Hearth itself had put them there.", f.Own.Load)
	count("hearth_feed_flushes_total", "Removals of all records of a resource by the feed.", f.Flushes.Load)
	count("hearth_feed_errors_total", "Rounds of the feed that failed.", f.Errors.Load)
	a.metrics.GaugesFunc("hearth_feed_degraded", "1 while the feed does not tell the changes of a resource, and its copies live feed.degraded_ttl at most.", "resource",
		func() map[string]float64 {
			lost, g := f.Status().Lost, a.current.Load()
			all := map[string]float64{}
			for _, r := range g.resources {
				if g.watches(r.Name) {
					_, is := lost[r.Name]
					all[r.Name] = truth(is)
				}
			}
			return all
		})
}

// feedNotices are what /readyz says of the feed. They do not keep this server from being
// ready: copies live shorter, and all instances are alike.
func (a *App) feedNotices() map[string]string {
	all := map[string]string{}
	if a.changes.feed == nil {
		return all
	}
	s := a.changes.feed.Status()
	if !s.Live {
		all["feed"] = "not live: nobody drains the outbox of the database; hearth feed status says why"
	}
	for name, because := range s.Lost {
		if because != "" {
			all["feed."+name] = "the change feed does not tell of it; hearth feed status says why"
		}
	}
	return all
}
