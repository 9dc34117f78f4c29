package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"hearth/internal/source/engine"
)

// mysql is the outbox in MySQL and MariaDB: tables hearth_… beside the application's, and
// row triggers, which are all that there are.
//
// Tables of the outbox have no database before their names: within a trigger a bare name
// is of the database that the watched table is in, also where a dump of it was restored
// under another name. A copy must not write into the outbox of its original.
type mysql struct{}

// drainSession is what the drain's sessions are set to when they connect, as a value of
// autocommit. Each read sees the latest commits, and deleting rows that are gone locks no
// gap: under REPEATABLE READ an application's trigger would wait behind that lock with
// the row that it is to insert.
//
// The variable has another name on each server. MariaDB alone reads /*M!, and skips
// /*! with the versions of MySQL 5.7.
const drainSession = "1 /*M!100000 , tx_isolation = 'READ-COMMITTED' */ /*!50720 , transaction_isolation = 'READ-COMMITTED' */"

// mysqlSession returns a URL of MySQL whose sessions are those of the drain, and any other
// as it is.
func mysqlSession(address string) string {
	if !strings.HasPrefix(address, "mysql:") && !strings.HasPrefix(address, "mariadb:") {
		return address
	}
	before, query, _ := strings.Cut(address, "?")
	settings, err := url.ParseQuery(query)
	if err != nil {
		return address // whoever opens it tells better what is wrong
	}
	for _, name := range []string{"autocommit", "transaction_isolation", "tx_isolation"} {
		settings.Del(name)
		settings.Del("@@" + name)
	}
	settings.Set("autocommit", drainSession)
	return before + "?" + settings.Encode()
}

// mysqlTable ends the definition of a table of the outbox: InnoDB, as a change and its row
// commit together, and names compared by their bytes.
const mysqlTable = " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// Tables says first that the script is in UTF-8: the client that runs it may believe
// otherwise. CREATE and DROP TRIGGER wait for all transactions that have touched their
// table, and all statements for them: not for the day that the server would let them.
func (mysql) Tables() []string {
	const row = "`id` BIGINT NOT NULL %s, `watch` INT NOT NULL, `data` LONGTEXT NULL, `writer` VARCHAR(255) NULL," +
		" `at` TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)"
	return []string{
		"SET NAMES utf8mb4",
		mysqlPatience,
		"CREATE TABLE IF NOT EXISTS `hearth_watch` (`id` INT NOT NULL PRIMARY KEY, `tab` VARCHAR(255) NOT NULL," +
			" `captured` LONGTEXT NOT NULL, `filter` LONGTEXT NOT NULL, `meanings` LONGTEXT NOT NULL, `version` INT NOT NULL," +
			" `flush_rows` BIGINT NOT NULL, `seen` LONGTEXT NULL)" + mysqlTable,
		"CREATE TABLE IF NOT EXISTS `hearth_feed` (" + fmt.Sprintf(row, "AUTO_INCREMENT PRIMARY KEY") + ")" + mysqlTable,
		"CREATE TABLE IF NOT EXISTS `hearth_kept` (" + fmt.Sprintf(row, "PRIMARY KEY") + "," +
			" `kept_at` TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY `kept_at` (`kept_at`))" + mysqlTable,
		"CREATE TABLE IF NOT EXISTS `hearth_drain` (`id` INT NOT NULL PRIMARY KEY, `fleet` VARCHAR(255) NOT NULL DEFAULT ''," +
			" `instance` VARCHAR(255) NOT NULL DEFAULT '', `beat` BIGINT NOT NULL DEFAULT 0, `server` VARCHAR(1024) NOT NULL DEFAULT ''," +
			" `at` TIMESTAMP(6) NULL DEFAULT NULL)" + mysqlTable,
		"INSERT IGNORE INTO `hearth_drain` (`id`) VALUES (1)",
	}
}

const mysqlPatience = "SET SESSION lock_wait_timeout = 2"

// Remove leaves the triggers to drops.
func (mysql) Remove([]Set) []string {
	return []string{"DROP PROCEDURE IF EXISTS " + mysqlName(mysqlTell), "DROP TABLE IF EXISTS `hearth_feed`, `hearth_kept`, `hearth_watch`, `hearth_drain`"}
}

// Without leaves the triggers to drops.
func (mysql) Without(Set) []string { return nil }

// mysqlServer tells one server from another. MariaDB has no server_uuid.
const mysqlServer = "CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@datadir /*!50700 , @@server_uuid */)"

// mysqlAge is the age of a row in seconds. A TIMESTAMP is a moment, whatever time zones
// the sessions are in.
const mysqlAge = "UNIX_TIMESTAMP(CURRENT_TIMESTAMP(6)) - UNIX_TIMESTAMP(`at`)"

func (mysql) Texts() texts {
	const read = "SELECT `id`, `watch`, `data`, `writer`, " + mysqlAge + " FROM %s WHERE `id` > ? ORDER BY `id` LIMIT ?"
	return texts{
		Read:   fmt.Sprintf(read, "`hearth_feed`"),
		Kept:   fmt.Sprintf(read, "`hearth_kept`"),
		Done:   func(ids []int64) engine.Query { return byIDs("DELETE FROM `hearth_feed` WHERE `id` IN ", ids) },
		Expire: "DELETE FROM `hearth_kept` WHERE `kept_at` < CURRENT_TIMESTAMP(6) - INTERVAL ? SECOND",
		Size: "SELECT (SELECT COUNT(*) FROM `hearth_feed`)," +
			" (SELECT " + mysqlAge + " FROM `hearth_feed` ORDER BY `id` LIMIT 1)",
		Sets:   "SELECT `id`, `tab`, `captured`, `filter`, `meanings`, `version` FROM `hearth_watch` ORDER BY `id`",
		Insert: "INSERT INTO `hearth_feed` (`watch`, `data`) VALUES (?, ?)",
		Pulse: "SELECT `fleet`, `beat`, `server`, " + mysqlAge + ", " + mysqlServer +
			" FROM `hearth_drain` WHERE `id` = 1 FOR UPDATE",
		Note:    "UPDATE `hearth_drain` SET `fleet` = ?, `instance` = ?, `beat` = ?, `server` = ?, `at` = CURRENT_TIMESTAMP(6) WHERE `id` = 1",
		Drainer: "SELECT `fleet`, `instance`, `beat`, " + mysqlAge + " FROM `hearth_drain` WHERE `id` = 1",
		Save:    saveMysql,
		Forget: func(id int32) string {
			return fmt.Sprintf("DELETE FROM `hearth_watch` WHERE `id` = %d", id)
		},
	}
}

func saveMysql(s Set, o Options) string {
	return fmt.Sprintf("INSERT INTO `hearth_watch` (`id`, `tab`, `captured`, `filter`, `meanings`, `version`, `flush_rows`)"+
		" VALUES (%d, %s, %s, %s, %s, %d, %d) ON DUPLICATE KEY UPDATE `tab` = VALUES(`tab`), `captured` = VALUES(`captured`),"+
		" `filter` = VALUES(`filter`), `meanings` = VALUES(`meanings`), `version` = VALUES(`version`), `flush_rows` = VALUES(`flush_rows`)",
		s.ID, mysqlText(s.Table), mysqlText(listOf(s.Captured)), mysqlText(listOf(s.Filter)), mysqlText(listOf(s.Meanings)), s.Version, flushRows(o))
}

// flushRows is how many rows below one row a trigger names.
func flushRows(o Options) int {
	if o.FlushRows <= 0 {
		return 100_000
	}
	return o.FlushRows
}

// listOf is a list as JSON, as an operator wants to read it.
func listOf[T any](list []T) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if len(list) == 0 || enc.Encode(list) != nil { // strings all the way down: they encode
		return "[]"
	}
	return strings.TrimSpace(b.String())
}

// Keep copies before it deletes. Both lock the rows that there are and nothing else.
func (mysql) Keep(ids []int64) []engine.Query {
	return []engine.Query{
		byIDs("INSERT IGNORE INTO `hearth_kept` (`id`, `watch`, `data`, `writer`, `at`)"+
			" SELECT `id`, `watch`, `data`, `writer`, `at` FROM `hearth_feed` WHERE `id` IN ", ids),
		byIDs("DELETE FROM `hearth_feed` WHERE `id` IN ", ids),
	}
}

// byIDs ends a statement with a list of ids.
func byIDs(text string, ids []int64) engine.Query {
	q := engine.Query{Varies: true, SQL: text + "(?" + strings.Repeat(",?", len(ids)-1) + ")", Args: make([]any, len(ids))}
	for i, id := range ids {
		q.Args[i] = id
	}
	return q
}

// Moved has nothing to ask that would be cheaper than to look.
func (mysql) Moved(context.Context, engine.Engine) (bool, error) { return true, nil }

// mysqlName quotes an identifier.
func mysqlName(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// mysqlNames quotes the parts of a name, and leaves out an empty one.
func mysqlNames(parts ...string) string {
	var quoted []string
	for _, part := range parts {
		if part != "" {
			quoted = append(quoted, mysqlName(part))
		}
	}
	return strings.Join(quoted, ".")
}

// mysqlText is a text as a literal. A backslash means one thing or another by the
// session's sql_mode, so a text that has one is written in hexadecimal.
func mysqlText(text string) string {
	if strings.ContainsAny(text, "\\\x00") {
		return fmt.Sprintf("_utf8mb4 X'%X'", text)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
