package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// myOutbox is an outbox on MariaDB, and what a test does with it.
type myOutbox struct {
	*outbox.Outbox
	t  *testing.T
	db *testkit.Database
}

// newMyOutbox opens the outbox of a database of the test's own.
func newMyOutbox(t *testing.T, schema string) *myOutbox {
	t.Helper()
	return openMyOutbox(t, testkit.MariaDB(t), schema)
}

func openMyOutbox(t *testing.T, db *testkit.Database, schema string) *myOutbox {
	t.Helper()
	if schema != "" {
		db.Exec(schema)
	}
	return &myOutbox{open(t, db.URL()), t, db}
}

// openAs opens it as another account, that logs in without a password.
func openAs(t *testing.T, db *testkit.Database, account string) *myOutbox {
	t.Helper()
	return &myOutbox{open(t, strings.Replace(db.URL(), "//root@", "//"+account+"@", 1)), t, db}
}

// ctx ends a call that hangs.
func (o *myOutbox) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	o.t.Cleanup(cancel)
	return ctx
}

// watch installs the triggers of one set of a table, and drains what that writes.
func (o *myOutbox) watch(table, captured, filter string) outbox.Set {
	o.t.Helper()
	s := setOn(table, captured, filter)
	o.install(outbox.Options{}, s)
	o.told()
	return s
}

// setOn is a set with a meaning for each captured column.
func setOn(table, captured, filter string) outbox.Set {
	s := outbox.Set{Table: table, Captured: strings.Fields(captured), Filter: strings.Fields(filter)}
	for _, column := range s.Captured {
		s.Meanings = append(s.Meanings, outbox.Meaning{Resource: "r", Key: "r:{p}", Params: []outbox.Param{{Name: "p", Type: "string", Column: column}}})
	}
	return s
}

func (o *myOutbox) install(opt outbox.Options, sets ...outbox.Set) *outbox.Script {
	o.t.Helper()
	script, err := o.Plan(o.ctx(), sets, opt)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.Apply(o.ctx(), script); err != nil {
		o.t.Fatal(err)
	}
	return script
}

// told drains the outbox: the rows of the tables that were told, sorted and each once, as
// the JSON of an object, or "everything".
func (o *myOutbox) told() (all []string) {
	o.t.Helper()
	rows, err := o.Read(o.ctx(), 0, 1_000_000)
	if err != nil {
		o.t.Fatal(err)
	}
	var ids []int64
	for _, r := range rows {
		ids = append(ids, r.ID)
		if r.Data == nil {
			all = append(all, "everything")
			continue
		}
		var objects []json.RawMessage
		if err := json.Unmarshal(r.Data, &objects); err != nil {
			o.t.Fatalf("row %d: %v: %s", r.ID, err, r.Data)
		}
		for _, object := range objects {
			var b bytes.Buffer
			_ = json.Compact(&b, object) // which Unmarshal has read
			all = append(all, b.String())
		}
	}
	if err := o.Done(o.ctx(), ids); err != nil {
		o.t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// after runs statements and says which rows were to be told for them.
func (o *myOutbox) after(sql string, want ...string) {
	o.t.Helper()
	o.db.Exec(sql)
	o.expect(sql, want...)
}

func (o *myOutbox) expect(what string, want ...string) {
	o.t.Helper()
	slices.Sort(want)
	if got := o.told(); !slices.Equal(got, want) {
		o.t.Errorf("%s\n got %s\nwant %s", what, strings.Join(got, " "), strings.Join(want, " "))
	}
}

// sound fails if triggers do not stand as they are to.
func (o *myOutbox) sound(sets ...outbox.Set) {
	o.t.Helper()
	if faults := o.faults(sets...); len(faults) > 0 {
		o.t.Errorf("faults: %v", faults)
	}
}

// faults are the texts of faults; those of lost changes begin with "lost: ".
func (o *myOutbox) faults(sets ...outbox.Set) (texts []string) {
	o.t.Helper()
	faults, err := o.Faults(o.ctx(), sets)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range outbox.Standing(faults) {
		if f.Lost {
			f.Text = "lost: " + f.Text
		}
		texts = append(texts, f.Text)
	}
	return texts
}

// ids are objects with an id each.
func ids(all ...int) (objects []string) {
	for _, id := range all {
		objects = append(objects, fmt.Sprintf(`{"id":%d}`, id))
	}
	return objects
}

func TestMySQLRowsOfATable(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20), city text, seen int)`)
	s := o.watch("users", "id", "name city")
	o.sound(s)
	o.after(`INSERT INTO users VALUES (1, 'a', 'x', 0), (2, 'b', 'x', 0)`, ids(1, 2)...)
	o.after(`UPDATE users SET seen = seen + 1`)
	o.after(`UPDATE users SET name = 'c' WHERE id = 2`, ids(2)...)
	o.after(`UPDATE users SET name = 'C' WHERE id = 2`, ids(2)...) // the same by its collation
	o.after(`UPDATE users SET name = 'C ' WHERE id = 2`, ids(2)...)
	o.after(`UPDATE users SET city = NULL WHERE id = 2`, ids(2)...)
	o.after(`UPDATE users SET city = NULL WHERE id = 2`)
	o.after(`UPDATE users SET id = 3 WHERE id = 2`, ids(2, 3)...)
	o.after(`DELETE FROM users WHERE id = 1`, ids(1)...)
	o.after(`INSERT INTO users VALUES (3, 'd', 'y', 0) ON DUPLICATE KEY UPDATE name = VALUES(name)`, ids(3)...)
	o.after(`REPLACE INTO users VALUES (3, 'e', 'y', 0)`, ids(3)...)
	o.after(`DELETE FROM users`, ids(3)...)
}
