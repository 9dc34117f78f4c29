package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"hearth/bench/load"
	"hearth/internal/testkit"
)

// writers is how many sessions change rows at a time, each those whose numbers it alone
// has: one of these many, with those of the client that uses PUT.
const writers = 5

// changing is how others write: sessions of the database's shell that are connected anew
// when the database was away, and one client that uses PUT, whose writes the feed sees, too.
type changing struct {
	*fleet
	*ledger
	wanted  int64        // changed rows
	done    atomic.Int64 // of them
	lost    atomic.Int64 // statements without an answer: they may have committed or not
	puts    atomic.Int64 // acknowledged
	away    atomic.Int64 // how often the database was hurt; odd while it is away
	first   int64        // the version that rows have at most before
	mostRow int64        // rows that one statement changes at most
	pace    time.Duration
}

// begin lets all write until the function that it returns is called.
func (c *changing) begin() (end func()) {
	var ends []func()
	for n := range int64(writers - 1) {
		w := &writer{changing: c, own: n, version: c.first, dice: rand.New(rand.NewPCG(c.seed, uint64(200+n)))}
		ends = append(ends, testkit.Meanwhile(c.fleet.trial, w.run))
	}
	p := &putter{changing: c, version: c.first, dice: rand.New(rand.NewPCG(c.seed, 300))}
	ends = append(ends, testkit.Meanwhile(c.fleet.trial, p.run))
	return func() {
		for _, end := range ends {
			end()
		}
	}
}

// enough tells whether as many rows were changed as wanted.
func (c *changing) enough() bool { return c.done.Load() >= c.wanted }

// writer is one session of the shell.
type writer struct {
	*changing
	own     int64 // the rest of its rows' numbers
	version int64
	dice    *rand.Rand
	session *testkit.Session
}

func (w *writer) run(ctx context.Context) error {
	defer func() {
		if w.session != nil {
			w.session.Close()
		}
	}()
	for ctx.Err() == nil {
		was := w.away.Load()
		err := w.step(ctx)
		switch {
		case err == nil:
			if !testkit.Sleep(ctx, w.changing.pace) {
				return nil
			}
		case ctx.Err() != nil:
			return nil
		case was%2 == 0 && was == w.away.Load():
			return fmt.Errorf("the application's write fails although the database is well: %w", err)
		default:
			w.lost.Add(1)
			w.session = nil
			testkit.Sleep(ctx, 20*time.Millisecond)
		}
	}
	return nil
}

// step changes some rows in one of the ways in which programs do.
func (w *writer) step(ctx context.Context) (err error) {
	if w.session == nil {
		if w.session, err = w.ground.shell(); err != nil {
			return err
		}
	}
	w.version++
	ids := w.some()
	sql := w.statement(ids)
	end := context.AfterFunc(ctx, w.session.Close)
	_, err = w.session.Do(sql)
	end()
	if err != nil {
		return err
	}
	w.commit(w.version, ids...)
	w.done.Add(int64(len(ids)))
	return nil
}

// some are rows of the writer's own: one, or many beside one another.
func (w *writer) some() (ids []int64) {
	n := int64(1)
	if w.dice.IntN(2) == 0 {
		n = 1 + w.dice.Int64N(w.mostRow)
	}
	all := int64(len(w.rows)) / writers
	first := w.dice.Int64N(all)
	for i := first; i < min(first+n, all); i++ {
		ids = append(ids, i*writers+w.own)
	}
	return ids
}

// statement sets rows to the writer's version.
func (w *writer) statement(ids []int64) string {
	list := numbers(ids)
	group := w.dice.IntN(len(w.rows) / groupSize)
	switch w.dice.IntN(8) {
	case 0: // into another group
		return fmt.Sprintf("UPDATE numbers SET v = %d, grp = %d WHERE id IN (%s);", w.version, group, list)
	case 1: // away and back
		return fmt.Sprintf("DELETE FROM numbers WHERE id IN (%s);\nINSERT INTO numbers (id, grp, v) VALUES %s;", list, w.tuples(ids, group))
	case 2: // in one transaction, beside one that is rolled back
		return fmt.Sprintf("BEGIN; UPDATE numbers SET v = -1 WHERE id IN (%s); ROLLBACK;\nBEGIN; UPDATE numbers SET v = %d WHERE id IN (%s);\nSAVEPOINT s; UPDATE numbers SET grp = %d WHERE id IN (%s); ROLLBACK TO SAVEPOINT s; COMMIT;",
			list, w.version, list, group, list)
	case 3: // over what is there
		return strings.TrimSuffix(fmt.Sprintf("INSERT INTO numbers (id, grp, v) VALUES %s %s", w.tuples(ids, group), w.ground.upsert), ";") + ";"
	default:
		return fmt.Sprintf("UPDATE numbers SET v = %d WHERE id IN (%s);", w.version, list)
	}
}

func (w *writer) tuples(ids []int64, group int) string {
	var all []string
	for _, id := range ids {
		all = append(all, fmt.Sprintf("(%d, %d, %d)", id, group, w.version))
	}
	return strings.Join(all, ", ")
}

// numbers is a list of SQL.
func numbers(ids []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(ids), " ", ","), "[]")
}

// putter writes rows by PUT.
type putter struct {
	*changing
	version int64
	dice    *rand.Rand
}

func (p *putter) run(ctx context.Context) error {
	conns := make([]*load.Conn, len(p.ins))
	for i, in := range p.ins {
		conns[i] = load.NewConn(in.Public, load.AnswerWithin)
		defer conns[i].Close()
	}
	for ctx.Err() == nil {
		p.version++
		conn := conns[p.dice.IntN(len(conns))]
		id := p.dice.Int64N(int64(len(p.rows))/writers)*writers + writers - 1
		err := conn.Do(http.MethodPut, fmt.Sprintf("/row/%d", id), fmt.Sprintf(`{"grp":%d,"v":%d}`, id/groupSize, p.version))
		switch code := conn.Answer.StatusCode(); {
		case err != nil:
			p.lost.Add(1)
		case code == http.StatusOK:
			p.commit(p.version, id)
			p.done.Add(1)
			p.puts.Add(1)
		case code < http.StatusInternalServerError:
			return errors.New("a PUT is answered " + conn.Answer.String())
		default:
			p.lost.Add(1)
		}
		testkit.Sleep(ctx, 10*p.changing.pace)
	}
	return nil
}
