package draft

import (
	"context"
	"fmt"
	"strings"

	"hearth/internal/source/engine"
)

// tableWriter writes the resource of one table.
type tableWriter struct {
	draft  *Draft
	out    *strings.Builder
	quoter quoter
	table  *table
	first  bool   // of the configuration: it explains the keys
	feed   bool   // the change feed is on
	frozen string // why nothing can be changed; "" if it can
}

// explain writes lines of comment, once for all resources.
func (w *tableWriter) explain(text string) {
	if w.first {
		w.out.WriteString(text)
	}
}

func (w *tableWriter) write(ctx context.Context, e engine.Engine, p engine.Prober, given names) {
	t, b := w.table, w.out
	s := statementsOf(w.quoter, t)
	if why := w.permit(ctx, e, p, &s); why != "" {
		w.draft.Left = append(w.draft.Left, line(t.full())+" "+why)
		return
	}
	words := []string{t.name}
	if !t.visible && t.schema != "" {
		words = []string{t.schema, t.name}
	}
	name := given.of(words...)
	path, key := "/"+name, name
	for i, p := range s.params {
		path += fmt.Sprintf("/{%s:%s}", p, kindOf(w.quoter.dialect, t.columns[t.key[i]]))
		key += ":{" + p + "}"
	}
	b.WriteString(rule)
	example := w.example(ctx, e, name, s.params)
	w.introduce(example)
	fmt.Fprintf(b, "[[resource]]\nname = %s\npath = %s\n", basic(name), basic(path))
	w.explain("\n# In the shared tier. When the columns change, change the prefix, too (" + name + ":v2:…).\n")
	fmt.Fprintf(b, "key = %s\n", basic(key))
	w.explain("\n# \"\" answers with the bare record, a name wraps it: {\"" + name + "\": {…}, \"source\": …}\n")
	b.WriteString("envelope = \"\"\n")
	w.explain("\n# GET of one record, and of many at once. Parameters are bound, never spliced.\n")
	fmt.Fprintf(b, "select = %s\n", sql(s.sel))
	if s.selectMany != "" {
		fmt.Fprintf(b, "select_many = %s\n", sql(s.selectMany))
	}
	w.writeWrites(s)
	w.explain("\n# How long copies live in the shared tier: ordinary ones, hot ones, and \"there is none\"; and how\n# long memory may serve one that it cannot verify, marked as stale.\n")
	b.WriteString("ttl = { cold = \"1h\", hot = \"5m\", missing = \"30s\", stale = \"10m\" }\n")
	w.writeWatch(s.params)
	w.draft.Resources = append(w.draft.Resources, Resource{Name: name, Path: path, Example: example, Puts: s.upsert != "", Deletes: s.deletes != ""})
}

// introduce says what a record consists of, and what does not belong to it.
func (w *tableWriter) introduce(example string) {
	t, b := w.table, w.out
	text := "The table " + t.full() + "."
	if t.view {
		text = "The view " + t.full() + "."
	}
	comment(b, "", text)
	if t.comment != "" {
		comment(b, "  ", cut(t.comment, 300))
	}
	b.WriteString("#\n# A record, and how its columns look in JSON:\n")
	t.columnTable(b, w.quoter.dialect)
	if example != "" {
		b.WriteString("#\n# For instance: GET " + example + "\n")
	}
	w.omissions()
}

// omissions says which columns are not served, and which rows no path names.
func (w *tableWriter) omissions() {
	t, b := w.table, w.out
	var secret, hidden []string
	for i, c := range t.columns {
		switch {
		case c.hidden:
			hidden = append(hidden, c.name)
		case !t.shown(i):
			secret = append(secret, c.name)
		}
	}
	say := func(names []string, format string) {
		if len(names) > 0 {
			b.WriteString("#\n")
			comment(b, "", fmt.Sprintf(format, strings.Join(names, ", ")))
		}
	}
	say(secret, "Left out, for the names say that no client should see them: %s. What is served is the same for every client.")
	say(hidden, "Left out, for this account may not read them: %s.")
	say(t.unsigned(w.quoter.dialect), "Rows whose %s is beyond 9223372036854775807 are named by no path.")
}

func (w *tableWriter) writeWrites(s statements) {
	b := w.out
	if s.upsert == "" && s.deletes == "" {
		b.WriteString("\n")
		comment(b, "", "No PUT and no DELETE. "+s.note)
		return
	}
	w.explain("\n# PUT and DELETE; without these lines the records are read only. {body.x} is a member of the body,\n# {body.x?} one that may be missing and is NULL then.\n")
	if s.note != "" {
		comment(b, "", s.note)
	}
	if s.upsert != "" {
		fmt.Fprintf(b, "upsert = %s\n", sql(s.upsert))
	}
	if s.deletes != "" {
		fmt.Fprintf(b, "delete = %s\n", sql(s.deletes))
	}
}

func (w *tableWriter) writeWatch(params []string) {
	t, b := w.table, w.out
	if t.view {
		if !w.feed {
			return
		}
		b.WriteString("\n# A view is no table whose rows could be watched: name those behind it, or its records live by ttl.\nwatch = \"none\"\n")
		return
	}
	off := ""
	if w.feed {
		w.explain("\n# A row of this table that changes concerns the record of its key.\n")
	} else {
		off = "#"
		w.explain("\n# With [feed] mode = \"outbox\": a row of this table that changes concerns the record of its key.\n# That follows from select, so it need not be said.\n")
	}
	fmt.Fprintf(b, "%s[[resource.watch]]\n%stable = %s\n", off, off, basic(w.quoter.table(t)))
	var pairs []string
	for i, p := range params {
		pairs = append(pairs, p+" = "+basic(t.columns[t.key[i]].name))
	}
	fmt.Fprintf(b, "%skey = { %s }\n", off, strings.Join(pairs, ", "))
}

// left says what is not served.
func left(b *strings.Builder, all []string) {
	if len(all) == 0 {
		return
	}
	b.WriteString(rule + "# Not served:\n")
	for _, l := range all {
		comment(b, "", "- "+l)
	}
}
