package memory

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trial runs a program of random bytes on a store and on a model of it, and compares them
// after each step. The model says what may be found:
//
//	a record that was kept           just that, with the latest data and what was said of it
//	… while memory was not full      it must be found
//	one that was dropped, displaced  nothing, until it is kept again
//	one that was once not found      likewise: what is evicted does not come back
//
// It runs in a bubble of synctest, so that the clock moves by weeks when a step says so.
type trial struct {
	*tape
	t      *testing.T
	s      *Store
	shapes []*Shape
	owners []*Owner
	kept   map[string]*promise
	madeAt map[*Owner]int // how many owners had been made
	made   int

	step, version   int
	budget          int64
	share           float64
	records, absent class
}

// tape is the program: bytes that say what is done next. At its end it says 0 for ever.
type tape struct{ rest []byte }

func (p *tape) next(n int) int {
	if len(p.rest) == 0 {
		return 0
	}
	b := int(p.rest[0])
	p.rest = p.rest[1:]
	return b % n
}

func (p *tape) wide() int {
	if len(p.rest) < 2 {
		p.rest = nil
		return 0
	}
	n := int(binary.LittleEndian.Uint16(p.rest))
	p.rest = p.rest[2:]
	return n
}

// promise is what the model knows of a record that was kept.
type promise struct {
	want   *Entry // made a second time, so that it shares nothing with the store's
	shape  *Shape
	owner  *Owner
	epoch  uint32
	expiry int64
	ends   int64
	due    int64
	aged   bool
	at     int // the step in which it was kept
	weight int64
}

// class is one of the two shares of memory.
type class struct {
	weight  int64 // of all promises
	tightAt int   // the latest step after which memory may have been full
}

// slack is how much earlier than promised a time may come, and how far two may be apart
// that are one: stores round times.
const slack = int64(3 * time.Millisecond)

// sweptAfter is how long after its end a record must still be there, since it may be
// served marked: ttl.stale is a day at most.
const sweptAfter = int64(24 * time.Hour)

// newTrial begins a trial. It is called in a bubble.
func newTrial(t *testing.T, program []byte) *trial {
	m := &trial{t: t, tape: &tape{program}, kept: map[string]*promise{}, madeAt: map[*Owner]int{}, budget: 8 << 20, share: 0.25}
	m.s = New(Config{Budget: m.budget, MissingShare: m.share, LinkTimeout: time.Minute})
	m.shapes = []*Shape{NewShape(""), NewShape("user")}
	m.owners = []*Owner{m.newOwner(false), m.newOwner(true)}
	return m
}

// runTrial runs a whole program.
func runTrial(t *testing.T, program []byte) {
	synctest.Test(t, func(t *testing.T) {
		m := newTrial(t, program)
		for ; len(m.rest) > 0 && !t.Failed(); m.step++ {
			m.act()
			m.checkSizes()
			if m.step%256 == 255 {
				m.checkAll()
			}
		}
		if !t.Failed() {
			m.checkAll()
		}
	})
}

// act does one step. Half of them keep something.
func (m *trial) act() {
	switch op := m.next(64); {
	case op < 26:
		m.keep(m.key(), m.next(len(bodies)))
	case op < 32:
		m.keepMissing(m.key())
	case op < 38:
		m.drop(m.key(), m.next(4) == 0)
	case op < 52:
		m.look(m.key())
	case op < 54:
		m.refresh(m.key())
	case op < 55:
		m.age(m.key())
	case op < 57:
		m.s.Verify(m.owner(), m.s.Now())
	case op == 57:
		m.owner().Flush()
	case op == 58:
		m.replaceOwner()
	case op < 62:
		m.move()
	case op == 62:
		m.resize()
	default:
		m.each(1 + m.next(8))
	}
}

// bodies are sizes of data: what fits a word, what is typical, the bounds of the gzip
// variant and of a segment, and what no segment takes.
var bodies = []int{10, 11, 60, 100, 100, 300, 1000, gzipFrom - 1, gzipFrom, 3000, 10_000, 30_000, 60_000, 65_000, 65_400, 65_535, 65_536, 66_000, 80_000, 200_000}

// babble does not compress.
var babble = func() string {
	var b strings.Builder
	for x := uint64(1); b.Len() < 300_000; x = x*6364136223846793005 + 1442695040888963407 {
		b.WriteString(strconv.FormatUint(x>>16, 36))
	}
	return b.String()
}()

// key names one of many keys, some of them often. A few are long.
func (m *trial) key() string {
	n := m.next(8)
	if n < 5 {
		n = m.next(40)
	} else {
		n = m.wide() % 3000
	}
	key := "k" + strconv.Itoa(n)
	switch {
	case n%41 == 7:
		return key + strings.Repeat("\x00", 300)
	case n == 13:
		return key + strings.Repeat("l", maxKey-len(key))
	case n == 14:
		return key + strings.Repeat("l", maxKey+1-len(key)) // too long to be kept
	}
	return key
}

func (m *trial) owner() *Owner { return m.owners[m.next(len(m.owners))] }

// data is valid JSON that no other step has.
func (m *trial) data(size int, packs bool) []byte {
	m.version++
	id := strconv.Itoa(1_000_000_000 + m.version)
	if size < len(id)+2 {
		return []byte(id)
	}
	b := append(make([]byte, 0, size), '"')
	b = append(b, id...)
	for fill := size - 1 - len(b); fill > 0; fill = size - 1 - len(b) {
		from := babble[m.version%1000:]
		if packs {
			from = from[:100]
		}
		b = append(b, from[:min(fill, len(from))]...)
	}
	return append(b, '"')
}

func (m *trial) keep(key string, body int) {
	packs := m.next(2) == 0
	m.put(key, m.data(bodies[body]+m.next(4), packs), uint8(m.next(2))*FlagSourced|uint8(m.next(8)/7)*FlagUntracked)
}

func (m *trial) keepMissing(key string) {
	m.put(key, Null, FlagMissing|uint8(m.next(2))*FlagSourced)
}

// put keeps a record in the store and in the model.
func (m *trial) put(key string, data []byte, flags uint8) {
	p := &promise{shape: m.shapes[m.next(len(m.shapes))], owner: m.owner(), ends: Never, due: Never, at: m.step}
	if p.epoch = p.owner.Epoch(); m.next(8) == 0 {
		p.owner.Flush() // while it was read
	}
	now := m.s.Now()
	p.expiry = now + int64(time.Second)<<m.next(16)
	if m.next(2) == 0 {
		p.ends = now + int64(time.Minute)<<m.next(12)
	}
	build := m.s.NewKept
	if len(data) >= gzipFrom && m.next(8) > 0 {
		build = m.s.NewAnswer // packing them all would take nearly all of the time
	}
	e := build(p.shape, key, data, flags)
	p.want = build(p.shape, key, data, flags)
	p.weight = 96 + e.Length() + e.Length()/8
	want := key != "" && len(key) <= maxKey && e.Length() <= m.s.MaxValue()
	if e.Missing() && (m.share == 0 || len(key) > minSegment/2) {
		want = false // there is no such share, or its segments are too small
	}
	got := m.s.Keep(e, p.owner, p.epoch, p.expiry, p.ends)
	if got != want && !(got && e.Missing() && m.share > 0) {
		m.t.Fatalf("step %d: keeping %d bytes of data under %.20q: got %v, want %v", m.step, len(data), key, got, want)
	}
	if len(key) > maxKey {
		return
	}
	m.forget(key)
	if !got {
		if e := m.s.Find(p.shape, []byte(key)); e != nil {
			m.t.Fatalf("step %d: %.20q is found after a record was refused that replaces it", m.step, key)
		}
		return
	}
	m.kept[key] = p
	m.classOf(p).weight += p.weight
	m.noteTight()
	m.check(key, p, true)
}

func (m *trial) classOf(p *promise) *class {
	if p.want.Missing() {
		return &m.absent
	}
	return &m.records
}

func (m *trial) forget(key string) {
	if p := m.kept[key]; p != nil {
		m.classOf(p).weight -= p.weight
		delete(m.kept, key)
	}
}

// noteTight notes whether one of the shares may be full. It is not while what is kept
// takes seven tenths of it, what it takes for itself aside.
func (m *trial) noteTight() {
	missing := int64(float64(m.budget) * m.share)
	if m.absent.weight > (missing-own)*7/10 {
		m.absent.tightAt = m.step
	}
	if m.records.weight > (m.budget-missing-own)*7/10 {
		m.records.tightAt = m.step
	}
}

// mayBeGone tells whether a record that was kept may be in memory no more. A missing record
// with a long key has no place in the segments of a small share.
func (m *trial) mayBeGone(p *promise) bool {
	if p.want.Missing() && int(p.want.keyLen) > minSegment/2 {
		return true
	}
	return m.classOf(p).tightAt >= p.at || p.expiry+sweptAfter < m.s.Now()
}

func (m *trial) drop(key string, objects bool) {
	p, asked := m.kept[key], 0
	m.s.Drop(key, func(v View) bool {
		e := v.Entry()
		asked++
		if p == nil {
			m.t.Errorf("step %d: dropping %.20q met a record that was not kept", m.step, key)
		} else {
			m.compare(key, p, e)
		}
		return objects
	})
	switch {
	case asked > 1:
		m.t.Errorf("step %d: dropping %.20q asked %d times", m.step, key, asked)
	case p != nil && asked == 0 && !m.mayBeGone(p):
		m.t.Errorf("step %d: dropping %.20q did not find it", m.step, key)
	}
	if p != nil && (asked == 0 || !objects) {
		m.forget(key)
	}
	m.find(key)
}

// find compares what is found under a key with what may be found.
func (m *trial) find(key string) {
	p := m.kept[key]
	if p == nil {
		for _, sh := range m.shapes {
			if e := m.s.Find(sh, []byte(key)); e != nil {
				m.t.Errorf("step %d: %.20q is found with %.20q, and was not kept, dropped, or evicted before", m.step, key, e.Data())
			}
		}
		return
	}
	m.check(key, p, false)
}

// check finds a record of which there is a promise; just says that it must be there.
func (m *trial) check(key string, p *promise, just bool) {
	for _, sh := range m.shapes {
		if e := m.s.Find(sh, []byte(key)); sh != p.shape && e != nil {
			m.t.Errorf("step %d: %.20q is found under a shape that it was not made for", m.step, key)
		}
	}
	e := m.s.Find(p.shape, []byte(key))
	if e != nil {
		m.compare(key, p, e)
		return
	}
	if just || !m.mayBeGone(p) {
		m.t.Errorf("step %d: %.20q of step %d, %d bytes, is not found though memory is not full", m.step, key, p.at, p.want.Length())
	}
	m.forget(key)
}

// near tells whether a time that the store gives is the one that it was given.
func near(got, want int64) bool { return got == want || got <= want && got >= want-slack }

// compare compares a record that was found with what was promised.
func (m *trial) compare(key string, p *promise, e *Entry) {
	m.t.Helper()
	w := p.want
	if !bytes.Equal(e.Data(), w.Data()) || !bytes.Equal(e.Body(), w.Body()) || !bytes.Equal(e.Gzip(), w.Gzip()) || e.ETag() != w.ETag() {
		m.t.Errorf("step %d: %.20q of step %d is found with %.20q and %s, want %.20q and %s", m.step, key, p.at, e.Data(), e.ETag(), w.Data(), w.ETag())
	}
	if e.Missing() != w.Missing() || e.Sourced() != w.Sourced() || e.Untracked() != w.Untracked() || e.Compressible() != w.Compressible() || e.shape != p.shape.ID() {
		m.t.Errorf("step %d: what was said of %.20q is not what is known of it", m.step, key)
	}
	if !near(m.s.FreshUntil(ViewOf(e)), m.freshUntil(p)) {
		m.t.Errorf("step %d: %.20q is fresh until %d, want %d", m.step, key, m.s.FreshUntil(ViewOf(e)), m.freshUntil(p))
	}
	if got, want := m.s.StaleUntil(ViewOf(e), time.Hour), m.staleUntil(p)+int64(time.Hour); want > 0 && !near(got, want) || want < 0 && got > 0 {
		m.t.Errorf("step %d: %.20q may be served until %d, want %d", m.step, key, got, want)
	}
	if !near(e.SharedExpiry(), p.ends) || e.Aged() != p.aged || !near(e.RefreshAt(), p.due) {
		m.t.Errorf("step %d: %.20q ends at %d, is due at %d, aged %v; want %d, %d, %v", m.step, key, e.SharedExpiry(), e.RefreshAt(), e.Aged(), p.ends, p.due, p.aged)
	}
}

// freshUntil is Store.FreshUntil of the model.
func (m *trial) freshUntil(p *promise) int64 {
	if m.isForgotten(p.owner) || p.owner.Ended() || p.owner.Epoch() != p.epoch {
		return math.MinInt64
	}
	return min(p.expiry, p.owner.VerifiedAt()+m.s.linkTimeout)
}

func (m *trial) staleUntil(p *promise) int64 {
	if m.isForgotten(p.owner) || p.owner.Epoch() != p.epoch {
		return math.MinInt64 / 2
	}
	return min(p.owner.VerifiedAt(), p.expiry)
}
