package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"hearth/bench/resp"
)

// writer writes the records of its own places, in one of the ways there are:
// through either instance, and to Redis past both.
type writer struct {
	book    *book
	fleet   *fleet
	first   int // its places: first, first+step, …
	step    int
	rand    *rand.Rand
	redis   *resp.Conn // nil until needed, and after an error
	links   [instances]*link
	written *atomic.Int64
}

func (w *writer) run(ctx context.Context) error {
	defer w.close()
	for ctx.Err() == nil {
		w.fleet.gate.RLock() // closed while keys are given up
		err := w.write(ctx)
		w.fleet.gate.RUnlock()
		if err != nil {
			return err
		}
		if !pause(ctx, time.Duration(w.rand.IntN(1000))*time.Microsecond) {
			return nil
		}
	}
	return nil
}

func (w *writer) close() {
	if w.redis != nil {
		w.redis.Close()
	}
	for _, l := range w.links {
		if l != nil {
			_ = l.conn.Close()
		}
	}
}

// write writes one record. A place whose record's state is unknown gets a new one.
func (w *writer) write(ctx context.Context) error {
	resource := w.rand.IntN(resources)
	places := w.book.shelves[resource].places
	mine := (len(places) - w.first + w.step - 1) / w.step
	x := w.rand.Float64()
	place := w.first + w.step*int(x*x*float64(mine))
	rec := places[place].Load()
	published := rec != nil
	if !published {
		rec = w.book.fresh(resource)
	}
	if published && w.rand.IntN(20) == 0 {
		if w.remove(rec) != nil {
			w.book.giveUp(resource, place)
		}
		return nil
	}
	version, begun, instance := rec.next(), w.book.now(), -1
	known := false
	var err error
	switch way := w.rand.IntN(4); {
	case resource == row:
		instance = way % instances
		known, err = w.put(ctx, instance, rec, version)
	case way < instances:
		instance = way
		known, err = w.batch(ctx, instance, rec, version)
	default:
		known = w.set(rec, version) == nil
	}
	if err != nil {
		return err
	}
	if !known {
		w.book.giveUp(resource, place)
		return nil
	}
	rec.ack(begun, w.book.now(), instance)
	w.written.Add(1)
	if !published {
		w.book.publish(place, rec)
	}
	return nil
}

func body(rec *record, version int64) string {
	return `{"id":` + strconv.FormatInt(rec.id, 10) + `,"v":` + strconv.FormatInt(version, 10) + `}`
}

func key(rec *record) string {
	return resourceNames[rec.resource] + ":" + strconv.FormatInt(rec.id, 10)
}

// put writes a row through an instance; false: nobody knows whether it stands.
func (w *writer) put(ctx context.Context, instance int, rec *record, version int64) (bool, error) {
	path := "/row/" + strconv.FormatInt(rec.id, 10)
	return w.request(ctx, instance, http.MethodPut, path, body(rec, version))
}

func (w *writer) batch(ctx context.Context, instance int, rec *record, version int64) (bool, error) {
	return w.request(ctx, instance, http.MethodPost, "/store", "["+body(rec, version)+"]")
}

// request sends one write and waits for its answer as long as it takes: a
// write that was given up could take effect later, behind newer ones.
func (w *writer) request(ctx context.Context, instance int, method, path, text string) (bool, error) {
	l := w.links[instance]
	if l == nil {
		var err error
		if l, err = dialHTTP(w.fleet.hearths[instance].addr); err != nil {
			return false, fmt.Errorf("connecting to instance %d: %w", instance+1, err)
		}
		w.links[instance] = l
	}
	l.out = fmt.Appendf(l.out, "%s %s HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", method, path, len(text), text)
	var r response
	err := l.flush()
	if err == nil {
		err = l.read(&r)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("writing through instance %d: %w", instance+1, err)
	case r.code < 500 && r.code != http.StatusOK:
		return false, fmt.Errorf("instance %d refuses %s %s: %d %q", instance+1, method, path, r.code, r.body)
	}
	return r.code == http.StatusOK && !strings.Contains(string(r.body), "partial"), nil
}

// set writes a free record past both instances.
func (w *writer) set(rec *record, version int64) error {
	_, err := w.do("SET", key(rec), body(rec, version))
	return err
}

// remove deletes a key in Redis past both instances; a row stays in the database.
func (w *writer) remove(rec *record) error {
	rec.removal(forever)
	_, err := w.do("DEL", key(rec))
	rec.removal(w.book.now())
	return err
}

// do asks Redis. It waits for the answer longer than any fault lasts: Redis may be
// frozen, and a command that was given up could still take effect later.
func (w *writer) do(args ...string) (answer string, err error) {
	if w.redis == nil {
		w.redis, err = resp.Dial(w.fleet.redis.addr, answerWithin)
	} else {
		err = w.redis.Renew()
	}
	if err == nil {
		answer, err = w.redis.Do(args...)
	}
	if err != nil && w.redis != nil {
		w.redis.Close()
		w.redis = nil
	}
	return answer, err
}
