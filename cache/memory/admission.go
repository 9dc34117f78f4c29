package memory

import (
	"math/bits"
	"sync/atomic"
)

// admission decides which records a full partition keeps that it lacks: those whose key was
// missed before, not long ago. A record that is asked for once never gets in, so a scan
// displaces nothing. It is the ghost queue of S3-FIFO (Yang et al., "FIFO queues are all
// you need for cache eviction", SOSP 2023) without the small queue in front of it: what
// would pass through there is read by a command that tracks nothing, and not kept at all.
// TinyLFU (Einziger, Friedman and Manes, 2017) counts every request, hits too, in a larger
// sketch, and answers about as many of them; see docs/benchmarks.md.
//
// What was missed is remembered as a fingerprint of 16 bits. Four make a word, whose oldest
// one gives way to a new one. So a key is forgotten when four others of its word were
// missed since: with a fingerprint for each record that is kept, after as many misses as
// records are kept, on average. One key in some 16,000 is taken for another that was missed.
//
// Who asks takes no lock.
type admission struct {
	// full is set when a record had to make room for another. Room that an eviction leaves
	// does not unset it, or whatever comes next would be let in: only memory that has
	// emptied does, by changes or by a larger budget.
	full   atomic.Bool
	held   int64                           // bytes of records when it was full the last time; of the partition's lock
	missed atomic.Pointer[[]atomic.Uint64] // nil until somebody asks while it is full
}

const (
	printBits = 16
	prints    = 64 / printBits // per word
	leastMiss = 16             // words
)

// admits tells whether a record that the partition lacks would be kept, and notes that its
// key was missed.
func (p *partition) admits(hash uint64) bool {
	if !p.admission.full.Load() {
		return true
	}
	if p.admission.missed.Load() == nil {
		p.mu.Lock()
		p.taken += p.admission.fit(p.count)
		p.keepBudget()
		p.mu.Unlock()
	}
	return p.admission.miss(hash)
}

// miss notes a miss, and tells whether one of the same key was noted before.
func (a *admission) miss(hash uint64) bool {
	missed := a.missed.Load()
	if missed == nil {
		return true
	}
	// The partition's keys have bits of the hash in common: the upper bits of a product
	// depend on all of them. The fingerprint is the same however many words there are.
	word, print := placeOf(*missed, hash)
	for {
		was := word.Load()
		if remembers(was, print) {
			return true
		}
		if word.CompareAndSwap(was, was<<printBits|print) {
			return false
		}
	}
}

// placeOf is the word of a key, and its fingerprint.
func placeOf(missed []atomic.Uint64, hash uint64) (word *atomic.Uint64, print uint64) {
	hash *= 0x9e3779b97f4a7c15
	bucket, _ := bits.Mul64(hash, uint64(len(missed)))
	return &missed[bucket], max(hash>>printBits&(1<<printBits-1), 1) // 0: there is none
}

// remembers tells whether a word has a fingerprint.
func remembers(word, print uint64) bool {
	for ; word != 0; word >>= printBits {
		if word&(1<<printBits-1) == print {
			return true
		}
	}
	return false
}

// wouldAdmit is admits that changes nothing.
func (p *partition) wouldAdmit(hash uint64) bool {
	missed := p.admission.missed.Load()
	if !p.admission.full.Load() || missed == nil {
		return !p.admission.full.Load()
	}
	word, print := placeOf(*missed, hash)
	return remembers(word.Load(), print)
}

// changed notes that a record was dropped that somebody has changed: the first read after a
// write finds its place again, without a second miss.
func (a *admission) changed(hash uint64) {
	if a.full.Load() {
		a.miss(hash)
	}
}

// filled notes that a record has to make room. held are the bytes of all records before.
func (a *admission) filled(held int64) {
	a.held = held
	if !a.full.Load() {
		a.full.Store(true)
	}
}

// left notes that a record has gone. held are the bytes of those that are there.
func (a *admission) left(held int64) {
	if held < a.held-a.held/8 && a.full.Load() {
		a.full.Store(false)
	}
}

// fits tells whether there are about as many fingerprints as records.
func (a *admission) fits(records int) bool {
	missed := a.missed.Load()
	if missed == nil {
		return true
	}
	has, want := len(*missed), max(records/prints, leastMiss)
	return want <= has+has/4 && want >= has/2
}

// fit makes as many fingerprints as there are records, and returns by how many bytes their
// memory grows. What is remembered moves along, about. What is noted meanwhile may be lost.
func (a *admission) fit(records int) int64 {
	before := a.bytes()
	next := make([]atomic.Uint64, max(records/prints, leastMiss))
	if missed := a.missed.Load(); missed != nil {
		for i := range next {
			next[i].Store((*missed)[(2*i+1)*len(*missed)/(2*len(next))].Load())
		}
	}
	a.missed.Store(&next)
	return a.bytes() - before
}

// bytes is the memory of the fingerprints.
func (a *admission) bytes() int64 {
	if missed := a.missed.Load(); missed != nil {
		return 8 * int64(cap(*missed))
	}
	return 0
}

// Admits tells whether a record of this key, which memory lacks, would be kept if it were
// read now, and counts that it was asked for. While memory is not full, every record is.
func (s *Store) Admits(key string) bool {
	admits := s.entries.admits(HashKey(key))
	if !admits {
		s.notAdmitted.Add(1)
	}
	return admits
}

// WouldAdmit is Admits that counts nothing, and remembers nothing of the key.
func (s *Store) WouldAdmit(key string) bool { return s.entries.wouldAdmit(HashKey(key)) }

// NotAdmitted is how many reads memory has been told of whose records it would not keep.
func (s *Store) NotAdmitted() int64 { return s.notAdmitted.Load() }
