package feed

import (
	"encoding/json"
	"errors"
	"reflect"

	"hearth/internal/source/outbox"
)

// learn reads what rows mean, after the rows.
func (d *drainer) learn(rows []outbox.Row) error {
	captured := false
	for _, r := range rows {
		captured = captured || r.Set > 0 || r.Set == outbox.Flush
	}
	if !captured {
		return nil
	}
	ctx, cancel := d.within()
	defer cancel()
	sets, err := d.cfg.Outbox.Sets(ctx)
	if err != nil {
		return err
	}
	if d.templates != nil && reflect.DeepEqual(sets, d.sets) {
		return nil
	}
	d.sets = sets
	d.templates, d.broken = map[int32][]*template{}, map[int32]error{}
	for _, s := range sets {
		d.templates[s.ID] = nil
		for _, m := range s.Meanings {
			t, err := newTemplate(m)
			if err != nil {
				d.broken[s.ID] = err
				continue
			}
			d.templates[s.ID] = append(d.templates[s.ID], t)
		}
	}
	return nil
}

// gather adds what a row means.
func (d *drainer) gather(c *changes, r *outbox.Row) error {
	if r.Set == outbox.Flush {
		return d.gatherFlush(c, r)
	}
	templates, known := d.templates[r.Set]
	var changed []map[string]json.RawMessage
	switch {
	case !known || d.broken[r.Set] != nil:
		d.cfg.Log.Error("the outbox has a row that this program does not understand; all watched records are removed", "row", r.ID, "watch", r.Set, "error", d.broken[r.Set])
		d.Unknown.Add(1)
		d.allOf(c)
		return nil
	case r.Data == nil:
		d.Flushed.Add(1)
		for _, t := range templates {
			c.all(t)
		}
		return nil
	case json.Unmarshal(r.Data, &changed) != nil:
		d.cfg.Log.Error("the outbox has a row that this program does not understand; the records that it concerns are removed", "row", r.ID, "watch", r.Set)
		d.Unknown.Add(1)
		for _, t := range templates {
			c.all(t)
		}
		return nil
	}
	d.Drained.Add(1)
	for _, t := range templates {
		if err := d.gatherOf(c, t, r, changed); err != nil {
			return err
		}
	}
	return nil
}

// maxQueries bounds the questions of one row of the outbox: beyond it the answer is
// "all of them".
const maxQueries = 200

// gatherOf adds what changed rows mean to one resource.
func (d *drainer) gatherOf(c *changes, t *template, r *outbox.Row, changed []map[string]json.RawMessage) error {
	if c.whole[t.Key] != nil && (t.All || t.Keys != "") {
		return nil // all of it goes already
	}
	if t.Keys != "" && len(changed) > maxQueries {
		c.all(t)
		return nil
	}
	ctx, cancel := d.within()
	defer cancel()
	for _, row := range changed {
		keys, err := t.keysOf(ctx, d.cfg.Outbox, row)
		switch {
		case errors.Is(err, errEverything):
			c.all(t)
			return nil
		case err != nil && d.life.Err() == nil && ctx.Err() == nil:
			// The query is refused, or meets data that it does not like: it would be again.
			d.cfg.Log.Error("asking which records a change concerns; all of the resource are removed", "resource", t.Resource, "error", err)
			c.all(t)
			return nil
		case err != nil:
			return err
		}
		for _, key := range keys {
			c.add(key, r.Writer)
		}
	}
	return nil
}

// gatherFlush adds resources that somebody wants to be removed.
func (d *drainer) gatherFlush(c *changes, r *outbox.Row) error {
	var names []string
	if json.Unmarshal(r.Data, &names) != nil {
		d.allOf(c)
		return nil
	}
	d.Flushed.Add(1)
	for _, t := range d.known() {
		for _, name := range names {
			if t.Resource == name {
				c.all(t)
			}
		}
	}
	return nil
}
