package top

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"hearth/internal/operator"
	"hearth/internal/timeline"
)

// record is a tick for programs. What is not known is left out.
type record struct {
	At       int64              `json:"at"` // Unix time in ms
	Seq      uint64             `json:"seq"`
	Seconds  float64            `json:"seconds"` // that rates are of
	Well     bool               `json:"well"`
	Troubles []string           `json:"troubles"` // what is wrong, the worst first
	Rates    map[string]float64 `json:"rates"`    // counters, per second
	Values   map[string]float64 `json:"values"`   // gauges as they are, counters as they stand
	HitRatio *float64           `json:"hit_ratio,omitempty"`
	Latency  *quantiles         `json:"latency,omitempty"` // of the last ten ticks; in seconds
	Delay    *quantiles         `json:"delay,omitempty"`
	Lag      *quantiles         `json:"lag,omitempty"`
	// The others are as ticks have them.
	Checks  map[string]string             `json:"checks,omitempty"`
	Groups  map[string]map[string]float64 `json:"groups,omitempty"`
	Events  []event                       `json:"events,omitempty"`
	Hot     []timeline.Hot                `json:"hot"` // by the order, and filtered
	Dropped int                           `json:"dropped,omitempty"`
}

type quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// quantiles are nil where nothing was counted. What is beyond all buckets is what begins there.
func (d distribution) quantiles() *quantiles {
	q := quantiles{d.quantile(0.5), d.quantile(0.99)}
	if math.IsNaN(q.P50) {
		return nil
	}
	const beyond = 20
	return &quantiles{min(q.P50, beyond), min(q.P99, beyond)}
}

// record is what is known by the latest tick, which has rates.
func (s *screen) record() record {
	m := &s.live
	r := record{
		At: m.last.At, Seq: m.last.Seq, Seconds: m.seconds(), Troubles: []string{},
		Rates: map[string]float64{}, Values: m.last.Values,
		Latency: m.of(latency).quantiles(), Delay: m.of(delay).quantiles(), Lag: m.of(lag).quantiles(),
		Checks: m.last.Checks, Groups: m.last.Groups, Events: m.last.Events,
		Hot: append([]timeline.Hot{}, s.hotOf()...), Dropped: m.last.Dropped,
	}
	for _, one := range m.troubles() {
		r.Troubles = append(r.Troubles, one.text)
	}
	r.Well = len(r.Troubles) == 0
	for _, c := range timeline.Columns() {
		if rate := m.rate(c.ID); c.Kind == "counter" && !math.IsNaN(rate) {
			r.Rates[c.ID] = rate
		}
	}
	if ratio := m.hitRatio(); !math.IsNaN(ratio) {
		r.HitRatio = &ratio
	}
	return r
}

// encoded is a record in one line. It may go to a terminal, so what that would obey is escaped.
func (r record) encoded() ([]byte, error) {
	var out bytes.Buffer
	in := json.NewEncoder(&out)
	in.SetEscapeHTML(false)
	if err := in.Encode(r); err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, c := range strings.TrimSuffix(out.String(), "\n") {
		switch text := operator.Printable(string(c)); {
		case text == string(c):
			b.WriteString(text)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			c -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		}
	}
	return []byte(b.String() + "\n"), nil
}

// print is a screenful as text. A terminal gets it with codes.
func (s *screen) print(z size, codes map[mark]string, now time.Time) []byte {
	var b strings.Builder
	for _, l := range s.draw(z, now) {
		if codes != nil {
			b.WriteString(l.painted(codes) + "\n")
		} else {
			b.WriteString(l.text() + "\n")
		}
	}
	return []byte(b.String())
}
