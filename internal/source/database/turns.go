package database

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"hearth/internal/source"
)

// turns has writes of this process to one record take turns, where the database would
// not have them wait but would refuse all of them but one. Of a hundred that have read
// the record at once, ninety-nine would be done again, at once again. What another
// process writes is met by the database alone.
//
// Only writes that look at the record before they change it take turns from the start,
// and others from when the database has refused them in favour of another transaction:
// those that do not collide must not wait.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn // of records that somebody writes or waits for
}

type turn struct {
	taken chan struct{} // of one
	users int           // who have it or wait for it; guarded by turns.mu
}

// take waits for the turn of a record, as long as ctx allows. The result gives it back,
// and may be called more than once.
func (t *turns) take(ctx context.Context, args source.Args) (end func(), err error) {
	var key strings.Builder
	for _, arg := range args {
		fmt.Fprintf(&key, "%q ", fmt.Sprint(arg))
	}
	of := t.join(key.String())
	select {
	case of.taken <- struct{}{}:
	case <-ctx.Done():
		t.leave(key.String())
		return nil, fmt.Errorf("waiting for another write to the same record: %w", ctx.Err())
	}
	return sync.OnceFunc(func() {
		<-of.taken
		t.leave(key.String())
	}), nil
}

func (t *turns) join(key string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.keys[key]
	if of == nil {
		if t.keys == nil {
			t.keys = map[string]*turn{}
		}
		of = &turn{taken: make(chan struct{}, 1)}
		t.keys[key] = of
	}
	of.users++
	return of
}

func (t *turns) leave(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if of := t.keys[key]; of.users > 1 {
		of.users--
	} else {
		delete(t.keys, key)
	}
}
