package outbox_test

import (
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/outbox"
)

// left counts what an installation has left in the database of a test.
func (o *myOutbox) left() int64 {
	o.t.Helper()
	return o.db.Int(`SELECT (SELECT COUNT(*) FROM information_schema.triggers WHERE trigger_schema = DATABASE())
		+ (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name LIKE 'hearth%')
		+ (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = DATABASE())`)
}

// triggerNames are those of a database.
func (o *myOutbox) triggerNames() (names []string) {
	for _, row := range o.db.Query(`SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1`) {
		names = append(names, row[0])
	}
	return names
}

// TestMySQLInstall: again changes nothing, another configuration is put beside or in the
// place of the first, and a removal leaves nothing.
func TestMySQLInstall(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20), city varchar(20));
		CREATE TABLE orders (id int PRIMARY KEY, user_id int, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)`)
	users, orders := setOn("users", "id", ""), setOn("orders", "user_id", "")
	o.install(outbox.Options{}, users, orders)
	first := o.triggerNames()
	o.told()
	again := o.install(outbox.Options{}, users, orders)
	if text := o.Text(again); strings.Contains(text, "TRIGGER") {
		t.Errorf("a second installation creates triggers:\n%s", text)
	}
	o.expect("a second installation")
	o.sound(users, orders)

	more := setOn("users", "city", "")
	o.install(outbox.Options{}, more)
	o.sound(users, orders, more)
	if names := o.triggerNames(); len(names) != len(first) || slices.Equal(names, first) {
		t.Errorf("triggers were %v and are %v", first, names)
	}
	o.told()
	o.after(`INSERT INTO users VALUES (1, 'a', 'x')`, `{"city":"x","id":1}`)

	o.install(outbox.Options{Prune: true}, more)
	o.sound(more)
	if faults := o.faults(orders); len(faults) != 1 || !strings.Contains(faults[0], "lost: no triggers") {
		t.Errorf("a set that is not installed has the faults %v", faults)
	}
	if n := len(o.triggerNames()); n != 3 {
		t.Errorf("%d triggers after pruning", n)
	}
	script, err := o.Removal(o.ctx())
	if err == nil {
		err = o.Apply(o.ctx(), script)
	}
	if err != nil || o.left() != 0 {
		t.Errorf("a removal left %d things: %v", o.left(), err)
	}
	if script, err = o.Removal(o.ctx()); err == nil {
		err = o.Apply(o.ctx(), script)
	}
	if err != nil {
		t.Errorf("a second removal: %v", err)
	}
}

// TestMySQLNames: names of all kinds, in a script that the database's own client runs
// while it takes the script for Latin-1.
func TestMySQLNames(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, "CREATE TABLE `Or der``s` (`Group` bigint unsigned PRIMARY KEY, `it's` int, `größe` varchar(20), `back\\slash` int, `select` int);"+
		"CREATE TABLE `Upper` (id int PRIMARY KEY)")
	s := setOn("Or der`s", "", "")
	s.Captured = []string{"group", "it's", "größe", `back\slash`}
	s.Filter = []string{"select"}
	s.Meanings = []outbox.Meaning{{Resource: "r", Key: "r:{p}", Params: []outbox.Param{{Name: "p", Type: "int", Column: "group"}},
		Keys: `SELECT 'it''s', "\n" FROM x WHERE y = {row.größe}`}}
	script, err := o.Plan(o.ctx(), []outbox.Set{s, setOn("Upper", "id", "")}, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := o.client("", o.Text(script), "--default-character-set=latin1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, o.Text(script))
	}
	o.expect("the script", "everything")
	sets, err := o.Sets(o.ctx())
	i := slices.IndexFunc(sets, func(s outbox.Set) bool { return s.Table == "Or der`s" })
	if err != nil || i < 0 || sets[i].Meanings[0].Keys != s.Meanings[0].Keys || !slices.Equal(sets[i].Captured, s.Captured) {
		t.Fatalf("got %+v, %v", sets, err)
	}
	o.after("INSERT INTO `Or der``s` VALUES (18446744073709551615, -1, 'ß', 2, 3)", `{"group":18446744073709551615,"it's":-1,"größe":"ß","back\\slash":2}`)
}

// TestMySQLCanonical: what a name in a configuration means.
func TestMySQLCanonical(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY); CREATE VIEW people AS SELECT * FROM users; CREATE SEQUENCE numbers;
		CREATE TABLE old (id int PRIMARY KEY) ENGINE=Aria; CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING`)
	home := o.db.Text("SELECT DATABASE()")
	for table, want := range map[string]string{
		"users": "", home + ".users": "", "old": "", "versioned": "",
		"people": "is a view", "numbers": "is a sequence", "nothing": "there is no table", "mysql.nothing": "there is no table",
	} {
		_, err := o.Plan(o.ctx(), []outbox.Set{{Table: table}}, outbox.Options{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", table, err, want)
		}
	}
	script := o.install(outbox.Options{}, setOn(home+".users", "id", ""), setOn("old", "id", ""))
	if notes := strings.Join(script.Notes, "\n"); !strings.Contains(notes, `"old" is of the engine Aria`) {
		t.Errorf("not told of the engine: %s", notes)
	}
	o.sound(setOn("users", "id", ""))
	if _, err := o.Plan(o.ctx(), []outbox.Set{setOn("users", "nothing", "")}, outbox.Options{}); err == nil || !strings.Contains(err.Error(), `no column "nothing"`) {
		t.Errorf("a column that is not there: %v", err)
	}
}

// TestMySQLOtherDatabase: tables of another database are watched from this one, and its
// own outbox is none of this one's.
func TestMySQLOtherDatabase(t *testing.T) {
	t.Parallel()
	a, b := newMyOutbox(t, ""), newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)`)
	b.watch("users", "id", "")
	name := b.db.Text("SELECT DATABASE()")
	s := a.watch(name+".orders", "id", "")
	a.sound(s)
	b.after(`INSERT INTO users VALUES (1); INSERT INTO orders VALUES (10, 1), (11, 1); DELETE FROM users`, ids(1)...)
	a.expect("the same", ids(10, 11)...)
	script, err := a.Removal(a.ctx())
	if err == nil {
		err = a.Apply(a.ctx(), script)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.after(`INSERT INTO users VALUES (2)`, ids(2)...)
	if n := len(b.triggerNames()); n != 3 {
		t.Errorf("%d triggers are left", n)
	}
}

// TestMySQLRights: a writer needs no right on the outbox, and an account that may not
// create triggers is told so.
func TestMySQLRights(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	s := o.watch("users", "id", "")
	home := o.db.Text("SELECT DATABASE()")
	o.db.Exec(`CREATE USER 'writing'@'%'; GRANT SELECT, INSERT ON ` + home + `.users TO 'writing'@'%'`)
	t.Cleanup(func() { o.db.Exec(`DROP USER 'writing'@'%'`) })
	less := openAs(t, o.db, "writing")
	if err := less.Apply(o.ctx(), &outbox.Script{Statements: []string{"INSERT INTO users VALUES (7)"}}); !less.Denied(err) { // of the outbox, after the statement
		t.Error(err)
	}
	o.expect("a writer without rights", ids(7)...)
	if _, err := less.Faults(o.ctx(), []outbox.Set{s}); !less.Denied(err) && err != nil {
		t.Error(err)
	}
	script, err := o.Plan(o.ctx(), []outbox.Set{setOn("users", "id", "id")}, outbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := less.Apply(o.ctx(), script); !less.Denied(err) {
		t.Errorf("an account without rights: %v", err)
	}
}

// TestMySQLDrainsAlone: an account that has what -role grants drains, and sees faults.
func TestMySQLDrainsAlone(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	home := o.db.Text("SELECT DATABASE()")
	o.db.Exec(`CREATE USER 'draining'@'%'; GRANT SELECT ON ` + home + `.users TO 'draining'@'%'`)
	t.Cleanup(func() { o.db.Exec(`DROP USER 'draining'@'%'`) })
	s := setOn("users", "id", "")
	o.install(outbox.Options{Roles: []string{"draining"}}, s)
	drains := openAs(t, o.db, "draining")
	drains.told()
	drains.sound(s) // although it sees less than the other one
	drains.after(`INSERT INTO users VALUES (1)`, ids(1)...)
	o.db.Exec(`INSERT INTO users VALUES (2)`)
	rows, err := drains.Read(o.ctx(), 0, 1)
	if err == nil && len(rows) == 1 {
		err = drains.Keep(o.ctx(), []int64{rows[0].ID})
	}
	if err == nil {
		err = drains.Expire(o.ctx(), 0)
	}
	if err == nil {
		err = drains.Canary(o.ctx())
	}
	if err == nil {
		_, err = drains.Beat(o.ctx(), outbox.Beat{Fleet: "f", Instance: "i"})
	}
	if err != nil {
		t.Error(err)
	}
	o.db.Exec("DROP TRIGGER " + o.triggerNames()[0])
	if faults := drains.faults(s); len(faults) != 1 || !strings.Contains(faults[0], "has no trigger") {
		t.Errorf("a trigger was dropped: %q", faults)
	}
	o.db.Exec("DROP PROCEDURE hearth_tell_1")
	if faults := drains.faults(s); len(faults) != 1 || !strings.Contains(faults[0], "the procedure hearth_tell_1 is gone") {
		t.Errorf("the procedure was dropped: %q", faults)
	}
	drains.healed(s) // it may not create one
}
