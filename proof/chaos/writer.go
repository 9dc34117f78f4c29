package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// writer writes the records of its own slots, in one of the ways there are:
// through either instance, and to Redis past both.
type writer struct {
	*harness
	first int // its slots: first, first+writers, …
	rand  *rand.Rand
	conn  *testkit.RedisConn // nil until needed, and after an error
	links [instances]*load.Conn
}

func newWriter(r *harness, first int, rand *rand.Rand) *writer {
	w := &writer{harness: r, first: first, rand: rand}
	for i := range w.links {
		w.links[i] = load.NewConn(r.hearths[i].Public, answerWithin)
	}
	return w
}

func (w *writer) run(ctx context.Context) error {
	defer w.close()
	for ctx.Err() == nil {
		w.writing.RLock() // locked while keys are given up
		err := w.write(ctx)
		w.writing.RUnlock()
		if err != nil {
			return err
		}
		if !testkit.Sleep(ctx, time.Duration(w.rand.IntN(1000))*time.Microsecond) {
			return nil
		}
	}
	return nil
}

func (w *writer) close() {
	if w.conn != nil {
		w.conn.Close()
	}
	for _, link := range w.links {
		link.Close()
	}
}

// write writes one record, or now and then removes one. The beginning is noted before
// anything is sent and the acknowledgement after it has come, so what a reader must be
// shown is never more than what stands. A slot whose record's state is unknown gets a
// new one.
func (w *writer) write(ctx context.Context) error {
	resource := w.rand.IntN(resources)
	slots := w.records.slots[resource]
	slot := w.first + w.writers*choose(w.rand, (len(slots)-w.first+w.writers-1)/w.writers)
	rec := slots[slot].Load()
	published := rec != nil
	if !published {
		rec = w.records.fresh(resource)
	}
	if published && w.rand.IntN(20) == 0 {
		if w.remove(rec) != nil {
			w.records.giveUp(resource, slot)
		}
		return nil
	}
	version, begun, instance := rec.Latest()+1, w.records.checker.Now(), -1
	known := false
	var err error
	switch way := w.rand.IntN(4); {
	case resource == row:
		instance = way % instances
		known, err = w.request(ctx, instance, http.MethodPut, "/row/"+strconv.FormatInt(rec.id, 10), body(rec, version))
	case way < instances:
		instance = way
		known, err = w.request(ctx, instance, http.MethodPost, "/store", "["+body(rec, version)+"]")
	default: // past both instances
		known = w.ask("SET", rec.Name, body(rec, version)) == nil
	}
	if err != nil {
		return err
	}
	if !known {
		w.records.giveUp(resource, slot)
		return nil
	}
	rec.Acknowledge(begun, w.records.checker.Now(), instance)
	w.writes.Add(1)
	if !published {
		slots[slot].Store(rec)
	}
	return nil
}

func body(rec *record, version int64) string {
	return `{"id":` + strconv.FormatInt(rec.id, 10) + `,"v":` + strconv.FormatInt(version, 10) + `}`
}

// request sends one write and waits for its answer as long as it takes: a
// write that was given up could take effect later, behind newer ones. False: nobody
// knows whether it stands.
func (w *writer) request(ctx context.Context, instance int, method, path, text string) (bool, error) {
	link := w.links[instance]
	err := link.Do(method, path, text)
	switch code := link.Answer.StatusCode(); {
	case err != nil && ctx.Err() != nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("writing through instance %d: %w", instance+1, err)
	case code < http.StatusInternalServerError && code != http.StatusOK:
		return false, fmt.Errorf("instance %d refuses %s %s: %d %q", instance+1, method, path, code, link.Answer.Body())
	default:
		return code == http.StatusOK && !strings.Contains(string(link.Answer.Body()), "partial"), nil
	}
}

// remove deletes a key in Redis past both instances; a row stays in the database.
func (w *writer) remove(rec *record) error {
	rec.removed.Store(int64(forever))
	err := w.ask("DEL", rec.Name)
	rec.removed.Store(int64(w.records.checker.Now()))
	return err
}

// ask asks Redis, over a connection that is kept until an error. It waits for the answer
// longer than Redis is ever frozen.
func (w *writer) ask(args ...string) (err error) {
	if w.conn == nil {
		if w.conn, err = w.redis.Dial(); err != nil {
			w.conn = nil
			return err
		}
	}
	if _, err = w.conn.Try(args...); err != nil {
		w.conn.Close()
		w.conn = nil
	}
	return err
}
