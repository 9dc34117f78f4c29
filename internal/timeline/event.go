package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Event is a change of state: a mark on every plot.
type Event struct {
	At   int64  `json:"at"`   // Unix time in ms
	Kind string `json:"kind"` // "link", "master", "canary", "source", "breaker", "feed", "reload", "audit", "ready", "drain", "start"
	Good bool   `json:"good"` // an end of trouble, or nothing to worry about
	Text string `json:"text"` // in words for anybody who may see the dashboard
}

// maxEvents is how many are remembered.
const maxEvents = 512

func (e Event) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, `{"at":`...), e.At, 10)
	dst = appendText(append(dst, `,"kind":`...), e.Kind, maxName)
	dst = strconv.AppendBool(append(dst, `,"good":`...), e.Good)
	return append(appendText(append(dst, `,"text":`...), e.Text, maxWords), '}')
}

// state is a column that is 1 or 0, and what is said when it changes.
type state struct {
	id, kind   string
	bad        float64 // what it is while there is trouble
	goes, back string
}

var states = []state{
	{"redis_up", "link", 0, "the shared tier cannot be asked", "the shared tier answers again"},
	{"source_up", "source", 0, "the database does not answer", "the database answers again"},
	{"source_read_only", "source", 1, "the database takes no writes", "the database takes writes again"},
	{"feed_live", "feed", 0, "the change feed is not live", "the change feed is live"},
	{"ready", "ready", 0, "not ready", "ready"},
	{"draining", "drain", 1, "draining: asked to stop", "serving again"},
}

// happening is a counter, and what is said when it has grown.
type happening struct {
	id, kind, text string
	good           bool
}

var happenings = []happening{
	{"takeovers", "master", "a server of Redis has taken another's place", false},
	{"canaries_lost", "canary", "an invalidation did not arrive in time; the link is replaced", false},
	{"reloads_ok", "reload", "the configuration was reloaded", true},
	{"reloads_failed", "reload", "a reload failed; all stays as it was", false},
}

// changes are the events between two ticks.
func changes(at int64, before, now *numbers) (all []Event) {
	add := func(kind string, good bool, format string, args ...any) {
		all = append(all, Event{At: at, Kind: kind, Good: good, Text: fmt.Sprintf(format, args...)})
	}
	for _, s := range states {
		was, is := before.value(s.id), now.value(s.id)
		switch {
		case (was == 0) == (is == 0):
		case (is != 0) == (s.bad != 0):
			add(s.kind, false, "%s", s.goes)
		default:
			add(s.kind, true, "%s", s.back)
		}
	}
	for _, h := range happenings {
		n := now.value(h.id) - before.value(h.id)
		if n > 1 {
			add(h.kind, h.good, "%s (%.0f times)", h.text, n)
		} else if n > 0 {
			add(h.kind, h.good, "%s", h.text)
		}
	}
	for i, g := range groups {
		for _, name := range names(now.groups[i]) {
			was, known := before.groups[i][name]
			is := now.groups[i][name]
			if !known || (was == 0) == (is == 0) {
				continue
			}
			switch g.id {
			case "node_up":
				add("link", is != 0, "%s %s", name, map[bool]string{true: "can be asked again", false: "cannot be asked"}[is != 0])
			case "node_tracked":
				add("link", is != 0, "%s %s", name, map[bool]string{true: "reports changes again", false: "does not report changes"}[is != 0])
			case "breaker":
				add("breaker", is == 0, "%s %s", name, map[bool]string{true: "is spared: its breaker is open", false: "is asked again: its breaker is closed"}[is != 0])
			}
		}
	}
	return all
}

// telling are the names of a group, what is wrong first.
func telling(g group, values map[string]float64) []string {
	wrong := func(name string) int {
		v := values[name]
		if g.id == "node_up" || g.id == "node_tracked" {
			v = -v // there 0 is what is wrong
		}
		return -cmp.Compare(v, 0)
	}
	all := names(values)
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(wrong(a), wrong(b)) })
	return all
}
