package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/config"
)

func TestFeed(t *testing.T) {
	f := func(text, want string, env ...string) {
		t.Helper()
		_, err := load(t, text, env...)
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	const database, feed = "[database]\nurl = \"postgres://h/d\"\n", "[feed]\nmode = \"outbox\"\n"
	f(database+feed, "")
	f(feed, "feed.mode: \"outbox\" needs database.url")
	f(feed, "", "HEARTH_DATABASE_URL=postgres://h/d")
	f("", "HEARTH_FEED_MODE: \"outbox\" needs database.url", "HEARTH_FEED_MODE=outbox")
	f("[database]\nurl = \"sqlite::memory:\"\n"+feed, "in this process's memory")
	f("[database]\nurl = \"sqlite::memory:\"\n", "")
	f(database+feed+"url = \"postgresql://direct/d\"", "")
	f(database+feed+"url = \"mysql://h/d\"", "feed.url: is a mysql URL, and database.url (line 2) a postgres URL")
	f(database+"[feed]\nurl = \"mysql://h/d\"", "is a mysql URL") // a mistake even before the mode is on
	f(database+feed, "HEARTH_FEED_URL: is a sqlite URL", "HEARTH_FEED_URL=sqlite:a.db")
	f("[database]\nurl = \"sqlite:a.db\"\n"+feed+"url = \"sqlite:b.db\"", "names another file than database.url")
	f("[database]\nurl = \"sqlite:a.db\"\n"+feed+"url = \"sqlite:./a.db\"", "")
	f(database+feed+"url = \"h\"", "begins with none of")
	f(database+feed+"poll = \"1s\"\ndegraded_after = \"10s\"", "")
	f(database+feed+"poll = \"1s\"", "feed.poll: degraded_after is 5s and poll 1s")
	f(database+feed+"degraded_after = \"500ms\"\npoll = \"51ms\"", "feed.degraded_after: degraded_after is 500ms and poll 51ms")
	f(database+feed+"poll = \"0s\"", "is out of range")
}

// TestFeedURL: the URL of the feed is that of the database where it has none of its own.
func TestFeedURL(t *testing.T) {
	c := mustLoad(t, "[database]\nurl = \"postgres://h/d\"\n", "HEARTH_FEED_MODE=outbox", "HEARTH_FEED_POLL=7ms", "HEARTH_FEED_FLUSH_BACKLOG=12")
	if !c.FeedOn() || c.FeedURL().Reveal() != "postgres://h/d" || c.Feed.Poll != 7*time.Millisecond || c.Feed.FlushBacklog != 12 {
		t.Errorf("got %+v, want the overrides and the database's URL", c.Feed)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "feed"), []byte("postgres://other:s@h/d?sslrootcert=ca.crt\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = mustLoad(t, "[database]\nurl = \"postgres://h/d\"\n[feed]\nurl_file = \"feed\"\n", "CREDENTIALS_DIRECTORY="+dir)
	if got := c.FeedURL().Reveal(); c.FeedOn() || got == "" || got == "postgres://other:s@h/d?sslrootcert=ca.crt" {
		t.Errorf("got %q, want the file's URL with the path of its certificate resolved", got)
	}
	if now, err := c.FeedURL().Current(); err != nil || now != c.FeedURL().Reveal() {
		t.Errorf("read again: got %q (%v), want %q", now, err, c.FeedURL().Reveal())
	}
}

func TestWatches(t *testing.T) {
	const start = "[database]\nurl = \"sqlite:a.db\"\n[feed]\nmode = \"outbox\"\n[[resource]]\nname = \"r\"\npath = \"/r/{a:int}/{b:uuid}\"\nkey = \"r:{a}:{b}\"\nselect = \"S\"\n"
	const watch = "[[resource.watch]]\ntable = \"t\"\n"
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, start+text)
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	f("", "") // derived, or a fault where it cannot be: that takes a look at the statement
	f("watch = \"none\"", "")
	f("watch = \"None\"", `"None" is neither "none" nor a table`)
	f("watch = true", "there may be several; write [[resource.watch]]")
	f("watch = []", "")
	f(watch+"key = { a = \"x\", b = \"y\" }", "")
	f(watch+"key = { a = \"x\", b = \"x\" }", "")
	f(watch+"key = { a = \"x\" }", `resource.watch.key: lacks the parameter "b"`)
	f(watch+"key = { a = \"x\", b = \"y\", c = \"z\" }", `the path has no parameter "c"; name {a}, {b}`)
	f(watch+"key = { a = \"x\", b = \"\" }", "is no column's name")
	f(watch+"key = { a = \"x\", b = \"y\" }\ncolumns = [\"z\", \"z\"]", `names "z" twice`)
	f(watch+"key = { a = \"x\", b = \"y\" }\ncolumns = []", "is empty, so that no change would count")
	f(watch+"keys = \"SELECT a, b FROM t WHERE id = {row.id}\"\ncolumns = [\"z\"]", "")
	f(watch+"all = true\ncolumns = [\"z\"]", "")
	f(watch+"all = false", "false says nothing")
	f(watch, "does not say which records")
	f(watch+"all = true\nkeys = \"SELECT\"", "is set together with keys")
	f("[[resource.watch]]\nall = true", "resource.watch.table: is missing")
	f("[[resource.watch]]\ntable = \"\"\nall = true", "is no table's name")
	f(watch+"key = { a = \"x\", b = \"y\" }\n"+watch+"key = { b = \"y\", a = \"x\" }\ncolumns = [\"z\"]", "is watched with the same meaning already (line 10)")
	f(watch+"key = { a = \"x\", b = \"y\" }\n"+watch+"key = { a = \"z\", b = \"y\" }", "") // a transfer has two ends
	f("[[resource]]\nname = \"s\"\npath = \"/s\"\nkey = \"s\"\nselect = \"S\"\n"+watch+"all = true", "")
	f("[[resource]]\nname = \"s\"\npath = \"/s\"\nkey = \"s\"\nselect = \"S\"\n"+watch+"key = {}", "finds parameters, and the path has none; write all = true")
	f("[[resource]]\nname = \"s\"\npath = \"/s\"\nkey = \"s\"\n"+watch+"all = true", "resource.watch: needs select")
	f("[[resource]]\nname = \"s\"\npath = \"/s\"\nkey = \"s\"\nwatch = \"none\"", "resource.watch: needs select")

	c := mustLoad(t, start+watch+"keys = \"K\"\ncolumns = [\"z\"]\n[[resource]]\nname = \"s\"\npath = \"/s\"\nkey = \"s\"\nselect = \"S\"\nwatch = \"none\"")
	want := []config.Watch{{Table: "t", Keys: "K", Columns: []string{"z"}}}
	if diff := cmp.Diff(want, c.Resources[0].Watches); diff != "" || c.Resources[0].Unwatched {
		t.Errorf("watches, -want +got:\n%s", diff)
	}
	if r := c.Resources[1]; !r.Unwatched || len(r.Watches) > 0 {
		t.Errorf("got %+v, want none", r)
	}
}

// TestWatchesThatRest: what the feed would go by is no fault while it is off, and worth a
// word.
func TestWatchesThatRest(t *testing.T) {
	const text = "[database]\nurl = \"sqlite:a.db\"\n[[resource]]\nname = \"r\"\npath = \"/r\"\nkey = \"r\"\nselect = \"S\"\n[[resource.watch]]\ntable = \"t\"\nall = true\n"
	c := mustLoad(t, text)
	if len(c.Warnings) != 1 {
		t.Errorf("got the warnings %q, want one", c.Warnings)
	}
	if c = mustLoad(t, text, "HEARTH_FEED_MODE=outbox"); len(c.Warnings) != 0 {
		t.Errorf("got the warnings %q, want none", c.Warnings)
	}
}
