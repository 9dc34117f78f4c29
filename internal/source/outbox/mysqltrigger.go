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
	table   mysqlRelation
	columns []mysqlColumn // of the table
	flush   int           // Options.FlushRows
	notes   []string
}

// setIn looks a set's table up. gone are columns that the table does not have.
func (c *mysqlCatalog) setIn(s Set, o Options) (m *mysqlSet, gone []string, err error) {
	m = &mysqlSet{Set: s, catalog: c, flush: flushRows(o)}
	if m.table, _, err = c.find(s.Table); err != nil {
		return nil, nil, err
	}
	if m.columns, err = c.columns(m.table); err != nil {
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
		m.trigger("i", "AFTER INSERT", m.table, m.insert("JSON_ARRAY("+m.object("NEW", nil)+")")),
		m.trigger("u", "AFTER UPDATE", m.table, m.update()),
		m.trigger("d", "AFTER DELETE", m.table, m.insert("JSON_ARRAY("+m.object("OLD", nil)+")")),
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
		"  DECLARE EXIT HANDLER FOR 1054, 1146\n" +
		"  BEGIN\n" +
		"    DECLARE CONTINUE HANDLER FOR 1146 BEGIN END;\n" +
		"    " + m.insertIn(table, "NULL", "NULL") + ";\n" +
		"  END;\n" +
		"  " + does + ";\n" +
		"END"
	h := fnv.New32a()
	fmt.Fprint(h, Version, "\x00", when, "\x00", table.text(), "\x00", body)
	return mysqlTrigger{name: fmt.Sprintf("hearth_%d_%s_%08x", m.ID, kind, h.Sum32()), table: table, when: when, body: body}
}

// insert writes a row of the outbox from a trigger of the watched table.
func (m *mysqlSet) insert(data string) string {
	return m.insertIn(m.table, data, "LEFT(@hearth_writer, 255)")
}

// insertIn does so from a trigger of any table.
func (m *mysqlSet) insertIn(table mysqlRelation, data, writer string) string {
	return fmt.Sprintf("INSERT INTO %s (`watch`, `data`, `writer`) VALUES (%d, %s, %s)", m.feedFrom(table), m.ID, data, writer)
}

// feedFrom is the outbox as a trigger of a table names it.
func (m *mysqlSet) feedFrom(table mysqlRelation) string {
	if table.schema == "" {
		return "`hearth_feed`"
	}
	return mysqlNames(m.catalog.home, "hearth_feed")
}

// update tells the row as it is, and as it was if that is another one by what is captured.
func (m *mysqlSet) update() string {
	data := "JSON_ARRAY(" + m.object("NEW", nil) + ")"
	if len(m.Captured) > 0 {
		data = fmt.Sprintf("IF(%s, %s, JSON_ARRAY(%s, %s))", m.same(m.Captured), data, m.object("OLD", nil), m.object("NEW", nil))
	}
	if len(m.Filter) == 0 {
		return m.insert(data)
	}
	counts := slices.Clone(m.Filter)
	for _, name := range m.Captured {
		if !slices.ContainsFunc(counts, func(c string) bool { return strings.EqualFold(c, name) }) {
			counts = append(counts, name)
		}
	}
	return fmt.Sprintf("IF NOT (%s) THEN\n    %s;\n  END IF", m.same(counts), m.insert(data))
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
	switch {
	case err != nil:
		return nil, nil, err
	case len(m.columns) == 0:
		return nil, nil, fmt.Errorf("there is no table %q any more; run: hearth feed install -prune -apply", s.Table)
	case len(gone) > 0:
		return nil, nil, fmt.Errorf("table %q has no column %q; change the resource's watch, and run: hearth feed install -prune -apply", s.Table, gone[0])
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
	return c.exchange(s.ID, want, there), m.notes, nil
}

// exchange puts the triggers of a set in the place of those that are there.
func (c *mysqlCatalog) exchange(id int32, want, there []mysqlTrigger) []string {
	var creates, drops []string
	for _, t := range want {
		if !slices.ContainsFunc(there, t.is) {
			creates = append(creates, t.create(true))
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
	// A trigger keeps the sql_mode that it was created under. A strict one may refuse what
	// it is to write down, and with that the application's write.
	statements := append([]string{"SET @hearth_sql_mode = @@SESSION.sql_mode", "SET SESSION sql_mode = ''"}, creates...)
	statements = append(statements, "SET SESSION sql_mode = @hearth_sql_mode")
	// What was changed before nobody has told.
	statements = append(statements, fmt.Sprintf("INSERT INTO `hearth_feed` (`watch`, `data`) VALUES (%d, NULL)", id))
	return append(statements, drops...)
}

// is tells whether two triggers are one.
func (t mysqlTrigger) is(other mysqlTrigger) bool {
	return t.name == other.name && t.table == other.table
}
