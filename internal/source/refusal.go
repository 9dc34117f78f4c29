package source

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Keys of the configuration of a resource under which a source may refuse
// something.
const (
	KeySelect     = "select"
	KeySelectMany = "select_many"
	KeyUpsert     = "upsert"
	KeyDelete     = "delete"
	KeyOrigin     = "origin"
	KeyWrites     = "origin_writes"
)

// keys are in the order in which they are documented.
var keys = [...]string{KeySelect, KeySelectMany, KeyUpsert, KeyDelete, KeyOrigin, KeyWrites}

// Refusal is a statement that the source does not take as it is, until an
// operator mends the statement, the schema or a right.
type Refusal struct {
	Resource string // "" for a key of [database]
	Key      string // select, select_many, upsert, delete, origin, origin_writes; init[1]
	Err      error
}

// Refusing is implemented by Records that know what their source refuses.
type Refusing interface {
	Records
	Refusals() []Refusal
}

// RefusalsOf lists what the source refuses of r, as calls and the latest probe
// have met it. It asks nobody.
func RefusalsOf(r Records) []Refusal {
	if r, ok := r.(Refusing); ok {
		return r.Refusals()
	}
	return nil
}

// Refusals keeps what the source refuses of one resource, by key. Calls meet
// refusals, and probes find them. The zero value is empty and ready for use.
type Refusals struct {
	some atomic.Bool // there are any: all that a call which succeeds looks at

	mu    sync.Mutex
	byKey map[string]*refusal
}

type refusal struct {
	err    error
	last   time.Time // when a call met it
	probed bool      // a probe has found it, too, and so can tell when it is gone
}

// refusalLasts is how long a refusal stands after the last call that met it, if no
// probe sees it: such as that of a trigger which lacks a right.
const refusalLasts = time.Minute

// Met notes that a call was refused.
func (r *Refusals) Met(key string, err error) {
	r.change(key, func(f *refusal) *refusal { return &refusal{err, time.Now(), f != nil && f.probed} })
}

// Cleared notes that a call was not refused.
func (r *Refusals) Cleared(key string) {
	if r.some.Load() {
		r.change(key, func(*refusal) *refusal { return nil })
	}
}

// Probed notes what a probe of the statement under key has found; err is nil for
// nothing.
func (r *Refusals) Probed(key string, err error) {
	r.change(key, func(f *refusal) *refusal {
		switch {
		case err != nil && f != nil:
			return &refusal{err, f.last, true}
		case err != nil:
			return &refusal{err: err, probed: true}
		case f != nil && f.probed:
			return nil
		}
		return f
	})
}

// change replaces the refusal under key. Nil stands for none.
func (r *Refusals) change(key string, by func(*refusal) *refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := by(r.byKey[key]); f == nil {
		delete(r.byKey, key)
	} else {
		if r.byKey == nil {
			r.byKey = map[string]*refusal{}
		}
		r.byKey[key] = f
	}
	r.some.Store(len(r.byKey) > 0)
}

// List returns the refusals in the order in which their keys are documented. It
// forgets those that no call has met for long and no probe sees.
func (r *Refusals) List(resource string) (all []Refusal) {
	if !r.some.Load() {
		return nil
	}
	for _, key := range keys {
		r.change(key, func(f *refusal) *refusal {
			if f == nil || !f.probed && time.Since(f.last) > refusalLasts {
				return nil
			}
			all = append(all, Refusal{resource, key, f.err})
			return f
		})
	}
	return all
}

// SpecError is a fault of how a resource is configured.
type SpecError struct{ Resource, Key, Text string }

func (e *SpecError) Error() string {
	return fmt.Sprintf("resource %q: %s: %s", e.Resource, e.Key, e.Text)
}
