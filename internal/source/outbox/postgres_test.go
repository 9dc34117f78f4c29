package outbox_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the outbox of a database.
func open(tb testing.TB, url string) *outbox.Outbox {
	tb.Helper()
	o, err := outbox.New(engine.Config{URL: url, MaxConns: 4, Timeout: 20 * time.Second})
	if err == nil {
		err = o.Open()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { o.Close() })
	return o
}

// userSet watches the column id of users.
func userSet(captured ...string) outbox.Set {
	s := outbox.Set{Table: "users", Captured: captured}
	for _, c := range captured {
		s.Meanings = append(s.Meanings, outbox.Meaning{Resource: "user", Key: "user/{id}", Params: []outbox.Param{{Name: "id", Type: "int", Column: c}}})
	}
	return s
}

// install installs sets, and returns what an operator is told.
func install(tb testing.TB, o *outbox.Outbox, opt outbox.Options, sets ...outbox.Set) []string {
	tb.Helper()
	script, err := o.Plan(tb.Context(), sets, opt)
	if err == nil {
		err = o.Apply(tb.Context(), script)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return script.Notes
}

// drain reads all rows and takes them away. It returns what each says of the rows of the
// table, in the order of their texts, or "all".
func drain(tb testing.TB, o *outbox.Outbox) (told []string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	rows, err := o.Read(ctx, 0, 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	var ids []int64
	for _, r := range rows {
		ids = append(ids, r.ID)
		var all []json.RawMessage
		switch {
		case r.Set <= 0:
			continue
		case r.Data == nil:
			told = append(told, "all")
			continue
		}
		if err := json.Unmarshal(r.Data, &all); err != nil {
			tb.Fatalf("row %d has the data %s: %v", r.ID, r.Data, err)
		}
		var texts []string
		for _, one := range all {
			texts = append(texts, strings.ReplaceAll(string(one), " ", ""))
		}
		slices.Sort(texts)
		told = append(told, strings.Join(texts, " "))
	}
	if err := o.Done(ctx, ids); err != nil {
		tb.Fatal(err)
	}
	return told
}

// check runs SQL and compares what the outbox has afterwards.
func check(tb testing.TB, db *testkit.Database, o *outbox.Outbox, sql string, want ...string) {
	tb.Helper()
	db.Exec(sql)
	if got := drain(tb, o); !slices.Equal(got, want) {
		tb.Errorf("%s:\ngot  %q\nwant %q", sql, got, want)
	}
}

// TestPostgresChanges has each kind of statement change rows of an ordinary table.
func TestPostgresChanges(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	db.Exec(`CREATE TABLE users (id bigint PRIMARY KEY, name text, city text); CREATE TABLE other (id int)`)
	o := open(t, db.URL())
	install(t, o, outbox.Options{}, userSet("id"))
	install(t, o, outbox.Options{}, userSet("id")) // once more changes nothing
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{`INSERT INTO users VALUES (1, 'a', 'x')`, []string{`{"id":1}`}},
		{`INSERT INTO users VALUES (2, 'b', 'x'), (3, 'c', 'x')`, []string{`{"id":2} {"id":3}`}},
		{`INSERT INTO users SELECT 9 WHERE false`, nil},
		{`UPDATE users SET name = 'd' WHERE id = 1`, []string{`{"id":1}`}},
		{`UPDATE users SET name = name`, []string{`{"id":1} {"id":2} {"id":3}`}},
		{`UPDATE users SET id = 7 WHERE id = 1`, []string{`{"id":1} {"id":7}`}},
		{`UPDATE users SET id = id + 10 WHERE id < 7`, []string{`{"id":12} {"id":13} {"id":2} {"id":3}`}},
		{`UPDATE users SET name = 'z' WHERE id = 99`, nil},
		{`INSERT INTO users VALUES (7, 'u', 'x') ON CONFLICT (id) DO UPDATE SET name = 'v'`, []string{`{"id":7}`}},
		{`INSERT INTO users VALUES (7, 'u', 'x') ON CONFLICT (id) DO NOTHING`, nil},
		{"COPY users (id) FROM stdin;\n20\n21\n\\.\n", []string{`{"id":20} {"id":21}`}},
		{`MERGE INTO users u USING (VALUES (20), (22)) AS s (id) ON s.id = u.id
			WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'm', 'x')`, []string{`{"id":20}`, `{"id":22}`}},
		{`CREATE VIEW v AS SELECT id, name FROM users; UPDATE v SET name = 'w' WHERE id = 22`, []string{`{"id":22}`}},
		{`WITH gone AS (DELETE FROM users WHERE id = 22 RETURNING *) INSERT INTO users SELECT id + 1, name FROM gone`, []string{`{"id":22}`, `{"id":23}`}},
		{`BEGIN; INSERT INTO users VALUES (30); SAVEPOINT s; INSERT INTO users VALUES (31); ROLLBACK TO s; INSERT INTO users VALUES (32); COMMIT`,
			[]string{`{"id":30}`, `{"id":32}`}},
		{`BEGIN; INSERT INTO users VALUES (40); ROLLBACK`, nil},
		{`SET session_replication_role = replica; UPDATE users SET name = 'r' WHERE id = 30`, []string{`{"id":30}`}},
		{`DELETE FROM users WHERE id IN (30, 32)`, []string{`{"id":30} {"id":32}`}},
		{`INSERT INTO other VALUES (1)`, nil},
		{`TRUNCATE users`, []string{"all"}},
		{`INSERT INTO users SELECT generate_series(1, 2500)`, nil},
		{`UPDATE users SET name = 'many' -- 2500`, nil},
		{`DELETE FROM users -- 2500`, nil},
	} {
		if strings.Contains(c.sql, "2500") {
			db.Exec(c.sql)
			var sizes []int
			for _, told := range drain(t, o) {
				sizes = append(sizes, strings.Count(told, "id"))
			}
			slices.Sort(sizes)
			if want := []int{500, 1000, 1000}; !slices.Equal(sizes, want) {
				t.Errorf("2,500 rows are told in rows of %v, want %v", sizes, want)
			}
			continue
		}
		check(t, db, o, c.sql, c.want...)
	}
	if got := db.Text(`SELECT count(*) FROM hearth.feed`); got != "0" {
		t.Errorf("%s rows are left", got)
	}
}
