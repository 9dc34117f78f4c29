package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// watched are resources of every kind of watch, beside those of fed.
const watched = `
[[resource]]
name = "orders"
path = "/orders/{user_id:int}"
key = "orders:{user_id}"
rows = "many"
select = "SELECT o.id, p.name, s.value AS currency FROM orders o JOIN products p ON p.id = o.product_id CROSS JOIN settings s WHERE o.user_id = {user_id} ORDER BY o.id"
[[resource.watch]]
table = "orders"
key = { user_id = "user_id" }
[[resource.watch]]
table = "products"
columns = ["name"]
keys = "SELECT user_id FROM orders WHERE product_id = {row.id}"
[[resource.watch]]
table = "settings"
all = true
[[resource]]
name = "count"
path = "/count/{user_id:int}"
key = "count:{user_id}"
select = "SELECT count(*) AS n FROM orders WHERE user_id = {user_id} AND product_id > 0"
key_columns = { user_id = "" }
[[resource]]
name = "code"
path = "/code/{code:string}"
key = "code:{code}"
select = "SELECT code, value FROM codes WHERE code = {code}"
`

const watchedTables = feedTables + `
CREATE TABLE products (id int PRIMARY KEY, name varchar(100), stock int);
CREATE TABLE orders (id int PRIMARY KEY, user_id int, product_id int);
CREATE TABLE settings (id int PRIMARY KEY, value varchar(100));
CREATE TABLE codes (code char(8) PRIMARY KEY, value int);
INSERT INTO codes VALUES ('ab', 1);
INSERT INTO products VALUES (1, 'pen', 5), (2, 'cup', 5);
INSERT INTO orders VALUES (1, 1, 1), (2, 2, 2);
INSERT INTO settings VALUES (1, 'EUR');`

// TestEveryKindOfWatch: a join by keys, a table that concerns all, a list and a count that
// are derived.
func TestEveryKindOfWatch(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) (url string, exec func(sql string)){
		"PostgreSQL": func(t *testing.T) (string, func(string)) { d := testkit.Postgres(t); return d.URL(), d.Exec },
		"MariaDB":    func(t *testing.T) (string, func(string)) { d := testkit.MariaDB(t); return d.URL(), d.Exec },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, exec := start(t)
			exec(watchedTables)
			file := fed(t, url, "", watched)
			install(t, file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := launch.Ready(t, string(text))
			sees := func(path, want string) {
				t.Helper()
				testkit.Eventually(t, 30*time.Second, path+" is "+want, func() bool {
					r := in.Get(path)
					return r.Unmarked() && strings.Contains(strings.ReplaceAll(r.Body, " ", ""), want)
				})
			}
			all := func(one, two string) {
				t.Helper()
				sees("/orders/1", one)
				sees("/orders/2", two)
			}
			list := func(id int, product, currency string) string {
				return fmt.Sprintf(`"orders":[{"id":%d,"name":%q,"currency":%q}]`, id, product, currency)
			}
			all(list(1, "pen", "EUR"), list(2, "cup", "EUR"))
			sees("/count/1", `"n":1`)
			sees("/code/ab", `"value":1`)
			exec("UPDATE codes SET value = 2") // a text that the database may pad
			sees("/code/ab", `"value":2`)
			exec("UPDATE products SET name = 'quill' WHERE id = 1")
			all(list(1, "quill", "EUR"), list(2, "cup", "EUR"))
			exec("UPDATE settings SET value = 'CHF'")
			all(list(1, "quill", "CHF"), list(2, "cup", "CHF"))
			exec("UPDATE orders SET user_id = 2 WHERE id = 1")
			sees("/orders/1", `"orders":[]`)
			sees("/count/1", `"n":0`)
			sees("/count/2", `"n":2`)
			exec("INSERT INTO orders VALUES (3, 1, 2)")
			all(list(3, "cup", "CHF"), `"name":"quill"`)
			exec("DELETE FROM orders WHERE id = 3")
			sees("/orders/1", `"orders":[]`)
		})
	}
}
