package outbox_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestMySQLDefinitions: the application's writes go on, whatever becomes of the table; what
// is lost by that is known, and an installation mends it.
func TestMySQLDefinitions(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20), city varchar(20), note text);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);
		INSERT INTO users VALUES (1, 'a', 'x', ''); INSERT INTO orders VALUES (10, 1)`)
	users, orders := setOn("users", "id name", "city note"), setOn("orders", "id user_id", "")
	o.install(outbox.Options{}, users, orders)
	o.told()
	for _, c := range []struct {
		ddl, write string
		told       []string
		fault      string // of users; "" for none
	}{
		{`ALTER TABLE users ADD COLUMN age int, ENGINE=InnoDB`, `UPDATE users SET city = 'y'`, []string{`{"id":1,"name":"a"}`}, ""},
		{`ALTER TABLE users MODIFY COLUMN city text`, `UPDATE users SET city = 'z'`, []string{`{"id":1,"name":"a"}`}, ""},
		{`ALTER TABLE users RENAME COLUMN name TO title`, `UPDATE users SET city = 'x'; INSERT INTO users (id) VALUES (2); DELETE FROM users WHERE id = 2`, []string{"everything"}, `has no column "name" any more`},
		{`ALTER TABLE users RENAME COLUMN title TO name`, `UPDATE users SET city = 'y'`, []string{`{"id":1,"name":"a"}`}, ""},
		{`ALTER TABLE users DROP COLUMN note`, `UPDATE users SET age = 5`, []string{"everything"}, `has no column "note" any more`},
		{`ALTER TABLE users ADD COLUMN note text`, `UPDATE users SET note = 'n'`, []string{`{"id":1,"name":"a"}`}, ""},
		{`ALTER TABLE users MODIFY COLUMN name varbinary(20)`, `UPDATE users SET name = 'b'`, []string{`{"id":1,"name":"a"}`, `{"id":1,"name":"b"}`}, "lost: table \"users\" has been altered"},
		{`ALTER TABLE users MODIFY COLUMN name varchar(20)`, `DO 1`, nil, ""},
	} {
		o.db.Exec(c.ddl)
		o.healed(users, orders)
		o.after(c.write, c.told...)
		faults := o.faults(users)
		if c.fault == "" && len(faults) > 0 || c.fault != "" && (len(faults) != 1 || !strings.Contains(faults[0], c.fault)) {
			t.Errorf("%s: the faults %q, want %q", c.ddl, faults, c.fault)
		}
	}
	o.after(`ALTER TABLE orders DROP COLUMN id; DELETE FROM users`, `{"id":1,"name":"b"}`, "everything")
	o.after(`SET foreign_key_checks = 0; DROP TABLE orders; INSERT INTO users (id, name) VALUES (3, 'c'); DELETE FROM users`, `{"id":3,"name":"c"}`, "everything")
	if faults := o.faults(orders); len(faults) != 1 || !strings.Contains(faults[0], "lost: there is no table \"orders\"") {
		t.Errorf("a dropped table: %q", faults)
	}
	o.db.Exec(`CREATE TABLE orders (id int PRIMARY KEY, user_id int)`)
	if faults := o.faults(orders); len(faults) == 0 || !strings.Contains(faults[0], "lost: table \"orders\" has no trigger") {
		t.Errorf("a table created anew: %q", faults)
	}
	o.install(outbox.Options{}, users, orders)
	o.sound(users, orders)
}

// healed does what the leader of the feed does once a second, and drains.
func (o *myOutbox) healed(sets ...outbox.Set) {
	o.t.Helper()
	faults, err := o.Faults(o.ctx(), sets)
	if err == nil {
		_, err = o.Heal(o.ctx(), faults)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	o.told()
}

// TestMySQLByHand: what somebody takes away by hand is known, and fails no write.
func TestMySQLByHand(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int)`)
	s := o.watch("orders", "id", "")
	mend := func() {
		t.Helper()
		o.install(outbox.Options{}, s)
		o.told()
		o.sound(s)
	}
	lost := func(what, text string) {
		t.Helper()
		if faults := o.faults(s); len(faults) == 0 || !strings.HasPrefix(faults[0], "lost: ") || !strings.Contains(faults[0], text) {
			t.Errorf("%s: %q", what, faults)
		}
	}
	o.db.Exec("DROP TRIGGER " + o.triggerNames()[0])
	lost("a trigger was dropped", "has no trigger")
	mend()
	o.db.Exec(`ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE`)
	lost("a foreign key was added", `"users" has no trigger`)
	mend()
	o.db.Exec(`RENAME TABLE orders TO orders_old; INSERT INTO orders_old VALUES (1, NULL)`)
	lost("the table was renamed", "no table")
	o.db.Exec(`RENAME TABLE orders_old TO orders`)
	o.healed(s) // to the server a table that was renamed is altered, unless that was in the same second
	o.sound(s)
	o.db.Exec(`DROP TABLE hearth_feed; INSERT INTO orders VALUES (2, NULL)`)
	if _, err := o.Read(o.ctx(), 0, 1); !o.Missing(err) {
		t.Errorf("without an outbox: %v", err)
	}
	mend()
	o.db.Exec(`DROP PROCEDURE hearth_tell_1; INSERT INTO orders VALUES (3, NULL)`)
	lost("the procedure was dropped", "the procedure hearth_tell_1 is gone")
	faults, _ := o.Faults(o.ctx(), []outbox.Set{s})
	if done, err := o.Heal(o.ctx(), faults); err != nil || len(done) != 1 {
		t.Errorf("healing: %q, %v", done, err)
	}
	o.expect("healing the procedure", "everything")
	o.sound(s)
}

// TestMySQLIsToldOnce: the leader looks again when the second is over in which a table was altered,
// and all is removed once more. Whoever was told of the change is not told of that.
func TestMySQLIsToldOnce(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	s := o.watch("users", "id", "")
	o.db.Exec(`TRUNCATE users`)
	o.noticed("TRUNCATE", s)
	// As it is noted unless the leader has come too late for that.
	o.db.Exec(`UPDATE hearth_watch SET seen = CONCAT(seen, ' and soon after') WHERE seen NOT LIKE '% soon after'`)
	var faults []outbox.Fault
	testkit.Eventually(t, 30*time.Second, "the second is over", func() bool {
		var err error
		if faults, err = o.Faults(o.ctx(), []outbox.Set{s}); err != nil {
			t.Fatal(err)
		}
		return len(faults) > 0
	})
	o.sound(s)
	if done, err := o.Heal(o.ctx(), faults); err != nil || len(done) > 0 {
		t.Errorf("looking again: %q, %v", done, err)
	}
	o.expect("looking again", "everything")
	if faults, err := o.Faults(o.ctx(), []outbox.Set{s}); err != nil || len(faults) > 0 {
		t.Errorf("a third look: %v, %v", faults, err)
	}
}

// TestMySQLLostAccount: triggers whose account is dropped fail every write. The leader
// takes them away.
func TestMySQLLostAccount(t *testing.T) {
	t.Parallel()
	db := testkit.MariaDB(t)
	db.Exec(`CREATE USER 'leaving'@'%'; GRANT ALL ON ` + db.Text("SELECT DATABASE()") + `.* TO 'leaving'@'%'; CREATE TABLE users (id int PRIMARY KEY)`)
	leaving, o := openAs(t, db, "leaving"), openMyOutbox(t, db, "")
	s := leaving.watch("users", "id", "")
	o.healed(s) // it sees more than the other one
	o.sound(s)
	db.Exec(`DROP USER 'leaving'@'%'`)
	if out, err := o.client("", "INSERT INTO users VALUES (1)").CombinedOutput(); err == nil || !strings.Contains(string(out), "1449") {
		t.Fatalf("a write under triggers without their account: %v: %s", err, out)
	}
	faults, err := o.Faults(o.ctx(), []outbox.Set{s})
	if err != nil || len(faults) != 1 || !faults[0].Lost {
		t.Fatalf("faults: %v, %v", faults, err)
	}
	if done, err := o.Heal(o.ctx(), faults); err != nil || len(done) != 3 {
		t.Errorf("healing: %q, %v", done, err)
	}
	o.after(`INSERT INTO users VALUES (1)`, "everything")
	o.install(outbox.Options{}, s)
	o.sound(s)
}

// client is the database's own, as account or as root.
func (o *myOutbox) client(account, sql string, args ...string) *exec.Cmd {
	o.t.Helper()
	if account == "" {
		account = "root"
	}
	host, port, _ := strings.Cut(o.db.Addr(), ":")
	cmd := exec.Command(testkit.NeedMariaDB(o.t, "mariadb"), append([]string{"--no-defaults", "--protocol=tcp", "--host=" + host, "--port=" + port,
		"--user=" + account}, append(args, o.db.Text("SELECT DATABASE()"))...)...)
	cmd.Stdin = strings.NewReader(sql)
	return cmd
}

// TestMySQLDump: a copy of the database tells its own changes to its own outbox, with and
// without the routines that a dump leaves out.
func TestMySQLDump(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)`)
	s := o.watch("users", "id", "")
	host, port, _ := strings.Cut(o.db.Addr(), ":")
	for _, routines := range []bool{true, false} {
		args := []string{"--no-defaults", "--protocol=tcp", "--host=" + host, "--port=" + port, "--user=root", "--single-transaction"}
		if routines {
			args = append(args, "--routines")
		}
		dump, err := exec.Command(testkit.NeedMariaDB(t, "mariadb-dump"), append(args, o.db.Text("SELECT DATABASE()"))...).Output()
		if err != nil {
			t.Fatal(err)
		}
		copied := newMyOutbox(t, "")
		if out, err := copied.client("", string(dump)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if routines {
			copied.after(`INSERT INTO users VALUES (2)`, ids(2)...)
			copied.healed(s) // it is another table than the one seen before
			copied.sound(s)
		} else {
			copied.after(`INSERT INTO users VALUES (2)`)
			if faults := copied.faults(s); len(faults) == 0 || !strings.HasPrefix(faults[0], "lost: ") {
				t.Errorf("a copy without the procedure: %q", faults)
			}
			copied.install(outbox.Options{}, s)
			copied.told()
			copied.after(`INSERT INTO users VALUES (3)`, ids(3)...)
		}
		o.expect("the copy wrote")
	}
}
