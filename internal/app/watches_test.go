package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
	"hearth/internal/source/outbox"
)

const (
	withFeed = "[database]\nurl = \"postgres://h/d\"\n[feed]\nmode = \"outbox\"\n"
	aUser    = "[[resource]]\nname = \"user\"\npath = \"/user/{user_id:int}\"\nkey = \"user:{user_id}\"\nselect = 'SELECT id, name FROM Users WHERE ID = {user_id}'\n"
	orders   = "[[resource]]\nname = \"orders\"\npath = \"/user/{user_id:int}/orders\"\nkey = \"orders:{user_id}\"\nrows = \"many\"\n" +
		"select = 'SELECT o.id, p.name FROM orders o JOIN products p ON p.id = o.product_id WHERE o.user_id = {user_id}'\n"
	ordersWatched = orders + "[[resource.watch]]\ntable = \"orders\"\nkey = { user_id = \"user_id\" }\n" +
		"[[resource.watch]]\ntable = \"products\"\ncolumns = [\"name\"]\nkeys = 'SELECT user_id FROM orders WHERE product_id = {row.id} AND shop = {row.shop}'\n" +
		"[[resource.watch]]\ntable = \"settings\"\nall = true\n"
)

// TestWantedSets: from a configuration to the triggers that it wants, one set for each
// table and filter.
func TestWantedSets(t *testing.T) {
	cfg := load(t, withFeed, aUser, ordersWatched,
		"[[resource]]\nname = \"count\"\npath = \"/count/{uid:int}/{day:string}\"\nkey = \"count:{day}:{uid}\"\nselect = 'SELECT count(*) AS n FROM orders WHERE day = {day} AND user_id = {uid}'\n",
		"[[resource]]\nname = \"config\"\npath = \"/config\"\nkey = \"config\"\nselect = 'SELECT * FROM settings'\nrows = \"many\"\n",
		"[[resource]]\nname = \"rate\"\npath = \"/rate/{id:int}\"\nkey = \"rate:{id}\"\nselect = 'SELECT * FROM rate({id})'\nwatch = \"none\"\n",
		"[[resource]]\nname = \"item\"\npath = \"/item/{id:string}\"\nkey = \"item:{id}\"\n")
	sets, faults := wantedSets(cfg)
	if len(faults) > 0 {
		t.Fatal(faultsError(faults))
	}
	user := []outbox.Param{{Name: "user_id", Type: "int"}}
	of := func(column string) []outbox.Param {
		return []outbox.Param{{Name: "user_id", Type: "int", Column: column}}
	}
	want := []outbox.Set{
		{Table: "users", Captured: []string{"id"}, Meanings: []outbox.Meaning{{Resource: "user", Key: "user:{user_id}", Params: of("id")}}},
		{Table: "orders", Captured: []string{"user_id", "day"}, Meanings: []outbox.Meaning{
			{Resource: "orders", Key: "orders:{user_id}", Params: of("user_id")},
			{Resource: "count", Key: "count:{day}:{uid}", Params: []outbox.Param{{Name: "uid", Type: "int", Column: "user_id"}, {Name: "day", Type: "string", Column: "day"}}},
		}},
		{Table: "products", Captured: []string{"id", "shop"}, Filter: []string{"name"}, Meanings: []outbox.Meaning{
			{Resource: "orders", Key: "orders:{user_id}", Params: user, Keys: "SELECT user_id FROM orders WHERE product_id = {row.id} AND shop = {row.shop}"},
		}},
		{Table: "settings", Meanings: []outbox.Meaning{
			{Resource: "orders", Key: "orders:{user_id}", Params: user, All: true},
			{Resource: "config", Key: "config", All: true},
		}},
	}
	if diff := cmp.Diff(want, sets, cmp.AllowUnexported(outbox.Set{})); diff != "" {
		t.Errorf("sets, -want +got:\n%s", diff)
	}
	lines := []string{
		"feed: user ← users(id → user_id)",
		"feed: orders ← orders(user_id → user_id), products[name](keys → user_id), settings(all)",
		"feed: count ← orders(user_id → uid, day → day)",
		"feed: config ← settings(all)",
		"feed: rate: none, its copies live as long as ttl says",
	}
	if diff := cmp.Diff(lines, Check(cfg, nil).Feed); diff != "" {
		t.Errorf("what check says, -want +got:\n%s", diff)
	}
}

// TestWatchesThatAreLacking: a resource of which nobody knows what concerns it is a fault
// while the feed is on. All faults are told at once.
func TestWatchesThatAreLacking(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		r := Check(load(t, text), nil)
		var got []string
		for _, fault := range r.Faults {
			got = append(got, fault.Key+": "+fault.Text)
		}
		for i, text := range want {
			if i >= len(got) || !strings.Contains(got[i], text) {
				t.Errorf("got the faults %q, want %q", got, want)
				return
			}
		}
		if len(got) != len(want) {
			t.Errorf("got the faults %q, want %q", got, want)
		}
	}
	const lacking = `resource.watch: cannot be derived from select: it has JOIN; write [[resource.watch]] for each table that it reads, or watch = "none"`
	f(withFeed+aUser+orders, lacking)
	f(strings.ReplaceAll(withFeed, "outbox", "off") + aUser + orders)
	f(withFeed+orders+"watch = \"none\"\n"+strings.ReplaceAll(orders, "orders", "others"), strings.ReplaceAll(lacking, "orders", "others"))
	f(withFeed + aUser + "select_many = 'SELECT id, name FROM users WHERE id = ANY({user_id})'")
	f(withFeed+aUser+"select_many = 'SELECT id, name FROM users_view WHERE id = ANY({user_id})'", "select_many reads something else")
	const keys = "[[resource.watch]]\ntable = \"products\"\nkeys = "
	f(withFeed+orders+keys+`'SELECT user_id FROM orders WHERE product_id = {id}'`, "resource.watch.keys: unknown placeholder {id}; a column of the changed row is written {row.column}")
	f(withFeed+orders+keys+`'SELECT user_id FROM orders WHERE product_id = {row}'`, "placeholder {row}: a column of the changed row is written {row.column}")
	f(withFeed+orders+keys+`'SELECT {row.a.b}, {row.c?}'`, "placeholder {row.a.b}", "placeholder {row.c?}")
	f(withFeed+orders+keys+`"SELECT '{row.a}'"`, "stands inside quotes")
	f(withFeed+orders+keys+`'SELECT $1'`, "is a bind parameter of PostgreSQL")
	f(withFeed+orders+keys+`'DELETE FROM orders WHERE id = {row.id}'`, "resource.watch.keys: it is no query")
	f(withFeed+orders+keys+`'SELECT 1; SELECT {row.id}'`, "more than one statement")
	f(strings.ReplaceAll(withFeed, "outbox", "off")+orders+keys+`'SELECT {id}'`, "unknown placeholder {id}") // a mistake even before the mode is on
	// What is at fault elsewhere is told once.
	f(withFeed+strings.ReplaceAll(aUser, "{user_id}'", "{nobody}'"), "resource.select: unknown placeholder {nobody}")
}

// TestFeedURLAtAReload: account and settings of the connection may change, the database
// may not.
func TestFeedURLAtAReload(t *testing.T) {
	t.Parallel()
	f := func(before, after string, fixes bool) {
		t.Helper()
		of := func(url string) *config.Config {
			c := load(t, withFeed, aUser)
			c.Feed.URL = config.NewSecret(url)
			return c
		}
		err := fixed(of(before), of(after))
		if got := err != nil && strings.Contains(err.Error(), "feed.url"); got != fixes {
			t.Errorf("%s to %s: %v, want a fault %v", before, after, err, fixes)
		}
	}
	f("postgres://a:b@h/d", "postgres://a:c@h/d?sslmode=require", false)
	f("", "postgres://a:b@h/d", false) // the same by its own name
	f("postgres://a:b@h/d", "postgres://a:b@h/e", true)
	f("postgres://a:b@other/d", "", true)
}
