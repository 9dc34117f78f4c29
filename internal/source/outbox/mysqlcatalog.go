package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// mysqlCatalog is what the database says of itself. It asks for one table at a time, by
// its name: then neither server looks at others, so it may be asked every second.
type mysqlCatalog struct {
	ctx    context.Context
	engine engine.Engine
	home   string // the database that the outbox is in
	user   string // the account that the session has
	maria  bool   // MariaDB, or else MySQL
	number int    // of the version, 80029 for 8.0.29

	keys map[mysqlRelation][]mysqlReference // what references has found
}

// mysqlColumn is a column as it is declared.
type mysqlColumn struct {
	name string
	kind string // int, varchar, without length
	full string // int(10) unsigned
}

// mysqlRelation is the name of a table; schema is "" for the database of the outbox.
type mysqlRelation struct{ schema, name string }

// text is Set.Table.
func (r mysqlRelation) text() string {
	if r.schema == "" {
		return r.name
	}
	return r.schema + "." + r.name
}

func (r mysqlRelation) quoted() string { return mysqlNames(r.schema, r.name) }

// catalogOf asks which database the session is in, and whose.
func catalogOf(ctx context.Context, e engine.Engine) (*mysqlCatalog, error) {
	c := &mysqlCatalog{ctx: ctx, engine: e, keys: map[mysqlRelation][]mysqlReference{}}
	rows, err := c.ask("SELECT DATABASE(), CURRENT_USER(), VERSION()")
	if err != nil {
		return nil, err
	}
	if c.home, c.user = rows[0][0], rows[0][1]; c.home == "" {
		return nil, errors.New("the URL names no database to hold the outbox; write it behind the host, as in mysql://host/name")
	}
	c.maria = strings.Contains(rows[0][2], "MariaDB")
	var major, minor, patch int
	if _, err := fmt.Sscanf(strings.TrimPrefix(rows[0][2], "5.5.5-"), "%d.%d.%d", &major, &minor, &patch); err != nil {
		return nil, fmt.Errorf("reading the server's version %q: %w", rows[0][2], err)
	}
	c.number = major*10000 + minor*100 + patch
	return c, nil
}

// knowsIfNotExists tells whether CREATE TRIGGER and CREATE PROCEDURE take IF NOT EXISTS.
// A script for a server before that creates what it lacked when the script was made.
func (c *mysqlCatalog) knowsIfNotExists() bool { return c.maria || c.number >= 80029 }

// tells whether the procedure is there by which triggers write.
func (c *mysqlCatalog) tells() (bool, error) {
	rows, err := c.ask("SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ? AND routine_name = ?", c.home, mysqlTell)
	return err == nil && rows[0][0] != "0", err
}

// ask returns rows as texts; NULL is "".
func (c *mysqlCatalog) ask(text string, args ...any) ([][]string, error) {
	res, err := c.engine.Query(c.ctx, engine.Query{SQL: text, Args: args})
	if err != nil {
		return nil, err
	}
	return textsOf(res), nil
}

// schemaOf is the schema of a relation by its name.
func (c *mysqlCatalog) schemaOf(r mysqlRelation) string {
	if r.schema == "" {
		return c.home
	}
	return r.schema
}

// relation is a name of the catalog as a relation.
func (c *mysqlCatalog) relation(schema, name string) mysqlRelation {
	if schema == c.home {
		schema = ""
	}
	return mysqlRelation{schema, name}
}

// mysqlEntry is a table as the catalog has it.
type mysqlEntry struct {
	mysqlRelation
	kind   string // BASE TABLE; "" if there is none
	engine string
	made   string // when it was created or altered last
	fresh  bool   // within the last seconds: it may happen again, and made be the same
}

// find returns the table of a Set or of a configuration. A name with a point in it is
// looked for as it is first.
func (c *mysqlCatalog) find(table string) (t mysqlEntry, err error) {
	candidates := []mysqlRelation{{"", table}}
	if schema, name, ok := strings.Cut(table, "."); ok {
		candidates = append(candidates, mysqlRelation{schema, name})
	}
	for _, r := range candidates {
		rows, err := c.ask("SELECT table_schema, table_name, table_type, engine, create_time, create_time > NOW() - INTERVAL 3 SECOND"+
			" FROM information_schema.tables WHERE table_schema = ? AND table_name = ?", c.schemaOf(r), r.name)
		if err != nil {
			return t, err
		}
		if len(rows) > 0 {
			row := rows[0]
			return mysqlEntry{c.relation(row[0], row[1]), row[2], row[3], row[4], row[5] == "1"}, nil
		}
	}
	return mysqlEntry{mysqlRelation: candidates[0]}, nil
}

// columns returns the columns of a table; none if there is no such table.
func (c *mysqlCatalog) columns(r mysqlRelation) (all []mysqlColumn, err error) {
	rows, err := c.ask("SELECT column_name, data_type, column_type FROM information_schema.columns"+
		" WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position", c.schemaOf(r), r.name)
	for _, row := range rows {
		all = append(all, mysqlColumn{row[0], strings.ToLower(row[1]), strings.ToLower(row[2])})
	}
	return all, err
}

// columnNamed finds a column by its name, which has no case on these servers.
func columnNamed(all []mysqlColumn, name string) (mysqlColumn, bool) {
	i := slices.IndexFunc(all, func(c mysqlColumn) bool { return strings.EqualFold(c.name, name) })
	if i < 0 {
		return mysqlColumn{}, false
	}
	return all[i], true
}

// mysqlReference is a foreign key.
type mysqlReference struct {
	name               string
	child, parent      mysqlRelation
	columns            []string // of the child
	referenced         []string // of the parent, in their order
	onDelete, onUpdate string
}

// changes tells whether the key changes rows of the child by itself.
func (k mysqlReference) changes() bool {
	does := func(rule string) bool { return rule == "CASCADE" || rule == "SET NULL" }
	return does(k.onDelete) || does(k.onUpdate)
}

// references returns the foreign keys of a table.
func (c *mysqlCatalog) references(child mysqlRelation) (all []mysqlReference, err error) {
	if known, ok := c.keys[child]; ok {
		return known, nil
	}
	schema := c.schemaOf(child)
	rows, err := c.ask(`SELECT r.constraint_name, k.referenced_table_schema, k.referenced_table_name,
			k.column_name, k.referenced_column_name, r.delete_rule, r.update_rule
		FROM information_schema.referential_constraints r JOIN information_schema.key_column_usage k
		ON k.constraint_schema = r.constraint_schema AND k.constraint_name = r.constraint_name AND k.table_name = r.table_name
		WHERE r.constraint_schema = ? AND r.table_name = ? AND k.table_schema = ? AND k.table_name = ?
			AND k.referenced_table_name IS NOT NULL
		ORDER BY r.constraint_name, k.ordinal_position`, schema, child.name, schema, child.name)
	for _, row := range rows {
		if len(all) == 0 || all[len(all)-1].name != row[0] {
			all = append(all, mysqlReference{name: row[0], child: child, parent: c.relation(row[1], row[2]),
				onDelete: strings.ToUpper(row[5]), onUpdate: strings.ToUpper(row[6])})
		}
		last := &all[len(all)-1]
		last.columns, last.referenced = append(last.columns, row[3]), append(last.referenced, row[4])
	}
	if err == nil {
		c.keys[child] = all
	}
	return all, err
}

// mysqlTrigger is a trigger of the outbox: as it is to be, or as it is.
type mysqlTrigger struct {
	name  string
	table mysqlRelation
	when  string // AFTER INSERT
	body  string
	by    string // the account that it runs as, where it is installed
}

// create is the statement. There is no gap in front of it: the name follows from the text,
// so the triggers of another text stand beside it until they are dropped.
func (t mysqlTrigger) create(ifMissing bool) string {
	condition := ""
	if ifMissing {
		condition = "IF NOT EXISTS "
	}
	return fmt.Sprintf("CREATE TRIGGER %s%s %s ON %s FOR EACH ROW\n%s", condition, t.quoted(), t.when, t.table.quoted(), t.body)
}

func (t mysqlTrigger) drop() string { return "DROP TRIGGER IF EXISTS " + t.quoted() }

func (t mysqlTrigger) quoted() string { return mysqlNames(t.table.schema, t.name) }

const selectTriggers = "SELECT trigger_schema, trigger_name, event_object_table, action_timing, event_manipulation, definer" +
	" FROM information_schema.triggers WHERE "

// calls is how triggers of a table name the procedure of this outbox. A database that
// another one watches, too, may have an outbox of its own.
func (c *mysqlCatalog) calls(schema string) string {
	if schema == "" {
		return "CALL `hearth_tell"
	}
	return "CALL " + mysqlName(c.home) + ".`hearth_tell"
}

// triggersOn returns the triggers of the outbox on one table.
func (c *mysqlCatalog) triggersOn(r mysqlRelation) ([]mysqlTrigger, error) {
	rows, err := c.ask(selectTriggers+"event_object_schema = ? AND event_object_table = ? AND INSTR(action_statement, ?) > 0",
		c.schemaOf(r), r.name, c.calls(r.schema))
	return c.triggersIn(rows), err
}

// triggersHere returns those of all tables of the outbox's own database.
func (c *mysqlCatalog) triggersHere() ([]mysqlTrigger, error) {
	rows, err := c.ask(selectTriggers+"event_object_schema = ? AND INSTR(action_statement, ?) > 0", c.home, c.calls(""))
	return c.triggersIn(rows), err
}

// triggersElsewhere returns those of other databases. It makes the server look at all
// tables that there are.
func (c *mysqlCatalog) triggersElsewhere() ([]mysqlTrigger, error) {
	rows, err := c.ask(selectTriggers+"event_object_schema <> ? AND INSTR(action_statement, ?) > 0", c.home, c.calls(c.home))
	return c.triggersIn(rows), err
}

func (c *mysqlCatalog) triggersIn(rows [][]string) (all []mysqlTrigger) {
	for _, row := range rows {
		if setOfTrigger(row[1]) != 0 {
			all = append(all, mysqlTrigger{name: row[1], table: c.relation(row[0], row[2]), when: row[3] + " " + row[4], by: row[5]})
		}
	}
	return all
}

// Canonical implements dialect.
func (mysql) Canonical(ctx context.Context, e engine.Engine, table string) (string, error) {
	c, err := catalogOf(ctx, e)
	if err != nil {
		return "", err
	}
	t, err := c.find(table)
	switch {
	case err != nil:
		return "", err
	case t.kind == "":
		return "", notWatched("there is no table %q, or the account has no right on it", table)
	case strings.Contains(t.kind, "VIEW"):
		return "", notWatched("%q is a view, which has no triggers: watch the tables that it reads", table)
	case t.kind != "BASE TABLE" && t.kind != "SYSTEM VERSIONED":
		return "", notWatched("%q is a %s, which has no triggers of rows", table, strings.ToLower(t.kind))
	}
	return t.text(), nil
}

// Columns implements columnLister.
func (mysql) Columns(ctx context.Context, e engine.Engine, table string) (names []string, err error) {
	c, err := catalogOf(ctx, e)
	if err != nil {
		return nil, err
	}
	t, err := c.find(table)
	if err != nil {
		return nil, err
	}
	columns, err := c.columns(t.mysqlRelation)
	for _, column := range columns {
		names = append(names, column.name)
	}
	return names, err
}
