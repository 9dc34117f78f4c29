package outbox_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
)

// TestMySQLDoneLocksNoGap: another instance has deleted the rows already. Deleting them
// again must not keep the application's triggers from inserting.
func TestMySQLDoneLocksNoGap(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	o.watch("users", "id", "")
	err := o.DoneAnd(o.ctx(), []int64{1, 2, 100, 1 << 40}, func() {
		if out, err := o.client("", `SET SESSION innodb_lock_wait_timeout = 5; INSERT INTO users VALUES (1)`).CombinedOutput(); err != nil {
			t.Errorf("a write beside it: %v: %s", err, out)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	o.expect("the insert", ids(1)...)
}

// TestMySQLReadsTheLatest, whatever the URL and the server say of sessions.
func TestMySQLReadsTheLatest(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	o.watch("users", "id", "")
	old := &myOutbox{open(t, o.db.URL()+"?autocommit=0&tx_isolation=%27REPEATABLE-READ%27&%40%40autocommit=0"), t, o.db}
	old.expect("nothing yet")
	for id := range 3 {
		old.after(fmt.Sprintf(`INSERT INTO users VALUES (%d)`, id), ids(id)...)
	}
	o.expect("what another has drained")
}

// TestMySQLKeeps rows that were handled for a while.
func TestMySQLKeeps(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	o.watch("users", "id", "")
	o.db.Exec(`INSERT INTO users VALUES (1), (2), (3)`)
	rows, err := o.Read(o.ctx(), 0, 10)
	if err != nil || len(rows) != 3 {
		t.Fatalf("got %v, %v", rows, err)
	}
	for range 2 {
		if err := o.Keep(o.ctx(), []int64{rows[0].ID, rows[1].ID}); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := o.Kept(o.ctx(), rows[0].ID, 10)
	if err != nil || len(kept) != 1 || string(kept[0].Data) != string(rows[1].Data) || kept[0].Set != rows[1].Set {
		t.Errorf("kept %v, %v", kept, err)
	}
	o.expect("the third", ids(3)...)
	for age, want := range map[time.Duration]int{time.Hour: 2, 0: 0} {
		if age == 0 {
			o.db.Exec(`UPDATE hearth_kept SET kept_at = kept_at - INTERVAL 1 SECOND`)
		}
		if err := o.Expire(o.ctx(), age); err != nil {
			t.Fatal(err)
		}
		if kept, err = o.Kept(o.ctx(), 0, 10); err != nil || age > 0 && len(kept) > 2 || age == 0 && len(kept) != want {
			t.Errorf("after %v %d are kept: %v", age, len(kept), err)
		}
	}
}

// TestMySQLBeat: one fleet drains, another waits until it is silent. Rows of nobody's
// trigger are told as they are.
func TestMySQLBeat(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	o.watch("users", "id", "")
	beat := func(fleet string, patience time.Duration) outbox.Pulse {
		t.Helper()
		p, err := o.Beat(o.ctx(), outbox.Beat{Fleet: fleet, Instance: "i", Patience: patience})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := beat("one", time.Hour); !p.Held || p.Number != 1 || p.Before != "" || !strings.Contains(p.Server, "/data") {
		t.Errorf("the first beat: %+v", p)
	}
	if p := beat("two", time.Hour); p.Held || p.Fleet != "one" || p.Number != 1 || p.Before != p.Server {
		t.Errorf("another fleet: %+v", p)
	}
	if p := beat("two", 0); !p.Held || p.Fleet != "two" || p.Number != 2 {
		t.Errorf("a fleet without patience: %+v", p)
	}
	if d, err := o.Drainer(o.ctx()); err != nil || d.Fleet != "two" || d.Number != 2 {
		t.Errorf("the drainer is %+v, %v", d, err)
	}
	if err := o.Canary(o.ctx()); err != nil {
		t.Fatal(err)
	}
	if err := o.Flush(o.ctx(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	rows, err := o.Read(o.ctx(), 0, 10)
	if err != nil || len(rows) != 2 || rows[0].Set != outbox.Canary || rows[0].Data != nil || rows[1].Set != outbox.Flush || string(rows[1].Data) != `["a","b"]` {
		t.Errorf("got %+v, %v", rows, err)
	}
	for _, r := range rows {
		if r.Age < 0 || r.Age > time.Minute {
			t.Errorf("a row is %v old", r.Age)
		}
	}
}

// TestMySQLExchange: while triggers are put in the place of others, every write is told.
func TestMySQLExchange(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20))`)
	o.watch("users", "id", "")
	writer, err := sql.Open("mysql", "root@tcp("+o.db.Addr()+")/"+o.db.Text("SELECT DATABASE()"))
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := writer.Exec("INSERT INTO users (id) VALUES (?)", n); err != nil {
				t.Error(err)
				return
			}
			n++
		}
	}()
	for i := range 4 {
		s := setOn("users", "id name", "")
		if i%2 == 1 {
			s = setOn("users", "name id", "")
		}
		script, err := o.Plan(o.ctx(), []outbox.Set{s}, outbox.Options{Prune: true})
		if err == nil {
			err = o.Apply(o.ctx(), script)
		}
		if err != nil {
			t.Error(err)
		}
	}
	close(stop)
	n := <-written
	told := strings.Join(o.told(), " ") + " "
	for id := range n {
		if !strings.Contains(told, fmt.Sprintf(`"id":%d,`, id)) && !strings.Contains(told, fmt.Sprintf(`"id":%d}`, id)) {
			t.Fatalf("of %d writes the one of %d was not told", n, id)
		}
	}
	if names := o.triggerNames(); len(names) != 3 || n == 0 {
		t.Errorf("%d writes under the triggers %v", n, slices.Compact(names))
	}
}
