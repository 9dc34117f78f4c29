package handlers

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// maxBatch is about how many bytes of answers are made before they are sent: as few as
// fill a window, so that a peer that pipelines thousands of requests and reads nothing holds no
// more than that.
const maxBatch = 32 << 10

// Answer answers the requests that in begins with, as long as they are plain reads that
// memory can answer: for most of them it is the only way, and fasthttp never sees them. It
// appends the answers to out and tells how many bytes of in they are for. What stands
// behind those was not understood, or is not for this way; nothing was counted of it
// and nothing taken, so that it can be read again from its first byte by those who know
// every rule.
//
// It hands on what framing.ReadPlain does not take, and all that the fast path hands
// on, too: routes with limits, reads that ask for freshness, records that memory lacks or that are large. While the
// process drains it answers nothing, since each answer has to end its connection then.
//
// in was read from c, and nothing else of c that is unanswered was. A batch has one reading
// of the clock for its beginning, taken after all of its bytes had come, so that a process that was
// stopped and wakes up serves nothing on an old reading; one for its end; and one pin. It
// allocates nothing, unless a line of the log has to be written.
func (s *Server) Answer(c net.Conn, in, out []byte) (answered int, answers []byte) {
	if s.deps.State() == Draining {
		return 0, out
	}
	sc := s.scratch.Get().(*scratch)
	b := batch{s: s, sc: sc, conn: c, began: time.Now(), out: out, start: len(out)}
	answered = b.answer(in)
	answers = b.out
	s.scratch.Put(sc)
	return answered, answers
}

// Answer is that of the Server which is current; see Server.Answer.
func (w *Reloadable) Answer(c net.Conn, in, out []byte) (answered int, answers []byte) {
	return w.current.Load().Answer(c, in, out)
}

// batch is what Answer works on.
type batch struct {
	s     *Server
	lacks missed
	sc    *scratch
	conn  net.Conn
	began time.Time // the one reading of the clock that all of it is judged by
	out   []byte
	start int // of its answers in out
}

// tally is how many answers of one kind stand one behind the other.
type tally struct {
	metrics *requestMetrics
	code    hitCode
	n       uint64
}

// answer answers what in begins with.
func (b *batch) answer(in []byte) (answered int) {
	// Nothing below recovers. Without its answers the batch takes the way on which a
	// panic is answered with 500.
	defer func() {
		if fault := recover(); fault != nil {
			answered, b.out = 0, b.out[:b.start]
			b.s.deps.Log.Error("a batch of requests panicked", "error", fmt.Sprint(fault), "stack", string(debug.Stack()))
		}
	}()
	answered, sampled := b.answerPinned(in)
	if answered == 0 && b.lacks.route != nil {
		return b.answerMiss(in)
	}
	if answered > 0 {
		elapsed := time.Since(b.began)
		if b.s.config.Slow > 0 && elapsed >= b.s.config.Slow {
			b.out = b.out[:b.start]
			return b.answerLogged(in)
		}
		for _, t := range b.sc.tallies {
			t.metrics.hits(b.sc.stripe, t.code, t.n, elapsed)
		}
	}
	if sampled {
		b.began = time.Now()
		answered += b.answerLogged(in[answered:])
	}
	return answered
}

// answerPinned makes the answers under one pin, and tallies them. sampled says that it ended
// before a request that is to be logged.
func (b *batch) answerPinned(in []byte) (answered int, sampled bool) {
	s, sc := b.s, b.sc
	sc.tallies = sc.tallies[:0]
	date := sc.date.at(b.began)
	pin := s.memory.Pin(uint32(sc.stripe))
	defer pin.Release()
	for answered < len(in) && len(b.out)-b.start < maxBatch {
		var p framing.Plain
		n := framing.ReadPlain(in[answered:], &p)
		if n == 0 {
			break
		}
		route, hit, ttl := b.find(&p)
		if route == nil {
			b.lacks.Plain, b.lacks.length = p, n
			break
		}
		if s.config.AccessSample > 0 && rand.Float64() < s.config.AccessSample {
			return answered, true
		}
		var code hitCode
		b.out, code = s.appendHit(b.out, sc, route.resource, &p, hit, ttl, date, p.RequestID, nil)
		if last := len(sc.tallies) - 1; last >= 0 && sc.tallies[last].metrics == route.metrics && sc.tallies[last].code == code {
			sc.tallies[last].n++
		} else {
			sc.tallies = append(sc.tallies, tally{route.metrics, code, 1})
		}
		answered += n
	}
	return answered, false
}

// find finds the record that p asks for; a nil route says that this way may not answer it.
// The caller holds a pin.
func (b *batch) find(p *framing.Plain) (route *fastRoute, hit cache.View, ttl time.Duration) {
	if b.s.fresh.asking[p.Asks] {
		return nil, hit, 0
	}
	route, raw := b.s.recordAt(p.Target)
	if route == nil || len(route.limits) > 0 || len(p.RequestID) > 0 && !isID(p.RequestID) {
		return nil, hit, 0
	}
	b.sc.buf = route.key.One(b.sc.buf[:0], raw)
	hit, ttl = b.s.memory.Look(route.Resource, b.sc.buf, b.began)
	if !hit.Found() || hit.Large() {
		if !hit.Found() {
			b.lacks.route = route
		}
		return nil, hit, 0
	}
	b.s.refreshIfDue(route, raw, b.sc.buf, hit, ttl)
	return route, hit, ttl
}

// answerLogged answers the first request, which is slow or sampled, and logs it: as the
// fast path does, with an id in the answer by which the line is found.
func (b *batch) answerLogged(in []byte) (answered int) {
	var p framing.Plain
	n := framing.ReadPlain(in, &p)
	id := p.RequestID
	if len(id) == 0 {
		id = []byte(newID())
	}
	at := len(b.out)
	route, code := b.answerOne(&p, id)
	if route == nil {
		return 0 // the record has just left memory
	}
	elapsed := time.Since(b.began)
	route.metrics.hits(b.sc.stripe, code, 1, elapsed)
	b.log(in[:n], &p, at, cache.TierMemory, code, elapsed, id)
	return n
}

// log writes the line of an answer, which stands in out from at on.
func (b *batch) log(request []byte, p *framing.Plain, at int, tier cache.Tier, code hitCode, elapsed time.Duration, id []byte) {
	_, body, _ := bytes.Cut(b.out[at:], endOfHeader)
	var h fasthttp.RequestHeader // of which there is more to tell than of a Plain
	if err := h.Read(bufio.NewReaderSize(bytes.NewReader(request), len(request))); err != nil {
		panic("BUG: a plain request that is none: " + err.Error())
	}
	b.s.logEvent(event{
		header: &h, peer: b.conn.RemoteAddr(), path: pathOf(p.Target), tier: tier, status: code.status(),
		elapsed: elapsed, sent: len(body), id: string(id),
	})
}

// answerOne answers p under a pin of its own.
func (b *batch) answerOne(p *framing.Plain, id []byte) (route *fastRoute, code hitCode) {
	pin := b.s.memory.Pin(uint32(b.sc.stripe))
	defer pin.Release()
	route, hit, ttl := b.find(p)
	if route == nil {
		return nil, 0
	}
	b.out, code = b.s.appendHit(b.out, b.sc, route.resource, p, hit, ttl, b.sc.date.at(b.began), id, nil)
	return route, code
}

var endOfHeader = []byte("\r\n\r\n")
