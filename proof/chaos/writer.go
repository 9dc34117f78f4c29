package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"hearth/internal/testkit"
)

// writer writes the records of its own slots, in one of the ways there are:
// through either instance, and to Redis past both.
type writer struct {
	*harness
	first   int // its slots: first, first+writers, …
	rand    *rand.Rand
	outside outsider // nil: nobody else may use what the instances share
	links   []*link
}

func newWriter(r *harness, first int, rand *rand.Rand) *writer {
	w := &writer{harness: r, first: first, rand: rand, outside: r.engine.outside()}
	for i := range r.hearths {
		w.links = append(w.links, r.connect(i))
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
	if w.outside != nil {
		w.outside.Close()
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
	if resource == free && w.losing.Load() {
		return nil
	}
	slots := w.records.slots[resource]
	slot := w.first + w.writers*choose(w.rand, (len(slots)-w.first+w.writers-1)/w.writers)
	rec := slots[slot].Load()
	published := rec != nil
	if !published {
		rec = w.records.fresh(resource)
	}
	if published && w.outside != nil && w.rand.IntN(20) == 0 {
		if w.remove(rec) != nil {
			w.records.giveUp(resource, slot)
		}
		return nil
	}
	version, begun := rec.Latest()+1, w.records.checker.Now()
	instance, known, err := w.send(ctx, rec, version)
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

// send sends one write on one of its ways: through any instance, or past all of them.
// It returns the instance that has acknowledged it, or -1; not known: nobody can say
// whether it stands.
func (w *writer) send(ctx context.Context, rec *record, version int64) (instance int, known bool, err error) {
	id, way := strconv.FormatInt(rec.id, 10), w.rand.IntN(2*w.instances)
	switch {
	case rec.resource == row && w.foreign && way < w.instances:
		w.outside.(changer).change(rec.id, version)
		return -1, w.outside.Del(rec.Name) == nil, nil
	case rec.resource == row:
		instance = way % w.instances
		known, err = w.request(ctx, instance, http.MethodPut, "/row/"+id, body(rec, version))
	case way < w.instances || w.outside == nil:
		instance = way % w.instances
		known, err = w.request(ctx, instance, http.MethodPost, "/store", "["+body(rec, version)+"]")
	default:
		return -1, w.outside.Set(rec.Name, body(rec, version)) == nil, nil
	}
	return instance, known, err
}

func body(rec *record, version int64) string {
	return `{"id":` + strconv.FormatInt(rec.id, 10) + `,"v":` + strconv.FormatInt(version, 10) + `}`
}

// request sends one write and waits for its answer as long as it takes: a
// write that was given up could take effect later, behind newer ones. False: nobody
// knows whether it stands.
func (w *writer) request(ctx context.Context, instance int, method, path, text string) (bool, error) {
	link := w.links[instance]
	link.begin()
	err := link.Do(method, path, text)
	switch code := link.Answer.StatusCode(); {
	case err != nil && (ctx.Err() != nil || link.excused()):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("writing through instance %d: %w", instance+1, err)
	case code >= http.StatusMultipleChoices && code < http.StatusInternalServerError:
		return false, fmt.Errorf("instance %d refuses %s %s: %d %q", instance+1, method, path, code, link.Answer.Body())
	default:
		return (code == http.StatusOK || code == http.StatusNoContent) && !strings.Contains(string(link.Answer.Body()), "partial"), nil
	}
}

// remove deletes a key past the instances; a row stays in the source.
func (w *writer) remove(rec *record) error {
	rec.removed.Store(int64(forever))
	err := w.outside.Del(rec.Name)
	rec.removed.Store(int64(w.records.checker.Now()))
	return err
}
