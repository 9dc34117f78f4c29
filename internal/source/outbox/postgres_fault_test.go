package outbox_test

import (
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// faults are the texts of what is wrong with sets, those by which changes are lost with an
// exclamation mark.
func faults(tb testing.TB, o *outbox.Outbox, sets ...outbox.Set) (texts []string) {
	tb.Helper()
	all, err := o.Faults(tb.Context(), sets)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range all {
		text := f.Text
		if f.Lost {
			text = "!" + text
		}
		if f.Set.Table == "" {
			tb.Errorf("%s: it is nobody's", text)
		}
		texts = append(texts, text)
	}
	return texts
}

// checkFaults wants exactly one fault for each text, which it contains; a text that begins
// with an exclamation mark is of one that loses changes.
func checkFaults(tb testing.TB, o *outbox.Outbox, set outbox.Set, after string, want ...string) {
	tb.Helper()
	got := faults(tb, o, set)
	ok := len(got) == len(want)
	for i := 0; ok && i < len(want); i++ {
		text, lost := strings.CutPrefix(want[i], "!")
		ok = slices.ContainsFunc(got, func(g string) bool {
			return strings.HasPrefix(g, "!") == lost && strings.Contains(g, text)
		})
	}
	if !ok {
		tb.Errorf("after %s:\ngot  %q\nwant %q", after, got, want)
	}
}

// TestPostgresFaults breaks what is installed in each way, sees what is said of it, and
// that installing again mends it.
func TestPostgresFaults(t *testing.T) {
	t.Parallel()
	db := testkit.Postgres(t)
	o := open(t, db.URL())
	set := outbox.Set{Table: "users", Captured: []string{"id"}, Meanings: userSet("id").Meanings}
	parts := outbox.Set{Table: "parts", Captured: []string{"id"}}
	db.Exec(`CREATE TABLE users (id int PRIMARY KEY, name text); CREATE TABLE parts (id bigint, part int) PARTITION BY RANGE (part);
		CREATE TABLE p0 PARTITION OF parts FOR VALUES FROM (0) TO (10)`)
	checkFaults(t, o, set, "nothing", `!no triggers of the feed are installed on table "public.users"`)
	checkFaults(t, o, outbox.Set{Table: "nowhere"}, "nothing", `!there is no table "nowhere"`)
	install(t, o, outbox.Options{FlushRows: 77}, set, parts)
	id := db.Text(`SELECT id FROM hearth.watch WHERE tab = 'public.users'`)
	part := db.Text(`SELECT id FROM hearth.watch WHERE tab = 'public.parts'`)
	checkFaults(t, o, set, "the installation")
	checkFaults(t, o, parts, "the installation")
	for _, c := range []struct {
		set  outbox.Set
		sql  string
		want []string
	}{
		{set, `ALTER TABLE users DISABLE TRIGGER ALL`, []string{"!_delete on table public.users is disabled", "!_insert on", "!_truncate on", "!_update on"}},
		{set, `ALTER TABLE users DISABLE TRIGGER hearth_@_update`, []string{"!hearth_@_update on table public.users is disabled; run: hearth feed install -apply"}},
		{set, `ALTER TABLE users ENABLE REPLICA TRIGGER hearth_@_update`, []string{"!fires for nothing but replication"}},
		{set, `ALTER TABLE users ENABLE TRIGGER hearth_@_update`, []string{"does not fire for what replication writes; run as the owner of the table: ALTER TABLE public.users ENABLE ALWAYS"}},
		{set, `DROP TRIGGER hearth_@_delete ON users`, []string{"!is not there, so that no DELETE is told; run: hearth feed install -apply"}},
		{set, `DROP TRIGGER hearth_@_update ON users; CREATE TRIGGER hearth_@_update AFTER UPDATE OF name ON users EXECUTE FUNCTION hearth.hearth_@()`,
			[]string{"!hearth_@_update on table public.users is not as it was created"}},
		{set, `DROP FUNCTION hearth.hearth_@() CASCADE`, []string{"!the function hearth.hearth_@ of the triggers on table public.users is not there"}},
		{set, `CREATE OR REPLACE FUNCTION hearth.hearth_@() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NULL; END'`,
			[]string{"!somebody has replaced it"}},
		{set, `ALTER FUNCTION hearth.hearth_@() SECURITY INVOKER`, []string{"!was altered"}},
		{set, `ALTER FUNCTION hearth.hearth_@() SET search_path = public`, []string{"!was altered"}},
		{set, `CREATE TABLE child () INHERITS (users)`, []string{"!has partitions, children or a subscription by now"}},
		{set, `CREATE TABLE child2 () INHERITS (users)`, []string{"!hearth_@_row on table public.child2 is not there", "hearth_@_row_truncate on table public.child2 is not there"}},
		{set, `DROP TABLE child, child2`, []string{"!hearth.hearth_@ of the triggers"}},
		{set, `CREATE TABLE users2 (id int); CREATE TRIGGER x AFTER TRUNCATE ON users2 EXECUTE FUNCTION hearth.hearth_@()`, []string{"the trigger x on public.users2 is not one of public.users"}},
		{set, `DROP TABLE hearth.kept`, []string{"!the outbox lacks what these rights are for: SELECT, INSERT and DELETE on hearth.kept"}},
		{set, `DROP FUNCTION hearth.done(bigint[])`, []string{"!EXECUTE on hearth.done"}},
		{set, `UPDATE hearth.watch SET meanings = '[]'`, []string{"!were installed for another configuration"}},
		{set, `UPDATE hearth.watch SET version = 0`, []string{"are of version 0"}},
		{set, `DROP SCHEMA hearth CASCADE`, []string{`!no triggers of the feed are installed`}},
		{set, `DROP TABLE users; CREATE TABLE users (id int PRIMARY KEY, name text)`, []string{"!_delete on table public.users is not there", "!_insert on", "!_truncate on", "!_update on"}},
		{set, `ALTER TABLE users DROP CONSTRAINT users_pkey`, nil}, // there is no filter
		{parts, `CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM (10) TO (20)`, []string{"hearth_#_row_truncate on table public.p1 is not there, so that no TRUNCATE is told"}},
		{parts, `ALTER TABLE p1 DISABLE TRIGGER hearth_#_row`, []string{"!the trigger hearth_#_row on table public.p1 is disabled"}},
		{parts, `ALTER TABLE parts ALTER id TYPE int`, []string{"columns of table public.parts have other types than when its triggers were installed"}},
		{parts, `ALTER TABLE parts DETACH PARTITION p1`, []string{"the trigger hearth_#_row_truncate on public.p1 is not one of public.parts"}},
		{parts, `DROP TABLE p0, p1; DO 'BEGIN FOR i IN 0..4 LOOP EXECUTE format($$CREATE TABLE p%s PARTITION OF parts FOR VALUES IN (%s)$$, i, i); END LOOP; END'`, nil},
	} {
		if strings.Contains(c.sql, "FOR VALUES IN") {
			c.sql = strings.ReplaceAll(c.sql, "IN (%s)$$, i, i", "FROM (%s) TO (%s)$$, i, i, i + 1")
			c.want = []string{"hearth_#_row_truncate on table public.p0, public.p1, public.p2 and 2 more is not there"}
		}
		replace := strings.NewReplacer("@", id, "#", part)
		db.Exec(replace.Replace(c.sql))
		for i, w := range c.want {
			c.want[i] = replace.Replace(w)
		}
		checkFaults(t, o, c.set, replace.Replace(c.sql), c.want...)
		install(t, o, outbox.Options{FlushRows: 77}, set, parts)
		checkFaults(t, o, c.set, "installing again after "+c.sql)
	}
}
