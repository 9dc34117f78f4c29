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
		w := tableWriter{draft: d, out: &b, quoter: quoterOf(ctx, e, t), table: t, first: len(d.Resources) == 0, feed: o.Feed}
		w.write(ctx, e, p, given)
	}
	if len(d.Resources) == 0 {
		return nil, noneOf(d)
	}
	left(&b, d.Left)
	d.Text = []byte(b.String())
	return d, nil
}

// readTables reads the catalogue.
func readTables(ctx context.Context, e engine.Engine, c catalogue) (tables []*table, err error) {
	byName := map[string]*table{}
	err = eachRow(ctx, e, c.columns, func(r row) error {
		id := r.text("schema_name") + "\x00" + r.text("table_name")
		t := byName[id]
		if t == nil {
			t = &table{schema: r.text("schema_name"), name: r.text("table_name"), visible: r.is("visible"), view: r.is("is_view"), comment: r.text("table_comment")}
			byName[id], tables = t, append(tables, t)
		}
		t.columns = append(t.columns, column{name: r.text("column_name"), declared: r.text("declared"), array: r.is("is_array"), comment: r.text("column_comment"),
			notNull: r.is("not_null"), defaults: r.is("has_default"), computed: r.is("is_computed")})
		return nil
	})
	if err != nil {
		return nil, err
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
			x = &index{t: t, ok: true}
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
			x.t.key = x.columns
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
	for _, name := range wanted {
		at := slices.IndexFunc(tables, func(t *table) bool { return t.full() == name })
		if at < 0 {
			at = slices.IndexFunc(tables, func(t *table) bool { return t.name == name || t.schema+"."+t.name == name })
		}
		if at < 0 {
			return nil, fmt.Errorf("there is no table %q that this account may read; there are: %s", name, someNames(tables))
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
			d.Left = append(d.Left, fmt.Sprintf("%s is one more than %d tables; name those to serve with -tables", line(t.full()), MaxResources))
		default:
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return nil, noneOf(d)
	}
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

// someNames lists tables for an error.
func someNames(tables []*table) string {
	var all []string
	for _, t := range tables {
		all = append(all, t.full())
	}
	if len(all) == 0 {
		return "none"
	}
	if len(all) > 20 {
		all = append(all[:20], fmt.Sprintf("… and %d more", len(tables)-20))
	}
	return strings.Join(all, ", ")
}

// quoterOf finds out whether names of a table that look plain are words of the database's own.
func quoterOf(ctx context.Context, e engine.Engine, t *table) quoter {
	q := quoter{dialect: e.Dialect()}
	var list []string
	for _, c := range t.columns {
		list = append(list, q.name(c.name))
	}
	found, err := e.Columns(ctx, engine.Query{SQL: "SELECT " + strings.Join(list, ", ") + " FROM " + q.table(t)})
	q.all = err != nil || len(found) != len(t.columns)
	for i := range found {
		q.all = q.all || found[i] != t.columns[i].name
	}
	return q
}

// example is the path of a row that is there, "" if none can be read.
func (w *tableWriter) example(ctx context.Context, e engine.Engine, path string, params []string) string {
	var list []string
	for _, i := range w.table.key {
		list = append(list, w.quoter.name(w.table.columns[i].name))
	}
	found, err := e.Query(ctx, engine.Query{SQL: "SELECT " + strings.Join(list, ", ") + " FROM " + w.quoter.table(w.table) + " LIMIT 1", Most: 1})
	if err != nil || len(found.Rows) == 0 {
		return ""
	}
	for i, name := range params {
		value := cell(found.Rows[0][i])
		if c := &w.table.columns[w.table.key[i]]; c.base() == "character" { // whose blanks are no part of the name
			value = strings.TrimRight(value, " ")
		}
		if value == "" {
			return ""
		}
		path = strings.NewReplacer("{"+name+":int}", url.PathEscape(value), "{"+name+":string}", url.PathEscape(value), "{"+name+":uuid}", value).Replace(path)
	}
	return path
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
