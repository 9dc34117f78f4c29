package draft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"hearth/internal/param"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// askWithin bounds all that a draft asks of a database.
const askWithin = 30 * time.Second

// Database drafts a configuration for tables of a database. It reads the catalogue, and one key of
// each table as an example, and changes nothing. written is the URL as the configuration has it.
func Database(ctx context.Context, o Options, written string) (*Draft, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	e, err := database.Engine(engine.Config{URL: o.From, MaxConns: 2, Timeout: askWithin, Look: true})
	if err != nil {
		return nil, fmt.Errorf("%w (-from)", err)
	}
	defer func() { _ = e.Close() }()
	if err := e.Open(); err != nil {
		return nil, fmt.Errorf("opening the database of -from: %w", err)
	}
	c := catalogues[e.Dialect()]
	tables, err := readTables(ctx, e, c)
	if err != nil {
		return nil, fmt.Errorf("reading the tables of the database of -from: %w", err)
	}
	if err := isNamed(ctx, e, tables); err != nil {
		return nil, err
	}
	d := &Draft{}
	chosen, err := choose(d, tables, o.Names, e.Dialect())
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	head(&b, o, written)
	p, err := e.Prober(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the database of -from: %w", err)
	}
	defer p.End()
	given := names{}
	for _, t := range chosen {
		w := tableWriter{draft: d, out: &b, quoter: quoterOf(ctx, e, t), table: t, first: len(d.Resources) == 0, feed: o.Feed, frozen: frozen(o.From)}
		w.write(ctx, e, p, given)
	}
	if len(d.Resources) == 0 {
		return nil, noneOf(d)
	}
	left(&b, d.Left)
	d.Text = []byte(b.String())
	return d, nil
}

// isNamed tells a URL that names no database from a database without tables, which on MySQL look alike.
func isNamed(ctx context.Context, e engine.Engine, tables []*table) error {
	if len(tables) > 0 || e.Dialect() != sqltext.MySQL {
		return nil
	}
	return eachRow(ctx, e, "SELECT coalesce(DATABASE(), '') AS name", func(r row) error {
		if r.text("name") == "" {
			return errors.New("the URL of -from names no database; write it as mysql://user@host/DATABASE")
		}
		return nil
	})
}

// readTables reads the catalogue.
func readTables(ctx context.Context, e engine.Engine, c catalogue) (tables []*table, err error) {
	byName := map[string]*table{}
	err = eachRow(ctx, e, c.columns, func(r row) error {
		id := r.text("schema_name") + "\x00" + r.text("table_name")
		t := byName[id]
		if t == nil {
			t = &table{schema: r.text("schema_name"), name: r.text("table_name"), visible: r.is("visible"), view: r.is("is_view"), heirs: r.is("has_heirs"), comment: r.text("table_comment")}
			byName[id], tables = t, append(tables, t)
		}
		t.columns = append(t.columns, column{name: r.text("column_name"), declared: r.text("declared"), array: r.is("is_array"), comment: r.text("column_comment"),
			notNull: r.is("not_null"), defaults: r.is("has_default"), computed: r.is("is_computed"), hidden: !r.is("may_read")})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		t.open()
	}
	if c.documents != "" {
		_ = eachRow(ctx, e, c.documents, func(r row) error { // what cannot tell shows text
			if t := byName["\x00"+r.text("table_name")]; t != nil {
				if i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == r.text("column_name") }); i >= 0 {
					t.columns[i].declared = "json"
				}
			}
			return nil
		})
	}
	return tables, readKeys(ctx, e, c, byName, tables)
}

// readKeys finds the key of each table: its primary one, or else the smallest unique index whose
// columns are never NULL.
func readKeys(ctx context.Context, e engine.Engine, c catalogue, byName map[string]*table, tables []*table) error {
	// Columns of one index follow each other; the primary key comes first.
	type index struct {
		t       *table
		columns []int
		ok      bool
		late    bool
	}
	indexes := map[string]*index{}
	var order []string
	err := eachRow(ctx, e, c.indexes, func(r row) error {
		t := byName[r.text("schema_name")+"\x00"+r.text("table_name")]
		if t == nil {
			return nil
		}
		id := r.text("schema_name") + "\x00" + r.text("table_name") + "\x00" + r.text("index_name")
		x := indexes[id]
		if x == nil {
			x = &index{t: t, ok: true, late: r.is("is_deferred")}
			indexes[id], order = x, append(order, id)
		}
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == r.text("column_name") })
		if x.ok = x.ok && i >= 0 && !r.is("partial") && (t.columns[i].notNull || r.is("is_primary")); x.ok {
			x.columns = append(x.columns, i)
		}
		return nil
	})
	for _, id := range order {
		x := indexes[id]
		switch {
		case x.t.key == nil && x.ok:
			x.t.key, x.t.late = x.columns, x.late
			for _, i := range x.columns {
				x.t.columns[i].notNull = true
			}
		default:
			x.t.otherUnique = true
		}
	}
	for _, t := range tables {
		t.stamp(e.Dialect())
	}
	return err
}

// choose takes the tables that are asked for, and notes those that cannot be served.
func choose(d *Draft, tables []*table, wanted []string, dialect sqltext.Dialect) (chosen []*table, err error) {
	slices.SortFunc(tables, byName)
	var more []string
	for _, name := range wanted {
		at := slices.IndexFunc(tables, func(t *table) bool { return t.full() == name })
		if at < 0 {
			at = slices.IndexFunc(tables, func(t *table) bool { return t.name == name || t.schema+"."+t.name == name })
		}
		if at < 0 {
			return nil, fmt.Errorf("there is no table %q that this account may read; there are: %s%s", name, someNames(tables, name), elsewhere(name, dialect))
		}
		if why := tables[at].refused(dialect); why != "" {
			return nil, fmt.Errorf("the table %q %s", name, why)
		}
		if !slices.Contains(chosen, tables[at]) {
			chosen = append(chosen, tables[at])
		}
	}
	for _, t := range tables {
		switch why := t.refused(dialect); {
		case len(wanted) > 0:
		case t.view: // no view is served unasked
			d.Left = append(d.Left, fmt.Sprintf("%s is a view: its rows may have no key; write its resource by hand", line(t.full())))
		case why != "":
			d.Left = append(d.Left, line(t.full())+" "+why)
		case len(chosen) == MaxResources:
			more = append(more, t.full())
		default:
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return nil, noneOf(d)
	}
	d.beyond("tables", "those to serve", more)
	return chosen, nil
}

// noneOf is the error of a draft that would serve nothing.
func noneOf(d *Draft) error {
	text := "there is no table here that this account may read and that has a primary key"
	if len(d.Left) > 0 {
		text += ": " + strings.Join(d.Left[:min(len(d.Left), 5)], "; ")
	}
	return errors.New(text)
}

// someNames lists tables for an error, those first whose name is the wanted one but for its case.
func someNames(tables []*table, wanted string) string {
	var all, near []string
	for _, t := range tables {
		if strings.EqualFold(t.name, wanted) || strings.EqualFold(t.full(), wanted) {
			near = append(near, t.full())
		} else {
			all = append(all, t.full())
		}
	}
	if all = append(near, all...); len(all) == 0 {
		return "none"
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("… and %d more", len(tables)-20))
	}
	return strings.Join(all, ", ")
}

// elsewhere says where tables are looked for, when the name of one has more than that.
func elsewhere(name string, dialect sqltext.Dialect) string {
	if dialect == sqltext.MySQL && strings.Contains(name, ".") {
		return "; a draft is of one database, which the URL of -from names"
	}
	return ""
}

// quoterOf finds out whether names of a table that look plain are words of the database's own.
func quoterOf(ctx context.Context, e engine.Engine, t *table) quoter {
	q := quoter{dialect: e.Dialect()}
	var list, names []string
	for _, c := range t.columns {
		if !c.hidden {
			list, names = append(list, q.name(c.name)), append(names, c.name)
		}
	}
	found, err := e.Columns(ctx, engine.Query{SQL: "SELECT " + strings.Join(list, ", ") + " FROM " + q.table(t)})
	q.all = err != nil || !slices.Equal(found, names)
	return q
}

// exampleRows is how many rows are looked at for one that a path can name.
const exampleRows = 20

// example is the path of a row that is there, "" if none can be read, or named.
func (w *tableWriter) example(ctx context.Context, e engine.Engine, name string, params []string) string {
	var list []string
	for _, i := range w.table.key {
		list = append(list, w.quoter.name(w.table.columns[i].name))
	}
	query := fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(list, ", "), w.quoter.table(w.table), exampleRows)
	found, err := e.Query(ctx, engine.Query{SQL: query, Most: exampleRows})
	if err != nil {
		return ""
	}
	for _, cells := range found.Rows {
		if path, ok := w.pathOf(name, params, cells); ok {
			return path
		}
	}
	return ""
}

// pathOf is the path of a row by the cells of its key; ok is false if no path can name it.
func (w *tableWriter) pathOf(name string, params []string, cells [][]byte) (path string, ok bool) {
	path = "/" + name
	for i, p := range params {
		c := &w.table.columns[w.table.key[i]]
		value := strings.TrimRight(cell(cells[i]), " ")
		if value != cell(cells[i]) && c.base() != "character" { // whether they belong to the name depends on the collation
			return "", false
		}
		parsed, wrong := param.Param{Name: p, Type: kindOf(w.quoter.dialect, *c)}.Parse(value)
		if wrong != "" || value == "." || value == ".." {
			return "", false
		}
		path += "/" + url.PathEscape(fmt.Sprint(parsed.Arg))
	}
	return path, true
}

// row is one of a catalogue.
type row struct {
	names []string
	cells [][]byte
}

// eachRow runs a query of the catalogue.
func eachRow(ctx context.Context, e engine.Engine, query string, f func(row) error) error {
	found, err := e.Query(ctx, engine.Query{SQL: query})
	if err != nil {
		return err
	}
	for _, cells := range found.Rows {
		if err := f(row{found.Names, cells}); err != nil {
			return err
		}
	}
	return nil
}

// text is a column of the row; MySQL may have its name in capitals.
func (r row) text(name string) string {
	i := slices.IndexFunc(r.names, func(n string) bool { return strings.EqualFold(n, name) })
	if i < 0 {
		panic("BUG: a catalogue has no column " + name)
	}
	return cell(r.cells[i])
}

func (r row) is(name string) bool {
	text := r.text(name)
	return text == "true" || text == "1"
}

// cell is the text of a cell, which is JSON.
func cell(raw []byte) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}
