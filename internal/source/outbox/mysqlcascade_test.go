package outbox_test

import (
	"strings"
	"testing"

	"hearth/internal/source/outbox"
)

// TestMySQLCascades: foreign keys change rows and fire no trigger.
func TestMySQLCascades(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `
		CREATE TABLE users (id int PRIMARY KEY, name varchar(20));
		CREATE TABLE orders (id int PRIMARY KEY, user_id int, agent_id int, note text,
			FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE,
			FOREIGN KEY (agent_id) REFERENCES users (id) ON DELETE SET NULL ON UPDATE SET NULL);
		CREATE TABLE items (id int PRIMARY KEY, order_id int,
			FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE);
		CREATE TABLE parts (id int PRIMARY KEY, item_id int,
			FOREIGN KEY (item_id) REFERENCES items (id) ON DELETE CASCADE);
		INSERT INTO users VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
		INSERT INTO orders VALUES (10, 1, 2, 'x'), (11, 1, 2, 'y'), (12, 3, 4, 'z');
		INSERT INTO items VALUES (100, 10), (101, 11), (102, 12);
		INSERT INTO parts VALUES (1000, 100), (1001, 101), (1002, 102)`)
	users, orders, items, parts := setOn("users", "id", ""), setOn("orders", "user_id agent_id", ""), setOn("items", "order_id", ""), setOn("parts", "id", "")
	o.install(outbox.Options{}, users, orders, items, parts)
	o.told()
	o.sound(users, orders, items, parts)

	o.after(`UPDATE users SET name = 'aa' WHERE id = 1`, `{"id":1}`)
	o.after(`UPDATE users SET id = 5 WHERE id = 1`, `{"id":1}`, `{"id":5}`,
		`{"user_id":1,"agent_id":2}`, `{"user_id":5,"agent_id":2}`)
	o.after(`DELETE FROM users WHERE id = 2`, `{"id":2}`, `{"user_id":5,"agent_id":2}`, `{"user_id":5,"agent_id":null}`)
	o.after(`UPDATE users SET id = 6 WHERE id = 4`, `{"id":4}`, `{"id":6}`, `{"user_id":3,"agent_id":4}`, `{"user_id":3,"agent_id":null}`)
	o.after(`UPDATE orders SET id = 20 WHERE id = 10`, `{"user_id":5,"agent_id":null}`, `{"order_id":10}`, `{"order_id":20}`)
	o.after(`DELETE FROM users WHERE id = 5`, `{"id":5}`, `{"user_id":5,"agent_id":null}`,
		`{"order_id":20}`, `{"order_id":11}`, `{"id":1000}`, `{"id":1001}`)
	o.after(`DELETE users, orders FROM users JOIN orders ON orders.user_id = users.id WHERE users.id = 3`,
		`{"id":3}`, `{"user_id":3,"agent_id":null}`, `{"order_id":12}`, `{"id":1002}`)
	o.after(`INSERT INTO users VALUES (7, 'e'); INSERT INTO orders VALUES (13, 7, NULL, ''); INSERT INTO items VALUES (103, 13);
		INSERT INTO parts VALUES (1003, 103)`, `{"id":7}`, `{"user_id":7,"agent_id":null}`, `{"order_id":13}`, `{"id":1003}`)
	o.after(`LOCK TABLES users WRITE; UPDATE users SET id = 8 WHERE id = 7; DELETE FROM users WHERE id = 8; UNLOCK TABLES`,
		`{"id":7}`, `{"id":8}`, `{"user_id":7,"agent_id":null}`, `{"user_id":8,"agent_id":null}`, `{"order_id":13}`, `{"id":1003}`)
	if n := o.db.Int("SELECT count(*) FROM parts"); n != 0 {
		t.Errorf("%d parts are left", n)
	}
}

// TestMySQLCascadeToItself: a key of a table to itself leads on without end.
func TestMySQLCascadeToItself(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `
		CREATE TABLE nodes (id int PRIMARY KEY, above int, FOREIGN KEY (above) REFERENCES nodes (id) ON DELETE CASCADE);
		INSERT INTO nodes VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL), (6, 5), (7, 6), (8, 7), (9, 8), (10, 9)`)
	s := o.watch("nodes", "id", "")
	o.sound(s)
	o.after(`DELETE FROM nodes WHERE id = 1`, ids(1, 2, 3, 4)...)
	o.after(`DELETE FROM nodes WHERE id = 5`, append(ids(5, 6, 7, 8), "everything")...)
}

// TestMySQLDeepCascade: a chain too deep is refused; a filter may end it.
func TestMySQLDeepCascade(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `
		CREATE TABLE a (id int PRIMARY KEY);
		CREATE TABLE b (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES a (id) ON DELETE CASCADE);
		CREATE TABLE c (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES b (id) ON DELETE CASCADE);
		CREATE TABLE d (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES c (id) ON DELETE CASCADE);
		CREATE TABLE e (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES d (id) ON DELETE CASCADE);
		INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1); INSERT INTO c VALUES (1, 1); INSERT INTO d VALUES (1, 1)`)
	_, err := o.Plan(o.ctx(), []outbox.Set{setOn("e", "id", "")}, outbox.Options{})
	if err == nil || !strings.Contains(err.Error(), "e → d → c → b → a") {
		t.Errorf("a chain of four keys: %v", err)
	}
	o.watch("d", "id", "")
	o.after(`DELETE FROM a`, ids(1)...)
}

// TestMySQLManyBelow: of more rows than it may name a trigger says that everything has
// changed. What a collation takes for the same is told all the same.
func TestMySQLManyBelow(t *testing.T) {
	t.Parallel()
	o := newMyOutbox(t, `CREATE TABLE users (id int PRIMARY KEY);
		CREATE TABLE orders (id int PRIMARY KEY, user_id int, code varchar(20) COLLATE utf8mb4_general_ci, FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE);
		INSERT INTO users VALUES (1), (2), (3); INSERT INTO orders SELECT seq, 1, 'x' FROM seq_1_to_3000; INSERT INTO orders SELECT seq, 2, seq FROM seq_3001_to_3600;
		INSERT INTO orders VALUES (1, 3, 'a'), (2, 3, 'A'), (3, 3, 'ä') ON DUPLICATE KEY UPDATE user_id = 3, code = VALUES(code)`)
	s := setOn("orders", "code", "")
	o.install(outbox.Options{FlushRows: 1000}, s)
	o.told()
	o.sound(s)
	o.after(`DELETE FROM users WHERE id = 3`, `{"code":"a"}`, `{"code":"A"}`, `{"code":"ä"}`)
	o.after(`DELETE FROM users WHERE id = 1`, `{"code":"x"}`) // each text once
	o.db.Exec(`DELETE FROM users WHERE id = 2`)
	if got := o.told(); len(got) != 600 {
		t.Errorf("%d rows were told", len(got))
	}
	o.install(outbox.Options{FlushRows: 100}, s)
	o.told()
	o.db.Exec(`INSERT INTO users VALUES (2); INSERT INTO orders SELECT seq, 2, seq FROM seq_3001_to_3600`)
	o.told()
	o.after(`DELETE FROM users WHERE id = 2`, "everything")
}
