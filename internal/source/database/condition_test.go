package database_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/testkit"
)

// TestTwoWritersWhoBothReadFirst: of two that write over the state they have read
// one stores, and the other's condition fails, in each order of their steps that
// the database lets happen. So it is for records that are there, for such as are
// not, and for deletions.
func TestTwoWritersWhoBothReadFirst(t *testing.T) {
	t.Parallel()
	f := func(name, url, query string) {
		t.Run(name, func(t *testing.T) {
			db := open(t, engine.Config{URL: url, MaxConns: 8, Timeout: 20 * time.Second, Init: []string{
				`CREATE TABLE IF NOT EXISTS people (id integer PRIMARY KEY, name varchar(40), age integer)`}})
			spec := byID(query)
			spec.Upsert = `INSERT INTO people (id, name, age) VALUES ({id}, {body.name}, {body.age}) ON CONFLICT (id) DO UPDATE SET name = excluded.name, age = excluded.age`
			if strings.HasPrefix(name, "MariaDB") {
				spec.Upsert = `INSERT INTO people (id, name, age) VALUES ({id}, {body.name}, {body.age}) ON DUPLICATE KEY UPDATE name = VALUES(name), age = VALUES(age)`
			}
			spec.Delete = `DELETE FROM people WHERE id = {id}`
			// As two processes do: within one they would take turns.
			twoWriters(t, [2]source.Records{records(t, db, spec), records(t, db, spec)})
		})
	}
	const plain = `SELECT id, name, age FROM people WHERE id = {id}`
	const group = `SELECT id, max(name) AS name, max(age) AS age FROM people WHERE id = {id} GROUP BY id -- not to be locked`
	pg, maria := testkit.Postgres(t).URL(), testkit.MariaDB(t).URL()
	f("SQLite", "sqlite:"+filepath.Join(t.TempDir(), "two.db"), plain)
	f("PostgreSQL", pg, plain)
	f("PostgreSQL, grouped", pg, group)
	f("MariaDB", maria, plain)
	f("MariaDB, grouped", maria, group)
}

// meeting lets two come together at most once, so that both have judged before
// either writes. Where the database does not let both come so far, the one who
// came waits in vain, and for a moment only.
type meeting struct {
	mu   sync.Mutex
	came int
	both chan struct{}
}

func (m *meeting) come(t *testing.T) {
	m.mu.Lock()
	m.came++
	if m.came == 2 {
		close(m.both)
	}
	m.mu.Unlock()
	select {
	case <-m.both:
	case <-time.After(30 * time.Millisecond): // the database is waited for, not a clock: either outcome is right
	case <-t.Context().Done():
	}
}

func twoWriters(t *testing.T, writers [2]source.Records) {
	t.Helper()
	args := source.Args{int64(1)}
	r := writers[0]
	write := func(ctx context.Context, r source.Records, body string) error {
		var c source.Change
		var err error
		if body == "" {
			c, err = r.Delete(ctx, args)
		} else {
			c, err = r.Put(ctx, args, bodyOf(body))
		}
		if err == nil {
			err = c.Commit(t.Context())
		}
		return err
	}
	f := func(what, state string, bodies [2]string) {
		t.Helper()
		m := &meeting{both: make(chan struct{})}
		var errs [2]error
		var both sync.WaitGroup
		for i, body := range bodies {
			both.Go(func() {
				first := sync.OnceFunc(func() { m.come(t) })
				errs[i] = write(source.Condition(func(record []byte) string {
					first() // a second attempt has met the other already
					if string(record) != state {
						return "changed"
					}
					return ""
				}).In(t.Context()), writers[i], body)
			})
		}
		both.Wait()
		unmet := new(*source.ConditionError)
		if (errs[0] == nil) == (errs[1] == nil) || !errors.As(errors.Join(errs[:]...), unmet) {
			t.Errorf("%s: got %v and %v, want one stored and one condition that failed", what, errs[0], errs[1])
		}
		stored := bodies[0]
		if errs[0] != nil {
			stored = bodies[1]
		}
		got, want := load(t, r, args...), "none"
		if stored != "" {
			want = `{"id":1,` + stored[1:]
		}
		if got != want {
			t.Errorf("%s: the record is %s, want %s", what, got, want)
		}
	}
	const a, b, c = `{"name":"a","age":1}`, `{"name":"b","age":2}`, `{"name":"c","age":3}`
	for range 3 {
		if err := write(t.Context(), r, c); err != nil {
			t.Fatal(err)
		}
		f("two changes", `{"id":1,"name":"c","age":3}`, [2]string{a, b})
		if err := write(t.Context(), r, c); err != nil {
			t.Fatal(err)
		}
		f("a change and a deletion", `{"id":1,"name":"c","age":3}`, [2]string{"", b})
		if err := write(t.Context(), r, ""); err != nil && !errors.Is(err, source.ErrNoRecord) {
			t.Fatal(err)
		}
		f("two creations", "", [2]string{a, b})
	}
}

// TestConditions that fail leave everything as it is, and those that hold change
// nothing about the write.
func TestConditions(t *testing.T) {
	db := open(t, engine.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "c.db"), Demo: true})
	spec := byID(`SELECT id, name FROM users WHERE id = {id}`)
	spec.Upsert = `INSERT INTO users (id, name, city) VALUES ({id}, {body.name}, 'x') ON CONFLICT (id) DO UPDATE SET name = excluded.name`
	spec.Delete = `DELETE FROM users WHERE id = {id}`
	r := records(t, db, spec)
	before := load(t, r, int64(1))
	var seen []string
	ctx := source.Condition(func(record []byte) string { seen = append(seen, string(record)); return "no" }).In(t.Context())
	for _, id := range []int64{1, 5000} {
		var unmet *source.ConditionError
		if _, err := r.Put(ctx, source.Args{id}, bodyOf(`{"name":"x"}`)); !errors.As(err, &unmet) || unmet.Reason != "no" {
			t.Errorf("Put: got %v", err)
		}
		if _, err := r.Delete(ctx, source.Args{id}); !errors.As(err, &unmet) {
			t.Errorf("Delete: got %v", err)
		}
	}
	if want := []string{before, before, "", ""}; len(seen) != 4 || seen[0] != want[0] || seen[1] != want[1] || seen[2] != "" || seen[3] != "" {
		t.Errorf("the condition saw %q, want %q", seen, want)
	}
	if got := load(t, r, int64(1)); got != before || load(t, r, int64(5000)) != "none" {
		t.Errorf("the record is %s, want %s", got, before)
	}
	if _, ok := r.(source.Conditional); !ok {
		t.Error("a table does not say that it takes conditions")
	}
}
