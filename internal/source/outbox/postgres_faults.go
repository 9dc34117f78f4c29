package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/source/engine"
)

// drainLacks are the rights of the role that drains.
const drainLacks = `SELECT coalesce(string_agg(r.needs, ', '), '') FROM (VALUES
		('USAGE on the schema hearth', has_schema_privilege('hearth', 'USAGE')),
		('SELECT, INSERT and DELETE on hearth.feed', has_table_privilege(to_regclass('hearth.feed'), 'SELECT')
			AND has_table_privilege(to_regclass('hearth.feed'), 'INSERT') AND has_table_privilege(to_regclass('hearth.feed'), 'DELETE')),
		('SELECT, INSERT and DELETE on hearth.kept', has_table_privilege(to_regclass('hearth.kept'), 'SELECT')
			AND has_table_privilege(to_regclass('hearth.kept'), 'INSERT') AND has_table_privilege(to_regclass('hearth.kept'), 'DELETE')),
		('SELECT on hearth.watch', has_table_privilege(to_regclass('hearth.watch'), 'SELECT')),
		('SELECT and UPDATE on hearth.drain', has_table_privilege(to_regclass('hearth.drain'), 'SELECT') AND has_table_privilege(to_regclass('hearth.drain'), 'UPDATE')),
		('EXECUTE on hearth.read', has_function_privilege(to_regprocedure('hearth.read(bigint, bigint)'), 'EXECUTE')),
		('EXECUTE on hearth.done', has_function_privilege(to_regprocedure('hearth.done(bigint[])'), 'EXECUTE')),
		('EXECUTE on hearth.keep', has_function_privilege(to_regprocedure('hearth.keep(bigint[])'), 'EXECUTE')),
		('EXECUTE on hearth.tell', has_function_privilege(to_regprocedure('hearth.tell(integer, jsonb)'), 'EXECUTE')),
		('EXECUTE on hearth.bottom', has_function_privilege(to_regprocedure('hearth.bottom()'), 'EXECUTE')),
		('EXECUTE on hearth.server', has_function_privilege(to_regprocedure('hearth.server()'), 'EXECUTE'))
	) AS r (needs, has) WHERE r.has IS %s`

// installedText is what is there of a set, as JSON: its functions and all their triggers.
const installedText = `SELECT json_build_object(
		'functions', (SELECT json_agg(json_build_object('name', 'hearth.' || p.proname, 'body', p.prosrc, 'settings', coalesce(p.proconfig, '{}'),
				'definer', p.prosecdef, 'owner', pg_get_userbyid(p.proowner),
				'may', coalesce(has_table_privilege(p.proowner, to_regclass('hearth.feed'), 'INSERT'), false) AND has_schema_privilege(p.proowner, 'hearth', 'USAGE'),
				'ours', pg_has_role(p.proowner, 'USAGE')))
			FROM pg_catalog.pg_proc p WHERE p.oid IN (to_regprocedure($1::text), to_regprocedure($2::text))),
		'triggers', (SELECT json_agg(json_build_object('table', format('%I.%I', n.nspname, c.relname), 'name', t.tgname, 'enabled', t.tgenabled,
				'type', t.tgtype, 'before', coalesce(t.tgoldtable, ''), 'now', coalesce(t.tgnewtable, ''), 'when', t.tgqual IS NOT NULL,
				'byRow', t.tgfoid = to_regprocedure($2::text), 'owned', pg_has_role(c.relowner, 'USAGE')))
			FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
			WHERE t.tgfoid IN (to_regprocedure($1::text), to_regprocedure($2::text))))::text`

// installed is what installedText returns.
type installed struct {
	Functions []installedFunction `json:"functions"`
	Triggers  []installedTrigger  `json:"triggers"`
}

type installedFunction struct {
	Name     string   `json:"name"`
	Body     string   `json:"body"`
	Settings []string `json:"settings"`
	Definer  bool     `json:"definer"`
	Owner    string   `json:"owner"`
	May      bool     `json:"may"`
}

type installedTrigger struct {
	Table   string `json:"table"`
	Name    string `json:"name"`
	Enabled string `json:"enabled"`
	Type    int    `json:"type"`
	Before  string `json:"before"`
	Now     string `json:"now"`
	When    bool   `json:"when"`
	ByRow   bool   `json:"byRow"`
}

// Faults implements dialect.
func (d postgres) Faults(ctx context.Context, e engine.Engine, sets []Set) (all []Fault, err error) {
	for _, s := range sets {
		more, err := d.setFaults(ctx, e, s)
		if err != nil {
			return nil, fmt.Errorf("looking at the triggers of table %q: %w", s.Table, err)
		}
		all = append(all, more...)
	}
	if len(sets) == 0 {
		return nil, nil // nothing is installed, which has been told
	}
	for _, q := range []struct{ is, text string }{
		{"NULL", "the outbox lacks what these rights are for: %s; " + mend},
		{"FALSE", "the role that drains the outbox lacks %s; run as the owner of the schema hearth: hearth feed install -apply, or grant them"},
	} {
		res, err := e.Query(ctx, engine.Query{SQL: fmt.Sprintf(drainLacks, q.is)})
		if err != nil {
			return nil, fmt.Errorf("looking at the rights on the outbox: %w", err)
		}
		if lacks := textOf(res.Rows[0][0]); lacks != "" {
			all = append(all, Fault{Lost: true, Text: fmt.Sprintf(q.text, lacks)})
		}
	}
	return all, nil
}

// setFaults are those of one set.
func (postgres) setFaults(ctx context.Context, e engine.Engine, s Set) (all []Fault, err error) {
	r, err := look(ctx, e, s.Table)
	if err != nil || r == nil { // Canonical has just found it
		return nil, err
	}
	res, err := e.Query(ctx, engine.Query{SQL: installedText, Args: []any{functionOf(s.ID, false) + "()", functionOf(s.ID, true) + "()"}})
	if err != nil {
		return nil, err
	}
	var there installed
	if err := json.Unmarshal([]byte(textOf(res.Rows[0][0])), &there); err != nil {
		return nil, err
	}
	f := &faults{set: s, plan: planOf(s, r, 0), there: there}
	f.columns()
	if f.function() {
		f.triggers()
	}
	return f.all, nil
}

// faults gathers those of one set.
type faults struct {
	set   Set
	plan  *plan
	there installed
	all   []Fault
}

func (f *faults) add(lost bool, format string, args ...any) {
	f.all = append(f.all, Fault{Set: f.set, Lost: lost, Text: fmt.Sprintf(format, args...)})
}

// columns finds those that the table has no more.
func (f *faults) columns() {
	table := f.plan.table.Name
	for _, c := range union(f.set.Captured, f.set.Filter) {
		if _, ok := f.plan.typed(c); ok {
			continue
		}
		if slices.Contains(f.set.Captured, c) {
			f.add(false, "table %s has no column %q any more, so each change of it flushes the resources that need it; correct resource.watch and select, and %s", table, c, mend)
		} else {
			f.add(false, "table %s has no column %q any more, so every UPDATE counts; correct resource.watch and select, and %s", table, c, mend)
		}
	}
}

// markText finds what the text of a function was written with; see plan.mark.
var markText = regexp.MustCompile(`(?m)^-- version \d+, flush_rows (\d+), keyed (true|false), compared by (.*)$`)

// knownText is the part of a function for rows that follows from the types of columns.
var knownText = regexp.MustCompile(`(?s)hearth\.known := .*?;`)

// function compares the set's function with what is installed now. It tells whether to
// look at triggers.
func (f *faults) function() bool {
	table, want := f.plan.table.Name, f.plan.functionName()
	i := slices.IndexFunc(f.there.Functions, func(g installedFunction) bool { return g.Name == want })
	switch {
	case i < 0 && len(f.there.Functions) > 0 && f.plan.table.byRow():
		f.add(true, "table %s has partitions, children or a subscription by now, and its triggers do not fire for all that changes in them; %s", table, mend)
		return false
	case i < 0:
		f.add(true, "the function %s of the triggers on table %s is not there; %s", want, table, mend)
		return false
	}
	f.text(f.there.Functions[i])
	return true
}

// text compares the text of a function with the one that would be written now, for the key
// that there was then.
func (f *faults) text(g installedFunction) {
	table, now := f.plan.table, f.plan.compared
	if m := markText.FindStringSubmatch(g.Body); m != nil {
		f.plan.flush, _ = strconv.Atoi(m[1])
		f.plan.keyed = m[2] == "true"
		_ = json.Unmarshal([]byte(m[3]), &f.plan.compared)
	}
	lacks := func(c string) bool { _, ok := f.plan.typed(c); return !ok }
	gone := slices.ContainsFunc(union(f.plan.compared, f.set.Captured), lacks)
	body := f.plan.body()
	switch {
	case !g.May:
		f.add(true, "the owner %q of the function %s() may not write to hearth.feed, so that writes to table %s fail; grant it USAGE on the schema hearth and INSERT on hearth.feed, or %s",
			g.Owner, g.Name, table.Name, mend)
	case !g.Definer || !slices.Equal(slices.Sorted(slices.Values(g.Settings)), slices.Sorted(slices.Values(f.plan.settings()))):
		f.add(true, "the function %s() was altered: it runs with the rights or the settings of who writes to table %s; %s", g.Name, table.Name, mend)
	case f.set.Version != Version: // which has been told
	case gone && table.byRow(): // so has this; the text had a part for each column
	case g.Body == body && (gone || slices.Equal(now, f.plan.compared)):
	case g.Body == body:
		f.add(true, "the triggers on table %s were installed for another primary key; %s", table.Name, mend)
	case knownText.ReplaceAllString(g.Body, "") == knownText.ReplaceAllString(body, ""):
		f.add(false, "columns of table %s have other types than when its triggers were installed, so that these are slow; %s", table.Name, mend)
	default:
		f.add(true, "the function %s() of the triggers on table %s is not the one that was installed: somebody has replaced it; %s", g.Name, table.Name, mend)
	}
}

// triggers compares the triggers with those that are created. What is wrong on several
// tables alike, such as partitions, is one fault.
func (f *faults) triggers() {
	seen := map[string]bool{}
	for _, t := range f.plan.triggers() {
		on := f.plan.on(t)
		if t.Handed { // to look at those that were handed down, too
			on = []string{f.plan.table.Name}
			for _, b := range f.plan.table.Below {
				on = append(on, b.Name)
			}
		}
		var wrong []wrongTrigger
		tables := map[wrongTrigger][]string{}
		for _, table := range on {
			seen[table+"\x00"+t.Name] = true
			if w := f.trigger(t, table); w.Text != "" {
				if tables[w] == nil {
					wrong = append(wrong, w)
				}
				tables[w] = append(tables[w], table)
			}
		}
		for _, w := range wrong {
			f.add(w.Lost, "the trigger %s on %s %s", t.Name, listed(tables[w]), w.Text)
		}
	}
	for _, t := range f.there.Triggers {
		if !seen[t.Table+"\x00"+t.Name] {
			f.add(false, "the trigger %s on %s is not one of %s, and tells of changes that are none of its; %s", t.Name, t.Table, f.plan.table.Name, mend)
		}
	}
}

// listed are tables, the first of them by name.
func listed(tables []string) string {
	const most = 3
	text := "table " + strings.Join(tables[:min(most, len(tables))], ", ")
	if n := len(tables) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// trigger looks at one, and says what is wrong with it.
func (f *faults) trigger(t trigger, table string) (wrong wrongTrigger) {
	always := fmt.Sprintf("run as the owner of the table: ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", f.plan.table.Name, t.Name)
	i := slices.IndexFunc(f.there.Triggers, func(g installedTrigger) bool { return g.Table == table && g.Name == t.Name })
	if i < 0 {
		event := strings.ReplaceAll(t.Event, " OR ", ", ")
		// A TRUNCATE of the whole table is told by the trigger there.
		return wrongTrigger{t.Event != "TRUNCATE" || table == f.plan.table.Name, "is not there, so that no " + event + " is told; " + mend}
	}
	g := f.there.Triggers[i]
	switch {
	case g.Type != t.Type || g.Before != t.Before || g.Now != t.Now || g.When || g.ByRow != f.plan.table.byRow():
		return wrongTrigger{true, "is not as it was created; " + mend}
	case g.Enabled == "D":
		return wrongTrigger{true, "is disabled; " + mend + ", or " + always}
	case g.Enabled == "R":
		return wrongTrigger{true, "fires for nothing but replication; " + mend + ", or " + always}
	case g.Enabled != "A":
		return wrongTrigger{f.plan.table.Subscribed, "does not fire for what replication writes; " + always}
	}
	return wrong
}

// wrongTrigger is what is wrong with a trigger. Text is empty: nothing.
type wrongTrigger struct {
	Lost bool
	Text string
}
