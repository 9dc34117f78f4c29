package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"hearth/internal/source/engine"
)

// sqlite is the outbox in a file of SQLite: tables hearth_… beside the application's, and
// row triggers. Triggers run in whatever program writes, so they call nothing but what the
// library brings along.
type sqlite struct {
	path  string
	watch watcher
}

// newSqlite returns the dialect for a URL, nil if it is of another database, and a
// configuration for its engine.
//
// Taking rows out waits for the lock that the application's writers hold, and while it
// waits nothing is drained. So it waits shortly: what could not be taken out is taken out
// later. One connection more is for the watcher.
func newSqlite(cfg engine.Config) (*sqlite, engine.Config, error) {
	path, is := strings.CutPrefix(cfg.URL, "sqlite:")
	if !is {
		return nil, cfg, nil
	}
	if path = strings.TrimPrefix(path, "//"); path == ":memory:" {
		return nil, cfg, errors.New(`a database in memory has no change feed, as nobody else can write to it; name a file, or set feed.mode = "off"`)
	}
	cfg.MaxConns, cfg.Timeout = max(cfg.MaxConns, 1)+1, min(cfg.Timeout, sqliteBusy)
	return &sqlite{path: path}, cfg, nil
}

const sqliteBusy = 250 * time.Millisecond

// patiently does again for a while what meets the lock of a file's writer: an operator
// would rather wait than be told to come again.
func (o *Outbox) patiently(ctx context.Context, f func() error) error {
	err := f()
	for until := time.Now().Add(10 * time.Second); o.Lazy() && o.Busy(err) && ctx.Err() == nil && time.Now().Before(until); {
		err = f()
	}
	return err
}

// sqliteNow is the time in seconds since 1970, by what every version has.
const sqliteNow = "((julianday('now') - 2440587.5) * 86400.0)"

// Tables implements dialect. An id is never given twice, also when the outbox was empty in
// between: rows that were kept, or are about to be taken out, are known by theirs.
func (*sqlite) Tables() []string {
	const row = "watch INTEGER NOT NULL, data TEXT, writer TEXT NOT NULL DEFAULT '', at REAL NOT NULL DEFAULT " + sqliteNow
	return []string{
		"CREATE TABLE IF NOT EXISTS hearth_watch (id INTEGER PRIMARY KEY, tab TEXT NOT NULL, captured TEXT NOT NULL, filter TEXT NOT NULL," +
			" meanings TEXT NOT NULL, version INTEGER NOT NULL)",
		"CREATE TABLE IF NOT EXISTS hearth_feed (id INTEGER PRIMARY KEY AUTOINCREMENT, " + row + ")",
		"CREATE TABLE IF NOT EXISTS hearth_kept (id INTEGER PRIMARY KEY, " + row + ", kept_at REAL NOT NULL DEFAULT " + sqliteNow + ")",
		"CREATE TABLE IF NOT EXISTS hearth_drain (id INTEGER PRIMARY KEY, fleet TEXT NOT NULL DEFAULT '', instance TEXT NOT NULL DEFAULT ''," +
			" beat INTEGER NOT NULL DEFAULT 0, server TEXT NOT NULL DEFAULT '', at REAL)",
		"INSERT OR IGNORE INTO hearth_drain (id) VALUES (1)",
	}
}

// Remove implements dialect. The triggers are gone by then: see drops.
func (*sqlite) Remove([]Set) []string {
	return []string{
		"DROP TABLE IF EXISTS hearth_feed", "DROP TABLE IF EXISTS hearth_kept",
		"DROP TABLE IF EXISTS hearth_watch", "DROP TABLE IF EXISTS hearth_drain",
	}
}

// Without implements dialect: drops finds the triggers.
func (*sqlite) Without(Set) []string { return nil }

// Texts implements dialect.
func (d *sqlite) Texts() texts {
	const read = "SELECT id, watch, data, writer, " + sqliteNow + " - at FROM %s WHERE id > ? ORDER BY id LIMIT ?"
	return texts{
		Read:    fmt.Sprintf(read, "hearth_feed"),
		Kept:    fmt.Sprintf(read, "hearth_kept"),
		Done:    func(ids []int64) engine.Query { return amongIDs("DELETE FROM hearth_feed WHERE id IN", ids) },
		Expire:  "DELETE FROM hearth_kept WHERE kept_at < " + sqliteNow + " - ?",
		Size:    "SELECT count(*), (SELECT " + sqliteNow + " - at FROM hearth_feed ORDER BY id LIMIT 1) FROM hearth_feed",
		Sets:    "SELECT id, tab, captured, filter, meanings, version FROM hearth_watch ORDER BY id",
		Insert:  "INSERT INTO hearth_feed (watch, data) VALUES (?, ?)",
		Pulse:   "SELECT fleet, beat, server, " + sqliteNow + " - at, " + sqliteText(d.server()) + " FROM hearth_drain WHERE id = 1",
		Note:    "UPDATE hearth_drain SET fleet = ?, instance = ?, beat = ?, server = ?, at = " + sqliteNow + " WHERE id = 1",
		Drainer: "SELECT fleet, instance, beat, " + sqliteNow + " - at FROM hearth_drain WHERE id = 1",
		Save:    saveSqlite,
		Forget:  func(id int32) string { return fmt.Sprintf("DELETE FROM hearth_watch WHERE id = %d", id) },
	}
}

// server tells one file from another of the same name. A backup that is put in place by
// its name may be so recent that its beat alone shows nothing.
func (d *sqlite) server() string {
	info, err := os.Stat(d.path)
	if err != nil {
		return "" // whoever opens it says what is wrong
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("inode %d", stat.Ino)
	}
	return ""
}

// saveSqlite implements texts.Save. Nobody has told of what concerns a meaning before it
// stands there, so everything is removed that it concerns.
func saveSqlite(s Set, _ Options) string {
	meanings := sqliteText(listOf(s.Meanings))
	return fmt.Sprintf("INSERT INTO hearth_feed (watch, data) SELECT %d, NULL WHERE NOT EXISTS (SELECT 1 FROM hearth_watch WHERE id = %d AND meanings = %s);\n"+
		"INSERT OR REPLACE INTO hearth_watch (id, tab, captured, filter, meanings, version) VALUES (%d, %s, %s, %s, %s, %d)",
		s.ID, s.ID, meanings, s.ID, sqliteText(s.Table), sqliteText(listOf(s.Captured)), sqliteText(listOf(s.Filter)), meanings, s.Version)
}

// Keep implements dialect.
func (*sqlite) Keep(ids []int64) []engine.Query {
	return []engine.Query{
		amongIDs("INSERT OR IGNORE INTO hearth_kept (id, watch, data, writer, at) SELECT id, watch, data, writer, at FROM hearth_feed WHERE id IN", ids),
		amongIDs("DELETE FROM hearth_feed WHERE id IN", ids),
	}
}

// amongIDs ends a statement with a list of ids, as one value: its text stays the same.
func amongIDs(text string, ids []int64) engine.Query {
	list, err := json.Marshal(ids)
	if err != nil {
		panic("BUG: a list of numbers is no JSON: " + err.Error())
	}
	return engine.Query{SQL: text + " (SELECT value FROM json_each(?))", Args: []any{string(list)}, Uncounted: true}
}

// Moved implements dialect.
func (d *sqlite) Moved(ctx context.Context, e engine.Engine) (bool, error) {
	return d.watch.moved(ctx, e)
}

// Close ends the watcher's connection.
func (d *sqlite) Close() error { return d.watch.close() }

// sqliteName quotes an identifier.
func sqliteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// sqliteText is a text as a literal.
func sqliteText(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''") + "'"
}
