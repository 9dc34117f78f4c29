package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/internal/timeline"
)

// screen is what is looked at: a model, and what was chosen by keys.
type screen struct {
	alphabet
	address string
	live    model
	frozen  *model // while paused: what figures, keys and events are of

	order, filter string
	typing        bool   // a filter
	typed         string // until it is taken
	help          bool
	offset        int  // of the first hot key that is shown
	page          int  // how many were shown last
	bare          bool // for scripts: without what is said to a keyboard
}

// size is that of a terminal; a height of 0 has room for all that is worth reading.
type size struct{ width, height int }

// shown is the model that is looked at.
func (s *screen) shown() *model {
	if s.frozen != nil {
		return s.frozen
	}
	return &s.live
}

// How the lines of a screen are shared out.
const (
	mostStatus   = 4  // lines of what is wrong
	mostEventsOn = 8  // lines of events
	endlessHot   = 20 // keys, where there is no height
	cellWidth    = 26 // of a figure
	mostCells    = 6  // figures in a line
)

// draw are the lines of the screen: as many as its height at most, and none wider than its
// width. What has been scrolled to is brought back to where keys are.
func (s *screen) draw(z size, now time.Time) (lines []line) {
	if s.help {
		return s.within(s.helpLines(), z)
	}
	status := s.statusLines(z, now)
	lines = append(status, line{{dim, s.title()}})
	figures, links := s.figureLines(z.width), s.linkLines()
	keys := chosen(s.shown().hot, s.order, s.activeFilter())
	hot, events := min(len(keys), endlessHot), min(len(s.shown().events), mostEventsOn)
	if z.height > 0 {
		room := z.height - len(lines) - 1 // and the last line
		least := min(4, room/2)           // of hot keys, with their head
		figures = figures[:max(0, min(len(figures), room-least))]
		links = links[:max(0, min(len(links), room-least-len(figures)))]
		room -= len(figures) + len(links)
		events = min(events, mostEventsOn, max(0, (room-3)/3))
		hot = max(0, room-events-1)
	}
	lines = append(append(lines, figures...), links...)
	s.page = hot
	s.offset = max(0, min(s.offset, len(keys)-hot))
	columns, key := columnsFor(z.width, s.order)
	below := s.hotLines(keys[s.offset:min(len(keys), s.offset+hot)], columns, key, s.order, s.hotTitle(len(keys)))
	if len(keys) == 0 {
		below = append(below, line{{dim, s.clean(s.nothing())}})
	}
	if z.height > 0 {
		below = below[:min(len(below), hot+1)]
		for len(below) < hot+1 {
			below = append(below, nil)
		}
	}
	lines = append(append(lines, below...), s.eventLines(events)...)
	if !s.bare {
		lines = append(lines[:max(0, min(len(lines), z.height-1))], s.lastLine())
	}
	return s.within(lines, z)
}

// within cuts what is beyond the size.
func (s *screen) within(lines []line, z size) []line {
	if z.height > 0 && len(lines) > z.height {
		lines = lines[:z.height]
	}
	for i, l := range lines {
		room := z.width
		for j, p := range l {
			if w := width(p.text); w > room {
				l = append(l[:j:j], part{p.mark, s.cut(p.text, room)})
				break
			}
			room -= width(p.text)
		}
		lines[i] = l
	}
	return lines
}

// statusLines are the first ones. Where there is room, each trouble has its own.
func (s *screen) statusLines(z size, now time.Time) (lines []line) {
	texts, well := s.live.status(s.alphabet, s.address, now)
	most := mostStatus
	if z.height > 0 && z.height < 16 {
		most = 1
	}
	if most > 1 {
		var all []string
		for _, text := range texts {
			all = append(all, wrapped(s.clean(text), z.width)...)
		}
		texts = all
	}
	for i, text := range texts[:min(len(texts), most)] {
		l := line{{bad, s.clean(text)}}
		if well {
			l[0].mark = good
		}
		if s.frozen != nil && i == 0 {
			l = append(line{{head, "PAUSED"}, {plain, " "}}, l...)
		}
		lines = append(lines, l)
	}
	return lines
}

// title says what is looked at.
func (s *screen) title() string {
	m := s.shown()
	if m.last == nil {
		return s.clean("hearth top, " + s.address)
	}
	text := s.clock(m.last.At)
	if started := m.value("started"); started > 0 {
		text += ", up " + span(float64(m.last.At)/1000-started)
	}
	return s.clean(text + ", " + s.address)
}

// figureLines are the figures, as many in a line as have room.
func (s *screen) figureLines(w int) (lines []line) {
	all := s.shown().figures()
	n := max(1, min(w/cellWidth, mostCells))
	for row := range slices.Chunk(all, n) {
		var l line
		for _, f := range row {
			m, warning := plain, " "
			if f.wrong {
				m, warning = bad, "!"
			}
			l = append(l, part{dim, s.fit(s.clean(f.name), 11)}, part{m, warning + s.fit(s.clean(f.text), w/n-12)})
		}
		lines = append(lines, l)
	}
	return lines
}

// linkLines are what the server stands on: what is wrong has a line of its own.
func (s *screen) linkLines() (lines []line) {
	m := s.shown()
	if m.last == nil {
		return nil
	}
	wrong := func(format string, args ...any) {
		lines = append(lines, line{{bad, s.clean("! " + fmt.Sprintf(format, args...))}})
	}
	var well []string
	if nodes := m.last.Groups["node_up"]; len(nodes) > 0 {
		down := m.named("node_up", false)
		untracked := slices.DeleteFunc(m.named("node_tracked", false), func(name string) bool { return slices.Contains(down, name) })
		well = append(well, fmt.Sprintf("Redis: %d of %d answer, %d report changes", len(nodes)-len(down), len(nodes), len(m.named("node_tracked", true))))
		for _, name := range down {
			wrong("Redis %s cannot be asked", name)
		}
		for _, name := range untracked {
			wrong("Redis %s does not report changes", name)
		}
	}
	if breakers := m.last.Groups["breaker"]; len(breakers) > 0 {
		open := m.named("breaker", true)
		well = append(well, fmt.Sprintf("sources: %d of %d asked", len(breakers)-len(open), len(breakers)))
		for _, name := range open {
			wrong("source %s is spared: its breaker is open", name)
		}
	}
	var limits []string
	for _, name := range m.named("limited", true) {
		if rate := m.limitRate(name); rate > 0 {
			limits = append(limits, name+" "+perSecond(rate))
		}
	}
	if m.last.Dropped > 0 {
		well = append(well, fmt.Sprintf("%d more had no room", m.last.Dropped))
	}
	if len(well) > 0 {
		lines = append(lines, line{{plain, s.clean(strings.Join(well, "; "))}})
	}
	if len(limits) > 0 {
		lines = append(lines, line{{plain, s.clean("limits refuse: " + strings.Join(limits, ", "))}})
	}
	return lines
}

// activeFilter is what keys are filtered by now: one that is being typed works at once.
func (s *screen) activeFilter() string {
	if s.typing {
		return s.typed
	}
	return s.filter
}

func (s *screen) hotTitle(n int) string {
	title := "HOT KEYS"
	if s.offset > 0 {
		title += fmt.Sprintf(" from %d of %d", s.offset+1, n)
	}
	if filter := s.activeFilter(); filter != "" {
		title += fmt.Sprintf(" with %q", filter)
	}
	return title
}

// nothing is why there are no hot keys.
func (s *screen) nothing() string {
	if s.activeFilter() != "" {
		return "no hot key or resource has that in its name"
	}
	return "nothing was asked for lately"
}

// eventLines are the latest events, the newest first.
func (s *screen) eventLines(n int) (lines []line) {
	for _, e := range slices.Backward(s.shown().events) {
		if len(lines) == n {
			break
		}
		m, sign := bad, " ! "
		if e.Good {
			m, sign = plain, "   "
		}
		lines = append(lines, line{{dim, s.clock(e.At)}, {m, sign + s.clean(e.Text)}})
	}
	return lines
}

// lastLine is what the keyboard can do, or what is being typed.
func (s *screen) lastLine() line {
	if s.typing {
		return line{{strong, s.clean("filter: " + s.typed + "_")}, {dim, "  (Enter takes it, Esc drops it)"}}
	}
	return line{{dim, "q quit  r b m l order  / filter  p pause  ? help"}}
}

// helpLines explain the keys and the words.
func (s *screen) helpLines() (lines []line) {
	for text := range strings.Lines(help) {
		lines = append(lines, line{{plain, s.clean(strings.TrimRight(text, "\n"))}})
	}
	return lines
}

const help = `q, Ctrl-C     quit; Ctrl-Z suspends
r b m l       list hot keys by reads, bytes, misses, loads
/             filter by a part of key or resource
p             pause; the first line goes on
arrows, PgUp, PgDn, Home, End   scroll the hot keys
Ctrl-L        draw all anew

Rates are of the last second, p50, p99, delay and feed of the last ten.
hit ratio     answered from memory, of all requests
delay (C1)    from a write in Redis to its invalidation here, p99
feed (C7)     from a commit to its invalidation here, p99
audit         share of true answers that an hour's checks prove, 95 %
stale         served past its proof, and marked so
LIFE          what is left of the copy in memory
! NOT WELL    what is wrong; since when is in the first line
Any key goes back.`

// hotOf are the hot keys that a script gets.
func (s *screen) hotOf() []timeline.Hot { return chosen(s.live.hot, s.order, s.filter) }
