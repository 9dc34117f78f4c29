package app

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
	"hearth/internal/testkit"
)

const shopTables = `CREATE TABLE users (id INT PRIMARY KEY, email VARCHAR(60), code CHAR(8), rating NUMERIC(10,2), city INT);
CREATE TABLE orders (id INT PRIMARY KEY, user_id INT, product_id INT, total INT);
CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(20), price INT);
CREATE VIEW people AS SELECT id, email FROM users`

// shop is a configuration with resources of these names, each with further lines.
func shop(t *testing.T, url string, resources ...[3]string) *config.Config {
	t.Helper()
	text := fmt.Sprintf("[database]\nurl = %q\n[feed]\nmode = \"outbox\"\n", url)
	for _, r := range resources {
		text += fmt.Sprintf("[[resource]]\nname = %q\npath = \"/%[1]s/{id:int}\"\nkey = \"%[1]s:{id}\"\nrows = \"many\"\nselect = '%s'\n%s\n", r[0], r[1], r[2])
	}
	return load(t, text)
}

const joined = "SELECT o.id, p.name, p.price FROM orders o JOIN products p ON p.id = o.product_id WHERE o.user_id = {id}"

// watch writes a [[resource.watch]].
func watch(table string, lines ...string) string {
	return "[[resource.watch]]\ntable = '" + table + "'\n" + strings.Join(lines, "\n") + "\n"
}

// watchCase is a resource, and what the database says against its watches; PUBLIC stands
// for where its tables are.
type watchCase struct {
	resource [3]string // name, select, further lines
	want     []string
}

func watchCases() (all []watchCase) {
	f := func(text, lines string, want ...string) {
		all = append(all, watchCase{[3]string{fmt.Sprintf("r%d", len(all)), text, lines}, want})
	}
	const user = "SELECT id, email FROM users WHERE id = {id}"
	byUser := watch("orders", `key = { id = "user_id" }`)
	const keys = `keys = "SELECT user_id FROM orders WHERE product_id = {row.id}"`
	f(user, "")
	f(joined, byUser+watch("products", keys))
	f(joined, byUser, `select: resource "r2" reads the table "PUBLIC.products", which is not watched`)
	f(joined, watch("products", "all = true"), `select: resource "r3" reads the table "PUBLIC.orders"`)
	f(joined, byUser+watch("products", "all = true")+watch("users", "all = true"))
	f("SELECT id, email FROM people WHERE id = {id}", "", "select: the table cannot be watched: ", `select: resource "r5" reads the table "PUBLIC.users"`)
	f("SELECT id, email FROM people WHERE id = {id}", watch("users", `key = { id = "id" }`))
	f(user, "select_many = 'SELECT id, email FROM users WHERE id IN ({id}) AND city NOT IN (SELECT total FROM orders)'\n"+watch("users", `key = { id = "id" }`),
		`select_many: resource "r7" reads the table "PUBLIC.orders"`)
	f(user, watch("users", `key = { id = "ids" }`, `columns = ["e_mail"]`),
		`watch.[0]: the table "PUBLIC.users" has no column "ids"; it has id, email, code, rating, city`, `has no column "e_mail"`, "? watch.[0]: an UPDATE of id, email in")
	f(user, watch("people_of_old", "all = true"), "watch.[0]: the table cannot be watched: ", `select: resource "r9" reads the table "PUBLIC.users"`)
	f(joined, byUser+watch("products", `keys = "SELECT user_id, id FROM orders WHERE product_id = {row.id}"`), "watch.[1].keys: returns 2 columns, and the path has 1 parameters")
	f(joined, byUser+watch("products", `keys = "SELECT nobody FROM orders WHERE product_id = {row.id}"`), "watch.[1].keys: the database refuses it: ")
	f(joined, byUser+watch("products", `keys = "SELECT o.user_id FROM orders o JOIN users u ON u.id = o.user_id WHERE o.product_id = {row.id}"`),
		`watch.[1].keys: reads the table "PUBLIC.users", which is not watched for resource "r12"`)
	f(strings.ReplaceAll(joined, "p.price", "1 AS one"), watch("orders", `key = { id = "user_id" }`, `columns = ["total"]`)+watch("products", keys),
		`? watch.[0]: an UPDATE of product_id in "PUBLIC.orders" does not count, and select names it`, `watch.[1].keys: goes by product_id of "PUBLIC.orders", of which changes do not count`)
	f(joined, byUser+watch("products", keys, `columns = ["name"]`), `? watch.[1]: an UPDATE of price in "PUBLIC.products" does not count`)
	f("SELECT id FROM users WHERE rating = {id}", "", "? select: {id} is int, and PUBLIC.users.rating has the type ")
	f("SELECT {id} AS rate", `watch = "none"`)
	f("SELECT nobody FROM users WHERE id = {id}", watch("users", "all = true"), "? select: the database does not tell which tables it reads")
	f("SELECT u.* FROM users u WHERE u.id = {id}", watch("users", `key = { id = "id" }`, `columns = ["email"]`), `? watch.[0]: an UPDATE of other columns of "PUBLIC.users" than email does not count`)
	f("SELECT id, opaque(id) AS n FROM users WHERE id = {id}", "", "? select: calls the function PUBLIC.opaque, and nobody sees what that reads")
	f("SELECT id, opaque(id) AS n FROM users WHERE id = {id}", watch("users", `key = { id = "id" }`)+watch("orders", "all = true"))
	return all
}

// TestInspectWatches: a table that is read and not watched is a fault with resource, table
// and what to write; so is a query of keys over what is not watched.
func TestInspectWatches(t *testing.T) {
	t.Parallel()
	pg, my := testkit.Postgres(t), testkit.MariaDB(t)
	pg.Exec(shopTables + ";CREATE FUNCTION opaque(INT) RETURNS BIGINT LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM orders); END'")
	my.Exec("CREATE FUNCTION opaque(x INT) RETURNS INT READS SQL DATA RETURN (SELECT count(*) FROM orders)")
	for text := range strings.SplitSeq(shopTables, ";\n") {
		my.Exec(text)
	}
	home := my.URL()[strings.LastIndexByte(my.URL(), '/')+1:]
	file := liteShop(t)
	for url, prefix := range map[string]string{pg.URL(): "public.", my.URL(): home + ".", "sqlite:" + file: ""} {
		var resources [][3]string
		for _, c := range watchCases() {
			resources = append(resources, c.resource)
		}
		if prefix == "" {
			resources = resources[:len(resources)-2] // SQLite has no functions of its own
		}
		got := inspected(t, shop(t, url, resources...))
		for _, c := range watchCases() {
			name := c.resource[0]
			if !slices.Contains(resources, c.resource) {
				continue
			}
			if len(got[name]) != len(c.want) {
				t.Errorf("%s: %s: got %q, want %q", prefix, c.resource, got[name], c.want)
				continue
			}
			for i, want := range c.want {
				if !strings.Contains(got[name][i], strings.ReplaceAll(want, "PUBLIC.", prefix)) {
					t.Errorf("%s: %s: got %q, want %q", prefix, c.resource, got[name], c.want)
				}
			}
		}
	}
}

// liteShop is a file of SQLite with the shop's tables, as another program makes it.
func liteShop(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", file)
	if err == nil {
		_, err = db.Exec(shopTables)
	}
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestConnectLeavesAFileAsItIs: to ask about watches makes no file, and changes none.
func TestConnectLeavesAFileAsItIs(t *testing.T) {
	t.Parallel()
	file := liteShop(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	user := [3]string{"user", "SELECT id, email FROM users WHERE id = {id}"}
	if faults, _ := Connect(t.Context(), shop(t, "sqlite:"+file, user)); len(faults) != 1 || !strings.Contains(faults[0].Text, "feed install") {
		t.Errorf("got %v, want a fault of triggers that are not installed", faults)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed (%v)", err)
	}
	none := filepath.Join(t.TempDir(), "none.db")
	faults, notes := Connect(t.Context(), shop(t, "sqlite:"+none, [3]string{"one", "SELECT {id} AS one", `watch = "none"`}))
	if _, err := os.Stat(none); err == nil || len(faults) > 0 || len(notes) != 1 {
		t.Errorf("the file was made (%v), or found wrong: %v, %q", err, faults, notes)
	}
}

// inspected are the findings by resource: key and text, doubts behind a question mark.
func inspected(t *testing.T, cfg *config.Config) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	g := &generation{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	defer func() { g.minus(nothing).close(g.log) }()
	if faults := g.prepareSources(nothing); len(faults) > 0 {
		t.Fatal(faultsError(faults))
	}
	o, err := outbox.New(engine.Config{URL: cfg.FeedURL().Reveal(), MaxConns: 2, Timeout: time.Minute})
	if err == nil {
		err = o.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	found, err := g.inspectWatches(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range found {
		_, key, _ := strings.Cut(strings.TrimPrefix(f.key, "resource."), ".")
		text := key + ": " + f.text
		if f.doubt {
			text = "? " + text
		}
		all[f.resource] = append(all[f.resource], text)
	}
	return all
}

// TestWatchesWithoutTriggers: what is not installed is a fault that says how to mend it.
func TestWatchesWithoutTriggers(t *testing.T) {
	t.Parallel()
	pg := testkit.Postgres(t)
	pg.Exec(strings.Split(shopTables, ";\n")[0])
	cfg := shop(t, pg.URL(), [3]string{"user", "SELECT id, email FROM users WHERE id = {id}"})
	faults, _ := Connect(t.Context(), cfg)
	if len(faults) != 1 || !strings.Contains(faults[0].Text, "hearth feed install -apply") {
		t.Fatalf("got %v, want one fault that says what to run", faults)
	}
	sets, _ := wantedSets(cfg)
	tool, err := OpenFeedTool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := tool.Install(ctx, FeedInstall{Apply: true}); err != nil {
		t.Fatal(err)
	}
	if faults, notes := Connect(t.Context(), cfg); len(faults) > 0 || len(notes) > 0 {
		t.Errorf("with %d sets installed: %v, %q", len(sets), faults, notes)
	}
}

// TestFit: which values of a column a path may spell otherwise.
func TestFit(t *testing.T) {
	t.Parallel()
	f := func(d sqltext.Dialect, kind, types string, want fit) {
		t.Helper()
		for typ := range strings.SplitSeq(types, ", ") {
			if got, why := fitOf(outbox.Param{Type: kind}, outbox.TableColumn{Type: typ}, d); got != want || (why == "") != (want == fits) {
				t.Errorf("%v: %s and %s: got %v (%q), want %v", d, kind, typ, got, why, want)
			}
		}
	}
	f(sqltext.PostgreSQL, "int", "int2, int4, int8, oid", fits)
	f(sqltext.PostgreSQL, "int", "numeric, text, float8, mood", doubted)
	f(sqltext.PostgreSQL, "int", "interval, uuid, bool, bytea, timestamp, jsonb", strange)
	f(sqltext.PostgreSQL, "uuid", "uuid, text, varchar, bpchar", fits)
	f(sqltext.PostgreSQL, "uuid", "bytea, int8", strange)
	f(sqltext.PostgreSQL, "string", "text, varchar, bpchar, mood, int4range", fits)
	f(sqltext.PostgreSQL, "string", "int4, numeric, timestamp, date, uuid, inet, bool", doubted)
	f(sqltext.PostgreSQL, "string", "bytea, timestamptz, timetz, interval, json, jsonb", strange)
	f(sqltext.MySQL, "int", "int(11), int(10) unsigned, bigint, tinyint(1), mediumint, year(4)", fits)
	f(sqltext.MySQL, "int", "decimal(10,2), double, varchar(20), bit(1)", doubted)
	f(sqltext.MySQL, "int", "datetime, json, binary(4)", strange)
	f(sqltext.MySQL, "uuid", "uuid, char(36), binary(16), varbinary(16)", fits)
	f(sqltext.MySQL, "uuid", "binary(20), int(11)", strange)
	f(sqltext.MySQL, "string", "varchar(20), char(3), text, enum('a','b')", fits)
	f(sqltext.MySQL, "string", "int(11), datetime, varbinary(16), blob", doubted)
	f(sqltext.MySQL, "string", "json, binary(20), point", strange)
	f(sqltext.SQLite, "int", "int, integer, bigint, ", fits)
	f(sqltext.SQLite, "int", "text, real", doubted)
	f(sqltext.SQLite, "uuid", "text, blob, ", fits)
	f(sqltext.SQLite, "string", "text, varchar(3), ", fits)
	f(sqltext.SQLite, "string", "datetime, integer, boolean", doubted)
	f(sqltext.SQLite, "string", "blob", strange)
	for _, c := range []outbox.TableColumn{{Type: "citext", Folds: true}, {Type: "bpchar", Pads: true}} {
		asText, _ := fitOf(outbox.Param{Type: "string"}, c, sqltext.PostgreSQL)
		asUUID, _ := fitOf(outbox.Param{Type: "uuid"}, c, sqltext.PostgreSQL)
		if asText != doubted || asUUID != fits {
			t.Errorf("%+v is %v for a string and %v for a uuid", c, asText, asUUID)
		}
	}
	if diff := cmp.Diff("RTRIM", sqltext.Collation("CREATE TABLE t (a TEXT COLLATE NOCASE, [b] TEXT CHECK (b COLLATE NOCASE <> '') COLLATE RTRIM, c)", "b")); diff != "" {
		t.Error(diff)
	}
}
