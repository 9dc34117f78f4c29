package source

import (
	"sync"
	"sync/atomic"
	"time"
)

// Keys of the configuration under which statements stand.
const (
	keySelect     = "select"
	keySelectMany = "select_many"
	keyUpsert     = "upsert"
	keyDelete     = "delete"
	keyOrigin     = "origin"
)

var statementKeys = [...]string{keySelect, keySelectMany, keyUpsert, keyDelete}

// Refusal is a statement that the database does not take as it is, until an
// operator mends the statement, the schema or a right.
type Refusal struct {
	Resource string // "" for a key of [database]
	Key      string // select, select_many, upsert, delete, origin; init[1]
	Err      error
}

// refusals are those of one resource: met by calls, or found by a probe.
type refusals struct {
	some atomic.Bool // whether there are any: all that a call which succeeds looks at

	mu    sync.Mutex
	byKey map[string]*refusal
}

type refusal struct {
	err    error
	last   time.Time // when a call met it
	probed bool      // a probe has found it, too, and so can tell when it is gone
}

// refusalLasts is how long a refusal stands that calls meet and no probe sees,
// after the last call: such as that of a trigger which lacks a right.
const refusalLasts = time.Minute

func (r *refusals) at(key string) *refusal {
	if r.byKey == nil {
		r.byKey = map[string]*refusal{}
	}
	if r.byKey[key] == nil {
		r.byKey[key] = &refusal{}
	}
	r.some.Store(true)
	return r.byKey[key]
}

func (r *refusals) drop(key string) {
	delete(r.byKey, key)
	r.some.Store(len(r.byKey) > 0)
}

// met is for a call that was refused.
func (r *refusals) met(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.at(key)
	f.err, f.last = err, time.Now()
}

// heard is for a call that was not.
func (r *refusals) heard(key string) {
	if !r.some.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(key)
}

// probed is for a probe of the statement under key; err is nil if it found
// nothing.
func (r *refusals) probed(key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch f := r.byKey[key]; {
	case err != nil:
		f = r.at(key)
		f.err, f.probed = err, true
	case f != nil && f.probed:
		r.drop(key)
	}
}

// list forgets what no call has met for long and no probe sees. It is in the order in which the keys are documented.
func (r *refusals) list(resource string) (all []Refusal) {
	if !r.some.Load() {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range append(statementKeys[:], keyOrigin) {
		switch f := r.byKey[key]; {
		case f == nil:
		case !f.probed && time.Since(f.last) > refusalLasts:
			r.drop(key)
		default:
			all = append(all, Refusal{resource, key, f.err})
		}
	}
	return all
}
