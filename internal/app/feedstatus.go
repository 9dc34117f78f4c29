package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"hearth/cache/redis"
	"hearth/internal/feed"
	"hearth/internal/source/outbox"
)

// FeedStatus is what hearth feed status tells, in the form of its JSON. Times are in
// seconds, and names stay as they are.
type FeedStatus struct {
	Live      bool           `json:"live"`
	Why       []string       `json:"why"` // it is not
	Mode      string         `json:"mode"`
	Database  string         `json:"database"`
	Drained   *FeedDrainer   `json:"drained"` // null: by nobody yet
	Lease     *FeedLease     `json:"lease"`   // null: there is none, or no Redis
	Backlog   *FeedBacklog   `json:"backlog"` // null: not installed
	Sets      []FeedSet      `json:"sets"`
	Resources []FeedResource `json:"resources"`
}

// FeedDrainer is who drains the outbox, by the database.
type FeedDrainer struct {
	Fleet    string  `json:"fleet"`
	Instance string  `json:"instance"`
	Beat     int64   `json:"beat"`
	Since    float64 `json:"seconds_since"`
}

// FeedLease is what the instance that drains tells its fleet in Redis.
type FeedLease struct {
	Fleet    string  `json:"fleet"`
	Instance string  `json:"instance"`
	Lag      float64 `json:"lag_seconds"` // of the latest canary
	Backlog  int64   `json:"backlog"`
	Left     float64 `json:"seconds_left"`
}

// FeedBacklog is what waits to be drained.
type FeedBacklog struct {
	Rows   int64   `json:"rows"`
	Oldest float64 `json:"oldest_seconds"`
}

// FeedSet is one set of triggers.
type FeedSet struct {
	ID        int32    `json:"id"`
	Table     string   `json:"table"`
	Columns   []string `json:"columns"` // whose changes count; empty: all
	Resources []string `json:"resources"`
	Wanted    bool     `json:"wanted"` // by this configuration
	Installed bool     `json:"installed"`
	Version   int      `json:"version"`
	Faults    []string `json:"faults"`
}

// FeedResource is a resource of this configuration.
type FeedResource struct {
	Resource string   `json:"resource"`
	Tables   []string `json:"tables"` // that are watched for it
	Live     bool     `json:"live"`
}

// Status asks the database, and Redis where that is the shared tier, how the feed is. What
// cannot be asked is among the reasons why it is not live.
func (t *FeedTool) Status(ctx context.Context) FeedStatus {
	s := FeedStatus{Mode: t.cfg.Feed.Mode, Database: t.outbox.Dialect().String(), Sets: []FeedSet{}, Resources: []FeedResource{}, Why: []string{}}
	if !t.cfg.FeedOn() {
		s.Why = append(s.Why, `feed.mode is "off"`)
	}
	if len(t.want) == 0 {
		s.Why = append(s.Why, "no resource is watched")
	}
	lost, err := t.readTriggers(ctx, &s)
	if err != nil {
		s.Why = append(s.Why, t.explain(ctx, err, t.tables(ctx)).Error())
	}
	t.readLease(ctx, &s)
	t.addResources(&s, lost)
	s.Live = len(s.Why) == 0
	return s
}

// readTriggers reads what is installed, and what has come of it. It returns the tables of
// which changes are lost.
func (t *FeedTool) readTriggers(ctx context.Context, s *FeedStatus) (lost []string, err error) {
	there, err := t.outbox.Sets(ctx)
	switch {
	case err == nil:
		err = t.readOutbox(ctx, s)
	case t.outbox.Missing(err):
		s.Why, err = append(s.Why, "the outbox is not installed; run: hearth feed install -apply"), nil
	}
	if err != nil {
		return nil, err
	}
	faults, err := t.outbox.Faults(ctx, t.want)
	if err != nil {
		return nil, err
	}
	t.want = t.outbox.Named(ctx, t.want)
	return s.addSets(there, t.want, outbox.Standing(faults)), nil
}

// readOutbox reads who drains the outbox, and what waits there.
func (t *FeedTool) readOutbox(ctx context.Context, s *FeedStatus) error {
	size, err := t.outbox.Size(ctx)
	if err != nil {
		return err
	}
	s.Backlog = &FeedBacklog{Rows: size.Rows, Oldest: size.Oldest.Seconds()}
	patience := t.cfg.Feed.DegradedAfter
	if size.Oldest > patience {
		s.Why = append(s.Why, fmt.Sprintf("the oldest of %d rows has waited for %s", size.Rows, round(size.Oldest)))
	}
	d, err := t.outbox.Drainer(ctx)
	switch {
	case err != nil:
		return err
	case d.Fleet == "":
		s.Why = append(s.Why, "nobody has drained the outbox yet")
		return nil
	case d.Since > patience:
		s.Why = append(s.Why, fmt.Sprintf("nobody has drained the outbox for %s", round(d.Since)))
	}
	s.Drained = &FeedDrainer{Fleet: d.Fleet, Instance: d.Instance, Beat: d.Number, Since: d.Since.Seconds()}
	return nil
}

// addSets lists what is installed and what is wanted, with its faults, and returns the
// tables of which changes are lost.
func (s *FeedStatus) addSets(there, want []outbox.Set, faults []outbox.Fault) (lost []string) {
	add := func(o outbox.Set) *FeedSet {
		i := slices.IndexFunc(s.Sets, func(f FeedSet) bool { return f.ID == o.ID })
		if i < 0 {
			i = len(s.Sets)
			s.Sets = append(s.Sets, FeedSet{ID: o.ID, Table: o.Table, Columns: o.Filter, Resources: resourcesOf(o), Faults: []string{}})
			if o.Filter == nil {
				s.Sets[i].Columns = []string{}
			}
		}
		return &s.Sets[i]
	}
	for _, o := range there {
		set := add(o)
		set.Installed, set.Version = true, o.Version
	}
	for _, o := range want {
		set := add(o)
		set.Wanted = true
		for _, name := range resourcesOf(o) {
			if !slices.Contains(set.Resources, name) {
				set.Resources = append(set.Resources, name)
			}
		}
	}
	for _, f := range faults {
		f.Set.ID = outbox.IDOf(f.Set.Table, f.Set.Filter)
		set := add(f.Set)
		set.Faults = append(set.Faults, f.Text)
		if f.Lost {
			lost = append(lost, set.Table)
			s.Why = append(s.Why, f.Text)
		}
	}
	return lost
}

// addResources lists the resources that are watched.
func (t *FeedTool) addResources(s *FeedStatus, lost []string) {
	for _, r := range t.cfg.Resources {
		one := FeedResource{Resource: r.Name, Tables: []string{}, Live: len(s.Why) == len(lost)}
		for _, set := range t.want {
			if !slices.Contains(resourcesOf(set), r.Name) {
				continue
			}
			if !slices.Contains(one.Tables, set.Table) {
				one.Tables = append(one.Tables, set.Table)
			}
			one.Live = one.Live && !slices.Contains(lost, set.Table)
		}
		if len(one.Tables) > 0 {
			s.Resources = append(s.Resources, one)
		}
	}
}

// readLease reads the lease of the leader. That Redis does not answer is said, and leaves
// the rest as it is: without Redis nobody drains.
func (t *FeedTool) readLease(ctx context.Context, s *FeedStatus) {
	if t.cfg.Redis.URL.Empty() {
		return
	}
	within, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	access := newAccess(t.cfg, slog.New(slog.DiscardHandler)).redisConfig()
	text, left, found, err := redis.Peek(within, access, feed.LeaderKey)
	var fleet string
	if err == nil {
		fleet, _, _, err = redis.Peek(within, access, feed.FleetKey)
		fleet, _, _ = strings.Cut(fleet, " ")
	}
	holder, note, known := feed.ReadNote([]byte(text))
	switch {
	case err != nil:
		s.Why = append(s.Why, "asking Redis: "+oneLine(err))
		return
	case !found:
		s.Why = append(s.Why, "no instance holds the lease "+feed.LeaderKey+" in Redis")
	case !known: // of a version to come
		s.Lease = &FeedLease{Fleet: fleet, Instance: holder, Left: left.Seconds()}
	default:
		s.Lease = &FeedLease{Fleet: fleet, Instance: note.Instance, Lag: float64(note.LagMS) / 1000, Backlog: note.Backlog, Left: left.Seconds()}
	}
	if s.Drained != nil && s.Drained.Fleet != fleet {
		s.Why = append(s.Why, fmt.Sprintf("another fleet drains the outbox: %s, instance %s; this one is %q", s.Drained.Fleet, s.Drained.Instance, fleet))
	}
}

// round shortens a time for people.
func round(d time.Duration) time.Duration {
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}

// Write tells people.
func (s FeedStatus) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if s.Live {
		fmt.Fprintln(w, "the feed is live")
	} else {
		fmt.Fprintln(w, "the feed is not live:")
	}
	for _, why := range s.Why {
		fmt.Fprintf(w, "  %s\n", why)
	}
	if d := s.Drained; d != nil {
		fmt.Fprintf(w, "drained by\tinstance %s of fleet %s, %s ago (beat %d)\n", d.Instance, d.Fleet, round(seconds(d.Since)), d.Beat)
	}
	if l := s.Lease; l != nil {
		fmt.Fprintf(w, "lease in Redis\tinstance %s of fleet %s; a change takes %s\n", l.Instance, l.Fleet, round(seconds(l.Lag)))
	}
	if b := s.Backlog; b != nil {
		fmt.Fprintf(w, "backlog\t%d rows, the oldest %s old\n", b.Rows, round(seconds(b.Oldest)))
	}
	for _, set := range s.Sets {
		state := "not installed"
		switch {
		case set.Installed && set.Wanted:
			state = fmt.Sprintf("installed, version %d", set.Version)
		case set.Installed:
			state = fmt.Sprintf("installed, version %d, for another configuration", set.Version)
		}
		columns := ""
		if len(set.Columns) > 0 {
			columns = " (" + strings.Join(set.Columns, ", ") + ")"
		}
		fmt.Fprintf(w, "table %s%s\t%s\tfor %s\n", set.Table, columns, state, strings.Join(set.Resources, ", "))
		for _, f := range set.Faults {
			if !slices.Contains(s.Why, f) {
				fmt.Fprintf(w, "  %s\n", f)
			}
		}
	}
	for _, r := range s.Resources {
		state := "live"
		if !r.Live {
			state = "not live"
		}
		fmt.Fprintf(w, "resource %s\t%s\twatches %s\n", r.Resource, state, strings.Join(r.Tables, ", "))
	}
	return w.Flush()
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
