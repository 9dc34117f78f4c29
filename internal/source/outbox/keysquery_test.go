package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/testkit"
)

// keysDatabases are databases with the same orders, and the outbox of each.
func keysDatabases(t *testing.T) map[string]*outbox.Outbox {
	const schema = `CREATE TABLE orders (id INT PRIMARY KEY, user_id BIGINT, product_id INT, code VARCHAR(40), amount NUMERIC(10,2), ref %s);
		INSERT INTO orders VALUES (1, 7, 10, 'a', 1.50, %s), (2, 8, 10, 'O''Brien; --', 2.00, NULL), (3, NULL, 10, 'c', 3, NULL), (4, 9007199254740993, 11, '12', 4, NULL)`
	const uuid = "'0123abcd-89ab-cdef-0123-456789abcdef'"
	all := map[string]*outbox.Outbox{}
	pg := testkit.Postgres(t)
	pg.Exec(fmt.Sprintf(schema, "uuid", uuid))
	all["PostgreSQL"] = open(t, pg.URL())
	my := testkit.MariaDB(t)
	for text := range strings.SplitSeq(fmt.Sprintf(schema, "BINARY(16)", "UNHEX(REPLACE("+uuid+", '-', ''))"), ";\n") {
		my.Exec(text)
	}
	all["MariaDB"] = open(t, my.URL())
	lite := open(t, "sqlite:"+filepath.Join(t.TempDir(), "keys.db"))
	for text := range strings.SplitSeq(fmt.Sprintf(schema, "BLOB", "x'0123abcd89abcdef0123456789abcdef'"), ";\n") {
		if err := lite.Apply(t.Context(), &outbox.Script{Statements: []string{text}}); err != nil {
			t.Fatal(err)
		}
	}
	all["SQLite"] = lite
	return all
}

// TestKeysThatTakeTooLong: a slow query ends before the caller's time does, so that the
// caller knows it from a caller's end of its own.
func TestKeysThatTakeTooLong(t *testing.T) {
	t.Parallel()
	o := open(t, testkit.Postgres(t).URL())
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	m := outbox.Meaning{Resource: "slow", Params: []outbox.Param{{Name: "id", Type: "int"}}, Keys: "SELECT 1 FROM pg_sleep(60)"}
	if got, err := o.Keys(ctx, m, nil); err == nil || ctx.Err() != nil {
		t.Errorf("got %q, %v, and the caller's context %v; want an error within its time", got, err, ctx.Err())
	}
}

// TestKeys asks each database which records a changed row concerns.
func TestKeys(t *testing.T) {
	t.Parallel()
	user := []outbox.Param{{Name: "user_id", Type: "int"}}
	two := []outbox.Param{{Name: "code", Type: "string"}, {Name: "user_id", Type: "int"}}
	ref := []outbox.Param{{Name: "ref", Type: "uuid"}}
	for name, o := range keysDatabases(t) {
		ask := func(params []outbox.Param, keys, row string) ([][]string, error) {
			t.Helper()
			var cells map[string]json.RawMessage
			if err := json.Unmarshal([]byte(row), &cells); err != nil {
				t.Fatal(err)
			}
			return o.Keys(t.Context(), outbox.Meaning{Resource: "orders", Params: params, Keys: keys}, cells)
		}
		f := func(params []outbox.Param, keys, row string, want ...[]string) {
			t.Helper()
			got, err := ask(params, keys, row)
			if err != nil {
				t.Errorf("%s: %s for %s: %v", name, keys, row, err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s for %s, -want +got:\n%s", name, keys, row, diff)
			}
		}
		const byProduct = "SELECT user_id FROM orders WHERE product_id = {row.id} ORDER BY id"
		f(user, byProduct, `{"id": 10, "name": "x"}`, []string{"7"}, []string{"8"}) // and none for NULL
		f(user, byProduct, `{"id": 11}`, []string{"9007199254740993"})
		f(user, byProduct, `{"id": "11"}`, []string{"9007199254740993"})
		f(user, byProduct, `{"id": 12}`)
		f(user, byProduct, `{"id": null}`)
		f(user, "SELECT user_id FROM orders WHERE code = {row.code}", `{"code": "O'Brien; --"}`, []string{"8"}) // bound, never spliced
		f(user, "SELECT user_id FROM orders WHERE code = {row.code}", `{"code": "' OR 1 = 1 --"}`)
		f(user, "SELECT user_id FROM orders WHERE amount = {row.amount}", `{"amount": 2.00}`, []string{"8"})
		f(two, "SELECT code, user_id FROM orders WHERE product_id = {row.id} AND user_id = {row.user};", `{"id": 10, "user": 7}`, []string{"a", "7"})
		f(ref, "SELECT ref FROM orders WHERE id = {row.id}", `{"id": 1}`, []string{"0123abcd-89ab-cdef-0123-456789abcdef"})
		f(ref, "SELECT ref FROM orders WHERE id = {row.id}", `{"id": 2}`)

		wrong := func(params []outbox.Param, keys, row, want string) error {
			t.Helper()
			got, err := ask(params, keys, row)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"orders"`) {
				t.Errorf("%s: %s for %s: got %q, %v; want an error with %q", name, keys, row, got, err, want)
			}
			return err
		}
		wrong(user, byProduct, `{"name": "x"}`, `the row has no column "id"`)
		wrong(user, byProduct, `{"id": {"gone": true}}`, "the table has it no more")
		wrong(user, "SELECT {id}", `{}`, "unknown placeholder")
		wrong(two, byProduct, `{"id": 10}`, "returns 1 columns, and the path has 2 parameters")
		if err := wrong(user, "SELECT nobody FROM orders WHERE id = {row.id}", `{"id": 1}`, "nobody"); o.Fault(err).Class != engine.FaultRefused {
			t.Errorf("%s: a query that is refused is a fault of class %d", name, o.Fault(err).Class)
		}
		const many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100200) SELECT i FROM n WHERE i <> {row.id}"
		if name != "MariaDB" { // which bounds the depth at 1,000
			if err := wrong(user, many, `{"id": 1}`, "more than 100000"); !errors.Is(err, outbox.ErrManyKeys) {
				t.Errorf("%s: got %v, want ErrManyKeys", name, err)
			}
		}
	}
}
