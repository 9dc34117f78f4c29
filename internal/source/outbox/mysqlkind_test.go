package outbox_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// TestMySQLBulk: statements that write many rows at once, and rows that come from files.
func TestMySQLBulk(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20), UNIQUE KEY (name))`)
	o.watch("users", "id", "")
	file := filepath.Join(testkit.TempDir(t, "load"), "users.tsv")
	if err := os.WriteFile(file, []byte("1\ta\n2\tb\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.after(fmt.Sprintf(`SET GLOBAL local_infile = 1; LOAD DATA LOCAL INFILE '%s' INTO TABLE users`, file), ids(1, 2)...)
	o.after(`INSERT INTO users SELECT id + 10, CONCAT(name, 'x') FROM users`, ids(11, 12)...)
	o.after(`REPLACE INTO users VALUES (3, 'a')`, ids(1, 3)...) // removes another row by its name
	o.after(`INSERT IGNORE INTO users VALUES (3, 'q')`)
	o.after(`WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 2099) SELECT 1;
		INSERT INTO users SELECT seq, seq FROM seq_100_to_2099`, ids(upTo(100, 2099)...)...)
	o.after(`DELETE FROM users WHERE id >= 100 ORDER BY id LIMIT 3`, ids(100, 101, 102)...)
}

func upTo(first, last int) (all []int) {
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// TestMySQLTransactions: what is rolled back is not told, and what commits is told then.
func TestMySQLTransactions(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, name varchar(20))`)
	o.watch("users", "id", "")
	o.after(`BEGIN; INSERT INTO users VALUES (1, 'a'); ROLLBACK`)
	o.after(`BEGIN; INSERT INTO users VALUES (1, 'a'); SAVEPOINT s; INSERT INTO users VALUES (2, 'b');
		ROLLBACK TO s; INSERT INTO users VALUES (3, 'c'); COMMIT`, ids(1, 3)...)
	// One gets its number first and commits last.
	o.after(`XA START 'one'; UPDATE users SET name = 'x' WHERE id = 1; XA END 'one'; XA PREPARE 'one'`)
	o.after(`UPDATE users SET name = 'x' WHERE id = 3`, ids(3)...)
	o.after(`XA COMMIT 'one'`, ids(1)...)
	o.after(`XA START 'two'; UPDATE users SET name = 'y'; XA END 'two'; XA PREPARE 'two'; XA ROLLBACK 'two'`)
	o.after(`LOCK TABLES users WRITE; UPDATE users SET name = 'z' WHERE id = 1; UNLOCK TABLES`, ids(1)...)
	o.after(`SET autocommit = 0; SET @hearth_writer = 'token'; UPDATE users SET name = 'w' WHERE id = 1; COMMIT`, ids(1)...)
}

// TestMySQLWriter: who has made a change is told, and an odd name fails no write.
func TestMySQLWriter(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY)`)
	o.watch("users", "id", "")
	o.db.Exec(`SET NAMES latin1; SET SESSION sql_mode = 'STRICT_ALL_TABLES'; SET @hearth_writer = 'tök';
		INSERT INTO users VALUES (1); SET @hearth_writer = REPEAT('x', 1000); INSERT INTO users VALUES (2);
		SET @hearth_writer = X'FF'; INSERT INTO users VALUES (3); SET @hearth_writer = NULL; INSERT INTO users VALUES (4)`)
	rows, err := o.Read(o.ctx(), 0, 10)
	if err != nil || len(rows) != 4 {
		t.Fatalf("got %d rows, %v", len(rows), err)
	}
	if w := rows[1].Writer; w != strings.Repeat("x", 255) {
		t.Errorf("a long writer is %q", w)
	}
	if w := rows[3].Writer; w != "" {
		t.Errorf("no writer is %q", w)
	}
}

// TestMySQLLastInsertID: an application does not see the numbers of the outbox.
func TestMySQLLastInsertID(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE plain (id int PRIMARY KEY); CREATE TABLE counted (id int AUTO_INCREMENT PRIMARY KEY, v int);
		INSERT INTO counted VALUES (1000, 1)`)
	o.watch("plain", "id", "")
	o.watch("counted", "id", "")
	got := o.db.Query(`INSERT INTO counted (v) VALUES (1); SELECT LAST_INSERT_ID(), ROW_COUNT();
		INSERT INTO plain VALUES (5); SELECT LAST_INSERT_ID(), ROW_COUNT();
		UPDATE plain SET id = 6; SELECT LAST_INSERT_ID(), ROW_COUNT()`)
	for _, row := range got {
		if row[0] != "1001" || row[1] != "1" && row[1] != "-1" {
			t.Errorf("got %v", got)
		}
	}
}

// TestMySQLPartitions: row triggers see what is written to any partition, and what takes
// a partition away is noticed.
func TestMySQLPartitions(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE events (id int, v int) PARTITION BY RANGE (id)
		(PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20), PARTITION p2 VALUES LESS THAN (30));
		CREATE TABLE other (id int, v int)`)
	s := o.watch("events", "id", "")
	o.sound(s)
	o.after(`INSERT INTO events VALUES (1, 1), (11, 1), (21, 1)`, ids(1, 11, 21)...)
	o.after(`UPDATE events SET id = 12 WHERE id = 1`, ids(1, 12)...)
	o.after(`DELETE FROM events PARTITION (p1)`, ids(11, 12)...)
	for _, sql := range []string{
		`ALTER TABLE events TRUNCATE PARTITION p2`,
		`ALTER TABLE events EXCHANGE PARTITION p1 WITH TABLE other`,
		`ALTER TABLE events DROP PARTITION p0`,
		`TRUNCATE events`,
	} {
		o.after(sql) // no trigger
		o.noticed(sql, s)
	}
	o.sound(s)
}

// noticed says that a change that fires no trigger is a fault until it is healed.
func (o *myOutbox) noticed(what string, s outbox.Set) {
	o.t.Helper()
	faults, err := o.Faults(o.ctx(), []outbox.Set{s})
	if err != nil {
		o.t.Fatal(err)
	}
	if !slices.ContainsFunc(faults, func(f outbox.Fault) bool { return strings.Contains(f.Text, "emptied, altered or made anew") }) {
		o.t.Errorf("%s: not noticed: %v", what, faults)
	}
	if _, err := o.Heal(o.ctx(), faults); err != nil {
		o.t.Fatal(err)
	}
	o.expect(what, "everything")
}

// TestMySQLTruncate: TRUNCATE fires no trigger. An account without the right PROCESS does
// not see it, and is told so.
func TestMySQLTruncate(t *testing.T) {
	t.Parallel()
	db := testkit.MariaDB(t)
	o := openMyOutbox(t, db, `CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)`)
	s := o.watch("users", "id", "")
	o.after(`TRUNCATE users`)
	o.noticed("TRUNCATE", s)
	o.after(`INSERT INTO users VALUES (1)`, ids(1)...)

	db.Exec(`CREATE USER 'truncating'@'%'; GRANT ALL ON ` + db.Text("SELECT DATABASE()") + `.* TO 'truncating'@'%'`)
	t.Cleanup(func() { db.Exec(`DROP USER 'truncating'@'%'`) })
	less := openAs(t, db, "truncating")
	notes := strings.Join(less.install(outbox.Options{}, s).Notes, "\n")
	if !strings.Contains(notes, "GRANT PROCESS") {
		t.Errorf("not told: %s", notes)
	}
	less.told()
	less.after(`TRUNCATE users`)
	less.sound(s)
}

// TestMySQLManyRows in one transaction.
func TestMySQLManyRows(t *testing.T) {
	t.Parallel()
	n := 20_000
	if os.Getenv("HEARTH_LONG") != "" {
		n = 1_000_000
	}
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY, v int)`)
	o.watch("users", "id", "")
	o.db.Exec(fmt.Sprintf(`BEGIN; INSERT INTO users SELECT seq, 0 FROM seq_1_to_%d; UPDATE users SET v = 1 WHERE id <= %[1]d / 2; COMMIT`, n))
	size, err := o.Size(o.ctx())
	if err != nil || size.Rows != int64(n+n/2) {
		t.Fatalf("got %d rows, %v", size.Rows, err)
	}
	seen := map[string]bool{}
	for after := int64(0); ; {
		rows, err := o.Read(o.ctx(), after, 5000)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		var done []int64
		for _, r := range rows {
			seen[string(r.Data)], after = true, r.ID
			done = append(done, r.ID)
		}
		if err := o.Done(o.ctx(), done); err != nil {
			t.Fatal(err)
		}
	}
	if size, err = o.Size(o.ctx()); err != nil || size.Rows != 0 || len(seen) != n {
		t.Errorf("%d rows are left, %d of %d were told: %v", size.Rows, len(seen), n, err)
	}
}
