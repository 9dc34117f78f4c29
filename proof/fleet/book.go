package main

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// book knows which versions of the pages were acknowledged, by whom and when, and
// judges answers by it. Times are nanoseconds since it was opened.
type book struct {
	opened    time.Time
	allowance int64 // how old an answer of an instance may be that did not take the PUT
	pages     []page
	newest    atomic.Int32 // the page that was written last, by its place

	behind [len(lateness) + 1]atomic.Int64 // unmarked answers older than a version acknowledged before, by how long before
	worst  atomic.Int64                    // the longest of these times

	mu       sync.Mutex
	broken   int64 // older than what the asked instance itself had acknowledged
	late     int64 // older than the allowance allows
	examples []string
}

// lateness are the upper bounds of the classes of delay.
var lateness = [...]time.Duration{time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond}

// examplesShown bounds how many violations are told in words.
const examplesShown = 10

// page is the history of one record. It begins with version 0, which everybody knows;
// one client at a time writes it, so version v was acknowledged at acked[v-1].
type page struct {
	id     int
	latest atomic.Int64            // the latest acknowledged version
	own    [instances]atomic.Int64 // the latest that this instance acknowledged
	lost   atomic.Bool             // a write has failed: nobody can say what it must be

	mu    sync.Mutex
	acked []int64
}

func newBook(pages int, allowance time.Duration) *book {
	b := &book{opened: time.Now(), allowance: int64(allowance), pages: make([]page, pages)}
	for i := range b.pages {
		b.pages[i].id = i + 1
	}
	return b
}

func (p *page) path() string { return "/page/" + strconv.Itoa(p.id) }

func (b *book) now() int64 { return int64(time.Since(b.opened)) }

// ack notes that an instance has acknowledged the next version of a page.
func (b *book) ack(p *page, instance int) {
	at := b.now()
	p.mu.Lock()
	p.acked = append(p.acked, at)
	version := int64(len(p.acked))
	p.mu.Unlock()
	p.own[instance].Store(version)
	p.latest.Store(version)
	b.newest.Store(int32(p.id - 1))
}

// question is one read under way, with what had been acknowledged when it was sent.
type question struct {
	page        *page
	instance    int
	latest, own int64
	sent        int64
}

func (b *book) ask(p *page, instance int) question {
	return question{page: p, instance: instance, own: p.own[instance].Load(), latest: p.latest.Load(), sent: b.now()}
}

// judge checks an unmarked answer.
func (b *book) judge(q question, version int64) {
	if version >= q.latest || q.page.lost.Load() {
		return
	}
	q.page.mu.Lock()
	late := q.sent - q.page.acked[version] // a newer one was acknowledged so long before
	q.page.mu.Unlock()
	b.delayed(late)
	if version >= q.own && late <= b.allowance {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if version < q.own {
		b.broken++
	} else {
		b.late++
	}
	if len(b.examples) < examplesShown {
		b.examples = append(b.examples, fmt.Sprintf("page %d on instance %d: version %d, acknowledged before by it %d, by anybody %d, newer since %v",
			q.page.id, q.instance+1, version, q.own, q.latest, time.Duration(late)))
	}
}

func (b *book) delayed(d int64) {
	class := 0
	for class < len(lateness) && d > int64(lateness[class]) {
		class++
	}
	b.behind[class].Add(1)
	for was := b.worst.Load(); d > was && !b.worst.CompareAndSwap(was, d); was = b.worst.Load() {
	}
}
