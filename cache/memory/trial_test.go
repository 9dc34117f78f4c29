package memory

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"hearth/internal/testkit"
)

func (m *trial) newOwner(local bool) *Owner {
	o := m.s.NewOwner(local)
	m.made++
	m.madeAt[o] = m.made
	m.s.Verify(o, m.s.Now())
	return o
}

// replaceOwner ends a connection, and another one comes; rarely so many that the store
// forgets the first.
func (m *trial) replaceOwner() {
	i := m.next(len(m.owners))
	m.owners[i].End()
	if m.next(16) == 15 {
		for range epochRing {
			m.newOwner(false).End()
		}
	}
	if m.next(2) == 0 {
		m.owners[i] = m.newOwner(m.next(4) == 3)
	}
}

func (m *trial) isForgotten(o *Owner) bool { return m.s.epochs.owner(o.Epoch()) != o }

// move moves the clock on, by a millisecond or by weeks, as an idle process does: what
// compares the clocks does so now and then.
func (m *trial) move() {
	d := time.Millisecond << m.next(32)
	for steps := 8; steps > 0; steps-- {
		<-time.After(d / 8)
		m.s.NoticeSleep()
	}
	if m.next(2) == 0 {
		for _, o := range m.owners {
			m.s.Verify(o, m.s.Now())
		}
	}
}

// resize makes the budget another one, mostly a larger one, so that it is not tight for
// all of the trial.
func (m *trial) resize() {
	m.noteTight() // what was tight before is forgotten otherwise
	m.budget = int64(1+m.next(16)) << 20
	if m.next(3) == 0 {
		m.budget = int64(1+m.next(64)) << 20
	}
	m.share = float64(m.next(11)) / 20
	m.s.Resize(m.budget, m.share)
	m.noteTight()
}

// look asks as a request does, and answers as one does: under a pin, from what the view
// gives.
func (m *trial) look(key string) {
	m.find(key)
	p := m.kept[key]
	if p == nil {
		return
	}
	defer m.s.Pin(uint32(m.step)).Release()
	now := time.Now()
	at := m.s.At(now)
	v, ttl := m.s.Look(p.shape, []byte(key), now)
	fresh := m.freshUntil(p)
	switch {
	case p.want.Untracked() || at >= fresh:
		if v.Found() {
			m.t.Errorf("step %d: %.20q is a hit at %d, fresh until %d, untracked %v", m.step, key, at, fresh, p.want.Untracked())
		}
	case !v.Found():
		if at < fresh-slack {
			m.t.Errorf("step %d: %.20q is no hit at %d, fresh until %d", m.step, key, at, fresh)
		}
	default:
		if left := p.expiry - at; !near(int64(ttl), left) {
			m.t.Errorf("step %d: %.20q has %d left, want %d", m.step, key, ttl, left)
		}
		if due := v.RefreshDue(ttl); due && at < p.due-slack || !due && at >= p.due {
			m.t.Errorf("step %d: %.20q is due %v at %d, want from %d on", m.step, key, due, at, p.due)
		}
		m.compareView(key, p, v)
	}
	if e, _ := m.s.Hit(p.shape, []byte(key), now); (e != nil) != v.Found() {
		m.t.Errorf("step %d: Hit and Look differ about %.20q", m.step, key)
	}
	if v := m.s.Peek(p.shape, []byte(key)); !v.Found() {
		m.t.Errorf("step %d: Peek does not see %.20q", m.step, key)
	} else {
		m.compareView(key, p, v)
	}
}

// compareView compares what a view gives with what was promised.
func (m *trial) compareView(key string, p *promise, v View) {
	m.t.Helper()
	w := p.want
	head, data, tail, gzip := v.Parts(p.shape)
	body := append(append([]byte(head), data...), tail...)
	if !w.Missing() && (!bytes.Equal(data, w.Data()) || !bytes.Equal(body, w.Body())) || !bytes.Equal(gzip, w.Gzip()) {
		m.t.Errorf("step %d: the view of %.20q of step %d gives %.30q, want %.30q", m.step, key, p.at, body, w.Body())
	}
	if string(v.AppendETag(nil)) != w.ETag() || !bytes.Equal(v.AppendGzipETag(nil), w.AppendGzipETag(nil)) {
		m.t.Errorf("step %d: the view of %.20q has the validator %s, want %s", m.step, key, v.AppendETag(nil), w.ETag())
	}
	if v.Missing() != w.Missing() || v.Aged() != p.aged || w.Length() > largeBytes && !v.Large() {
		m.t.Errorf("step %d: the view of %.20q: missing %v, aged %v, large %v", m.step, key, v.Missing(), v.Aged(), v.Large())
	}
	m.compare(key, p, v.Entry())
}

// refresh draws when a record is due, or asks who is to load it.
func (m *trial) refresh(key string) {
	m.find(key)
	p := m.kept[key]
	if p == nil {
		return
	}
	defer m.s.Pin(0).Release()
	v := m.s.Peek(p.shape, []byte(key))
	now := m.s.Now()
	if m.next(2) == 0 {
		p.due = now + int64(time.Second)<<m.next(12)
		v.SetRefreshAt(p.due)
		return
	}
	next := now + int64(time.Minute)
	got := v.TakeRefresh(now, next)
	if got && now < p.due-slack || !got && now >= p.due {
		m.t.Errorf("step %d: %.20q is taken to be loaded anew at %d, due at %d: %v", m.step, key, now, p.due, got)
	}
	if got {
		p.due = next
		if v.TakeRefresh(now, next) {
			m.t.Errorf("step %d: two take the same refresh of %.20q", m.step, key)
		}
	}
}

// age ages one record, as a loss of the feed does with all.
func (m *trial) age(key string) {
	m.find(key)
	p := m.kept[key]
	if p == nil {
		return
	}
	until := m.s.Now() + int64(time.Second)<<m.next(12)
	due := until - int64(m.next(2))*int64(time.Second)
	m.s.Each(func(v View) bool {
		if string(v.r.key()) == key {
			v.Age(until, due)
		}
		return true
	})
	p.aged, p.expiry, p.due = true, min(p.expiry, until), min(p.due, due)
	m.check(key, p, false)
}

// each visits all that is there, or a part of it.
func (m *trial) each(most int) {
	if most == 8 {
		m.checkAll()
		return
	}
	seen := 0
	m.s.Each(func(View) bool { seen++; return seen < most })
	if seen > most {
		m.t.Errorf("step %d: Each called %d times after it was told to end at %d", m.step, seen, most)
	}
}

// checkAll finds everything that may be there, and compares what is there with Each and
// with Sizes.
func (m *trial) checkAll() {
	m.t.Helper()
	seen := map[string]bool{}
	m.s.Each(func(v View) bool {
		e := v.Entry()
		p := m.kept[e.key()]
		switch {
		case p == nil:
			m.t.Errorf("step %d: Each comes to %.20q, which is not kept", m.step, e.key())
		case seen[e.key()]:
			m.t.Errorf("step %d: Each comes to %.20q twice", m.step, e.key())
		default:
			m.compare(e.key(), p, e)
		}
		seen[e.key()] = true
		return !m.t.Failed()
	})
	var entries, missing int64
	for key, p := range m.kept {
		m.check(key, p, false)
		if m.kept[key] != p {
			continue
		}
		entries++
		if p.want.Missing() {
			missing++
		}
		if !seen[key] {
			m.t.Errorf("step %d: Each does not come to %.20q, which is found", m.step, key)
		}
	}
	if got := m.s.Sizes(); got.Entries != entries || got.MissingEntries != missing {
		m.t.Errorf("step %d: %d records and %d missing ones are found, Sizes says %d and %d", m.step, entries-missing, missing, got.Entries-got.MissingEntries, got.MissingEntries)
	}
}

// overdraft is how far what a store takes may exceed its budget, in parts of it.
const overdraft = 20

// own is what each share may take for itself, however small it is.
const own = 128 << 10

// checkSizes holds the budget, which is kept after each step.
func (m *trial) checkSizes() {
	got := m.s.Sizes()
	missing := int64(float64(m.budget) * m.share)
	if got.Bytes > m.budget+m.budget/overdraft || got.MissingBytes > missing+max(missing/overdraft, own) {
		m.t.Errorf("step %d: memory takes %d bytes, %d of them for missing records, of a budget of %d and %d", m.step, got.Bytes, got.MissingBytes, m.budget, missing)
	}
	if got.Bytes < 0 || got.Entries < got.MissingEntries || got.MissingEntries < 0 || got.Bytes < got.MissingBytes {
		m.t.Errorf("step %d: sizes are %+v", m.step, got)
	}
}

// program returns n random bytes.
func program(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestStoreAgainstAModel runs random programs. In the long form there are many of them,
// and long ones.
func TestStoreAgainstAModel(t *testing.T) {
	t.Parallel()
	trials, length := 3, 8_000
	if testkit.Long() {
		trials, length = 40, 100_000
	}
	for seed := range trials {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			runTrial(t, program(length, uint64(seed)))
		})
	}
}

// FuzzStore looks for a program on which store and model differ.
func FuzzStore(f *testing.F) {
	f.Add(program(200, 1))
	f.Fuzz(func(t *testing.T, program []byte) { runTrial(t, program[:min(len(program), 600)]) })
}
