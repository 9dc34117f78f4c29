package top

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// trouble is what is wrong, in words, and the kind of the events that tell of it.
type trouble struct{ text, kind string }

// lately is how long what happens once is trouble.
const lately = 10 * time.Minute

// troubles are what is wrong by the latest tick, the worst first; in the dashboard's words.
func (m *model) troubles() (all []trouble) {
	if m.last == nil {
		return nil
	}
	v, is := m.last.Values, func(id string) bool { return m.last.Values[id] != 0 }
	nearly := func(id, most string, part float64) bool { return is(most) && v[id] > part*v[most] }
	add := func(there bool, kind, text string) {
		if there {
			all = append(all, trouble{text, kind})
		}
	}
	add(is("draining"), "drain", "draining: the server was asked to stop")
	add(!is("redis_up"), "link", "the shared tier cannot be asked")
	add(!is("source_up"), "source", "the database does not answer")
	down := m.named("node_up", false)
	add(len(down) > 0 && is("redis_up"), "link", "cannot be asked: "+strings.Join(down[:min(3, len(down))], ", "))
	add(is("source_read_only"), "source", "the database takes no writes")
	spared := m.named("breaker", true)
	add(is("breakers_open"), "breaker", "spared after failures: "+strings.Join(spared[:min(3, len(spared))], ", "))
	add(is("feed_degraded"), "feed", "the change feed is lost: copies live shorter")
	add(m.happened("audit"), "audit", "the audit has found answers that were not true")
	add(m.happened("canary"), "canary", "invalidations have arrived late")
	add(is("statement_faults"), "", "the database refuses statements")
	add(is("writes_unconfirmed"), "", "writes are not confirmed")
	add(nearly("readers_waiting", "readers_waiting_max", 0.8), "", "nearly as many readers wait as may")
	add(nearly("connections", "connections_max", 0.9), "", "nearly as many connections are open as may be")
	add(m.rate("answers_503") > 0, "", "requests are refused (503)")
	if len(all) > 0 {
		return all
	}
	for _, name := range slices.Sorted(maps.Keys(m.last.Checks)) {
		add(true, "", name+": "+m.last.Checks[name])
	}
	return all
}

// named are the members of a group that are set, or those that are not.
func (m *model) named(group string, set bool) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(m.last.Groups[group])) {
		if (m.last.Groups[group][name] != 0) == set {
			names = append(names, name)
		}
	}
	return names
}

// happened tells whether something bad of a kind has happened lately.
func (m *model) happened(kind string) bool {
	return slices.ContainsFunc(m.events, func(e event) bool {
		return e.Kind == kind && !e.Good && m.last.At-e.At < lately.Milliseconds()
	})
}

// silent is after how long without a tick the server is not taken to answer.
const silent = 3 * time.Second

// status are the lines that say whether all is well, or what is not: the first one by itself
// says which of the two it is, and the worst.
func (m *model) status(a alphabet, address string, now time.Time) (lines []string, well bool) {
	switch {
	case m.last == nil && m.failure == nil:
		return []string{"Waiting for the first tick of " + address}, true
	case m.last == nil:
		return []string{"NO LINK: " + m.failure.Error()}, false
	case !m.lost.IsZero():
		return []string{
			fmt.Sprintf("NO LINK since %s (%s). What follows is old.", a.clock(m.lost.UnixMilli()), whole(now.Sub(m.lost))), m.failure.Error(),
		}, false
	case now.Sub(m.arrived) > silent:
		return []string{fmt.Sprintf("NO TICK for %s: the server does not answer. What follows is old.", whole(now.Sub(m.arrived)))}, false
	}
	all := m.troubles()
	if len(all) == 0 {
		return []string{"All is well."}, true
	}
	for i, one := range all {
		text := one.text
		if at := m.since[text]; at != 0 {
			text += ", since " + a.clock(at)
		}
		if i == 0 {
			text = "NOT WELL: " + text
			if len(all) > 1 {
				text += fmt.Sprintf(" (and %d more)", len(all)-1)
			}
		} else {
			text = "also: " + text
		}
		lines = append(lines, text)
	}
	return lines, false
}

// whole is a time in whole seconds.
func whole(d time.Duration) string { return d.Truncate(time.Second).String() }
