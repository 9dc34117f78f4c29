package outbox

import (
	"context"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/source/engine"
)

// triggerName is a name of the outbox's triggers: hearth_SET_KIND_HASH, with the kind i, u
// or d for the watched table itself, and pd or pu for a table above it.
var triggerName = regexp.MustCompile(`^hearth_([0-9]+)_(i|u|d|pd|pu)_[0-9a-f]{8}$`)

// setOfTrigger is the id of the set that a trigger is of, 0 for one that is none of ours.
func setOfTrigger(name string) int32 {
	found := triggerName.FindStringSubmatch(name)
	if found == nil {
		return 0
	}
	id, err := strconv.ParseInt(found[1], 10, 32)
	if err != nil {
		return 0
	}
	return int32(id)
}

// mysqlSet is a set whose triggers are to be written.
type mysqlSet struct {
	Set
	catalog *mysqlCatalog
	table   mysqlEntry
	columns []mysqlColumn // of the table
	flush   int           // Options.FlushRows
}

// setIn looks a set's table up. gone are columns that the table does not have.
func (c *mysqlCatalog) setIn(s Set, o Options) (m *mysqlSet, gone []string, err error) {
	m = &mysqlSet{Set: s, catalog: c, flush: flushRows(o)}
	if m.table, err = c.find(s.Table); err != nil {
		return nil, nil, err
	}
	if m.columns, err = c.columns(m.table.mysqlRelation); err != nil {
		return nil, nil, err
	}
	for _, name := range append(slices.Clone(s.Captured), s.Filter...) {
		if _, ok := columnNamed(m.columns, name); !ok && !slices.Contains(gone, name) {
			gone = append(gone, name)
		}
	}
	return m, gone, nil
}

// triggers are all that a set needs.
func (m *mysqlSet) triggers() ([]mysqlTrigger, error) {
	own := []mysqlTrigger{
		m.trigger("i", "AFTER INSERT", m.table.mysqlRelation, m.own("JSON_ARRAY("+m.object("NEW", nil)+")")),
		m.trigger("u", "AFTER UPDATE", m.table.mysqlRelation, m.update()),
		m.trigger("d", "AFTER DELETE", m.table.mysqlRelation, m.own("JSON_ARRAY("+m.object("OLD", nil)+")")),
	}
	above, err := m.cascades()
	return append(own, above...), err
}

// trigger wraps what a trigger does. A column that its table has no more, or a table that
// the database has no more, must not fail the application's write: then everything has
// changed, as far as the outbox is there to say so.
//
// Nothing else may be caught. Once a deadlock has rolled a transaction back, whoever runs
// it has to hear of that.
func (m *mysqlSet) trigger(kind, when string, table mysqlRelation, does string) mysqlTrigger {
	body := "BEGIN\n" +
		"  DECLARE EXIT HANDLER FOR 1054, 1146, 1305\n" +
		"  BEGIN\n" +
		"    DECLARE CONTINUE HANDLER FOR 1305 BEGIN END;\n" +
		"    " + m.tell(table, "NULL") + ";\n" +
		"  END;\n" +
		"  " + does + ";\n" +
		"END"
	h := fnv.New32a()
	fmt.Fprint(h, Version, "\x00", when, "\x00", table.text(), "\x00", body)
	return mysqlTrigger{name: fmt.Sprintf("hearth_%d_%s_%08x", m.ID, kind, h.Sum32()), table: table, when: when, body: body}
}

// tell has a trigger of a table write a row of the outbox.
func (m *mysqlSet) tell(table mysqlRelation, data string) string {
	home := ""
	if table.schema != "" {
		home = m.catalog.home
	}
	return fmt.Sprintf("CALL %s(%d, %s, LEFT(@hearth_writer, 255))", mysqlNames(home, mysqlTell), m.ID, data)
}

// own has a trigger of the watched table do so.
func (m *mysqlSet) own(data string) string { return m.tell(m.table.mysqlRelation, data) }

// mysqlTell is the procedure that writes a row of the outbox. All triggers do it by this
// one: after LOCK TABLES on a table with triggers for several events that each name the
// outbox, MariaDB refuses every write (1442, the outbox is used already). Its name has a
// number, so that another text of it can stand beside it.
const mysqlTell = "hearth_tell_1"

// createTell are the statements that create it.
func (c *mysqlCatalog) createTell() []string {
	const body = "(`set_id` INT, `told` LONGTEXT CHARACTER SET utf8mb4, `by_writer` VARCHAR(255) CHARACTER SET utf8mb4) MODIFIES SQL DATA\n" +
		"BEGIN\n" +
		"  DECLARE CONTINUE HANDLER FOR 1054, 1146 BEGIN END;\n" +
		"  INSERT INTO `hearth_feed` (`watch`, `data`, `writer`) VALUES (`set_id`, `told`, `by_writer`);\n" +
		"END"
	if c.knowsIfNotExists() {
		return []string{"CREATE PROCEDURE IF NOT EXISTS " + mysqlName(mysqlTell) + body}
	}
	return []string{"DROP PROCEDURE IF EXISTS " + mysqlName(mysqlTell), "CREATE PROCEDURE " + mysqlName(mysqlTell) + body}
}

// update tells the row as it is, and as it was if that is another one by what is captured.
func (m *mysqlSet) update() string {
	data := "JSON_ARRAY(" + m.object("NEW", nil) + ")"
	if len(m.Captured) > 0 {
		data = fmt.Sprintf("IF(%s, %s, JSON_ARRAY(%s, %s))", m.same(m.Captured), data, m.object("OLD", nil), m.object("NEW", nil))
	}
	if len(m.Filter) == 0 {
		return m.own(data)
	}
	counts := slices.Clone(m.Filter)
	for _, name := range m.Captured {
		if !slices.ContainsFunc(counts, func(c string) bool { return strings.EqualFold(c, name) }) {
			counts = append(counts, name)
		}
	}
	return fmt.Sprintf("IF NOT (%s) THEN\n    %s;\n  END IF", m.same(counts), m.own(data))
}

// object is a row as JSON. Values in instead are expressions for columns of those names.
func (m *mysqlSet) object(row string, instead map[string]string) string {
	var pairs []string
	for _, name := range m.Captured {
		column, _ := columnNamed(m.columns, name)
		value := row + "." + mysqlName(name)
		if with, ok := instead[strings.ToLower(name)]; ok {
			value = with
		}
		pairs = append(pairs, mysqlText(name)+", "+m.shown(column, value))
	}
	return "JSON_OBJECT(" + strings.Join(pairs, ", ") + ")"
}

// same compares columns of OLD and NEW.
func (m *mysqlSet) same(names []string) string {
	var all []string
	for _, name := range names {
		column, _ := columnNamed(m.columns, name)
		all = append(all, column.same("OLD."+mysqlName(name), "NEW."+mysqlName(name)))
	}
	return strings.Join(all, " AND ")
}

// kinds of columns by what their values are to the outbox.
var (
	mysqlNumbers = []string{"tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year"}
	mysqlBinary  = []string{"varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
	mysqlTimes   = []string{"date", "time", "datetime", "uuid", "inet4", "inet6"}
	mysqlShapes  = []string{"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
		"geometrycollection", "geomcollection", "vector"}
)

// same compares two values of a column to the last bit: a collation says that 'A' is 'a',
// and of two moments in the night when clocks are set back one is told like the other.
func (c mysqlColumn) same(a, b string) string {
	switch {
	case c.kind == "timestamp":
		a, b = "UNIX_TIMESTAMP("+a+")", "UNIX_TIMESTAMP("+b+")"
	case !slices.Contains(mysqlNumbers, c.kind) && !slices.Contains(mysqlTimes, c.kind) && c.kind != "bit":
		a, b = "CAST("+a+" AS BINARY)", "CAST("+b+" AS BINARY)"
	}
	return a + " <=> " + b
}

// shown is a value of a column as it stands in the outbox: as a client of Hearth writes
// it in a path.
func (m *mysqlSet) shown(c mysqlColumn, value string) string {
	switch {
	case value == "NULL":
		return value
	case c.kind == "bit" || strings.Contains(c.full, "zerofill"): // 007 is no JSON
		return value + " + 0"
	case slices.Contains(mysqlNumbers, c.kind):
		return value
	case c.kind == "timestamp": // in UTC, whatever time zone the writer's session is in
		return "CAST('1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(" + value + ") SECOND AS CHAR)"
	case slices.Contains(mysqlTimes, c.kind):
		return "CAST(" + value + " AS CHAR)"
	case c.full == "binary(16)" || c.kind == "varbinary" && m.isUUID(c.name):
		text := "LOWER(HEX(" + value + "))"
		for _, at := range []int{9, 14, 19, 24} {
			text = fmt.Sprintf("INSERT(%s, %d, 0, '-')", text, at)
		}
		return text
	case c.kind == "binary" || slices.Contains(mysqlShapes, c.kind):
		return "LOWER(HEX(" + value + "))"
	case slices.Contains(mysqlBinary, c.kind): // text, if it is one
		text := "CONVERT(" + value + " USING utf8mb4)"
		return fmt.Sprintf("IF(CAST(%s AS BINARY) <=> %s, %[1]s, LOWER(HEX(%[2]s)))", text, value)
	}
	return "CONVERT(" + value + " USING utf8mb4)"
}

// isUUID tells whether a meaning reads a column as a uuid.
func (m *mysqlSet) isUUID(column string) bool {
	return slices.ContainsFunc(m.Meanings, func(meaning Meaning) bool {
		return slices.ContainsFunc(meaning.Params, func(p Param) bool {
			return p.Type == "uuid" && strings.EqualFold(p.Column, column)
		})
	})
}

// Triggers implements dialect. What is new stands before what is old is dropped, so that
// no write in between goes untold; a write that both tell is told twice.
func (mysql) Triggers(ctx context.Context, e engine.Engine, s Set, o Options) (statements, notes []string, err error) {
	c, err := catalogOf(ctx, e)
	if err != nil {
		return nil, nil, err
	}
	m, gone, err := c.setIn(s, o)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range gone {
		if slices.Contains(s.Captured, name) {
			return nil, nil, fmt.Errorf("table %q has no column %q; correct resource.watch", s.Table, name)
		}
		// A set of another configuration, which nobody can read by any more.
		m.Filter = slices.DeleteFunc(slices.Clone(m.Filter), func(c string) bool { return c == name })
	}
	want, err := m.triggers()
	if err != nil {
		return nil, nil, err
	}
	there, err := c.triggersHere()
	if err != nil {
		return nil, nil, err
	}
	for i, t := range want {
		if t.table.schema == "" || slices.ContainsFunc(want[:i], func(o mysqlTrigger) bool { return o.table == t.table }) {
			continue
		}
		elsewhere, err := c.triggersOn(t.table)
		if err != nil {
			return nil, nil, err
		}
		there = append(there, elsewhere...)
	}
	notes, err = m.notes(want)
	if err != nil {
		return nil, nil, err
	}
	tells, err := c.tells()
	return c.exchange(s.ID, want, there, tells), notes, err
}

// exchange puts the triggers of a set in the place of those that are there.
func (c *mysqlCatalog) exchange(id int32, want, there []mysqlTrigger, tells bool) []string {
	var creates, drops []string
	if !tells {
		creates = c.createTell()
	}
	for _, t := range want {
		if !slices.ContainsFunc(there, t.is) {
			creates = append(creates, t.create(c.knowsIfNotExists()))
		}
	}
	for _, t := range there {
		if setOfTrigger(t.name) == id && !slices.ContainsFunc(want, t.is) {
			drops = append(drops, t.drop())
		}
	}
	if len(creates) == 0 {
		return drops
	}
	// What was changed before nobody has told.
	return slices.Concat(lenient(creates), []string{fmt.Sprintf("INSERT INTO `hearth_feed` (`watch`, `data`) VALUES (%d, NULL)", id)}, drops)
}

// lenient are definitions under no sql_mode: triggers and procedures keep the one that they
// were created under, and a strict one may refuse what they are to write down, and with
// that the application's write.
func lenient(definitions []string) []string {
	return slices.Concat([]string{"SET @hearth_sql_mode = @@SESSION.sql_mode", "SET SESSION sql_mode = ''"}, definitions,
		[]string{"SET SESSION sql_mode = @hearth_sql_mode"})
}

// is tells whether two triggers are one.
func (t mysqlTrigger) is(other mysqlTrigger) bool {
	return t.name == other.name && t.table == other.table
}
