package outbox

import (
	"context"
	"fmt"
	"strings"

	"hearth/internal/source/engine"
)

// trigger is one of a set, on one table.
type trigger struct {
	Name   string
	Event  string // AFTER … ON
	Rows   string // REFERENCING …, FOR EACH …
	Type   int    // pg_trigger.tgtype
	Before string // tgoldtable
	Now    string // tgnewtable
	// Handed down to partitions, also to those that are attached later.
	Handed bool
}

// triggers are those of one table of the set. A trigger's text never changes, so that
// installing again touches no table that has them all: what changes is the function.
func (p *plan) triggers() []trigger {
	n := func(what string) string { return fmt.Sprintf("hearth_%d_%s", p.set.ID, what) }
	if p.table.byRow() {
		return []trigger{
			{Name: n("row"), Event: "INSERT OR DELETE OR UPDATE", Rows: "FOR EACH ROW", Type: 29, Handed: true},
			{Name: n("row_truncate"), Event: "TRUNCATE", Rows: "FOR EACH STATEMENT", Type: 32},
		}
	}
	return []trigger{
		{Name: n("insert"), Event: "INSERT", Rows: "REFERENCING NEW TABLE AS hearth_rows FOR EACH STATEMENT", Type: 4, Now: "hearth_rows"},
		{Name: n("update"), Event: "UPDATE", Rows: "REFERENCING OLD TABLE AS hearth_before NEW TABLE AS hearth_rows FOR EACH STATEMENT",
			Type: 16, Before: "hearth_before", Now: "hearth_rows"},
		{Name: n("delete"), Event: "DELETE", Rows: "REFERENCING OLD TABLE AS hearth_rows FOR EACH STATEMENT", Type: 8, Before: "hearth_rows"},
		{Name: n("truncate"), Event: "TRUNCATE", Rows: "FOR EACH STATEMENT", Type: 32},
	}
}

// on are the tables on which a trigger is created.
func (p *plan) on(t trigger) (tables []string) {
	tables = []string{p.table.Name}
	for _, b := range p.table.Below {
		if (b.Kind == "r" || b.Kind == "p") && !(t.Handed && p.table.Kind == "p") {
			tables = append(tables, b.Name)
		}
	}
	return tables
}

func (p *plan) functionName() string { return functionOf(p.set.ID, p.table.byRow()) }

func (p *plan) body() string {
	if p.table.byRow() {
		return p.rowBody()
	}
	return p.statementBody()
}

// settings are those of the function. What rows are compared by is text, which is to tell
// any two numbers apart, whatever the session has set.
func (p *plan) settings() []string {
	all := []string{"search_path=pg_catalog, pg_temp"}
	if len(p.compared) > 0 {
		all = append(all, "extra_float_digits=1")
	}
	return all
}

// function creates the set's function.
func (p *plan) function() string {
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s() RETURNS trigger\n	LANGUAGE plpgsql SECURITY DEFINER SET %s AS %s",
		p.functionName(), strings.Join(p.settings(), " SET "), dollars(p.body()))
}

// clear drops the function, and its triggers with it, if some of them are not as they are
// created: they are disabled, or stand on another table. Only the owner of a table may drop
// its triggers; the function is the installer's own.
func (p *plan) clear() string {
	var right, tables []string
	for _, t := range p.triggers() {
		right = append(right, fmt.Sprintf("(%s, %d, %s, %s)", literal(t.Name), t.Type, literal(t.Before), literal(t.Now)))
	}
	tables = append(tables, fmt.Sprintf("pg_catalog.to_regclass(%s)", literal(p.table.Name)))
	for _, b := range p.table.Below {
		tables = append(tables, fmt.Sprintf("pg_catalog.to_regclass(%s)", literal(b.Name)))
	}
	return doBlock(fmt.Sprintf("triggers of set %d that are not as they are created", p.set.ID), fmt.Sprintf(`BEGIN
	DROP FUNCTION IF EXISTS %s() CASCADE;
	IF EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgfoid = pg_catalog.to_regprocedure('%s()') AND NOT (
		t.tgrelid IN (%s) AND t.tgenabled IN ('A', 'O') AND t.tgqual IS NULL
		AND (t.tgname, t.tgtype, coalesce(t.tgoldtable, ''), coalesce(t.tgnewtable, '')) IN (%s)))
	THEN
		DROP FUNCTION %s() CASCADE;
	END IF;
END`, functionOf(p.set.ID, !p.table.byRow()), p.functionName(), strings.Join(tables, ", "), strings.Join(right, ", "), p.functionName()))
}

// create creates the triggers where they are missing, and has them fire for whoever writes,
// replication included. Only a table's owner may say that.
func (p *plan) create() string {
	var b strings.Builder
	b.WriteString("DECLARE\n	hearth_of pg_catalog.regclass;\n	hearth_name pg_catalog.name;\nBEGIN\n")
	for _, t := range p.triggers() {
		for _, table := range p.on(t) {
			fmt.Fprintf(&b, `	IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = pg_catalog.to_regclass(%s) AND t.tgname = '%s') THEN
		CREATE TRIGGER %[2]s AFTER %s ON %s %s EXECUTE FUNCTION %s();
	END IF;
`, literal(table), t.Name, t.Event, table, t.Rows, p.functionName())
		}
	}
	fmt.Fprintf(&b, `	FOR hearth_of, hearth_name IN SELECT t.tgrelid, t.tgname FROM pg_catalog.pg_trigger AS t
		WHERE t.tgfoid = pg_catalog.to_regprocedure('%s()') AND t.tgenabled <> 'A'
		ORDER BY EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = t.tgrelid)
	LOOP
		BEGIN
			EXECUTE pg_catalog.format('ALTER TABLE %%s ENABLE ALWAYS TRIGGER %%I', hearth_of, hearth_name);
		EXCEPTION WHEN insufficient_privilege THEN
			RAISE NOTICE 'hearth: writes of replication are not told, as only the owner of %% may run: ALTER TABLE %% ENABLE ALWAYS TRIGGER %%',
				hearth_of, hearth_of, hearth_name;
		END;
	END LOOP;
END`, p.functionName())
	return doBlock(fmt.Sprintf("triggers of set %d", p.set.ID), b.String())
}

// Triggers implements dialect.
func (postgres) Triggers(ctx context.Context, e engine.Engine, s Set, o Options) (statements, notes []string, err error) {
	r, err := look(ctx, e, s.Table)
	switch {
	case err != nil:
		return nil, nil, err
	case r == nil:
		return nil, nil, missingTable(ctx, e, s.Table)
	}
	if err := r.instead(); err != nil {
		return nil, nil, err
	}
	p := planOf(s, r, o.FlushRows)
	return []string{p.clear(), p.function(), p.create()}, p.notes(), nil
}

// notes are what an operator should know of this table.
func (p *plan) notes() []string {
	const (
		fails = "A trigger runs in the transaction of the application's write: if it fails, that write fails, with an error that names a function " +
			"hearth.hearth_…. The way out is at once: hearth feed remove -apply."
		locks = "Adding a trigger waits for transactions that have written to the table, and for an instant lets no other one write " +
			"(SHARE ROW EXCLUSIVE). The script gives up rather than wait for long; then nothing is changed, and it can be run again."
		role = "The triggers run with the rights of the role that runs this script, so that the application's roles need none. Run it as an ordinary role " +
			"that has TRIGGER on the tables, or as their owner, without whom writes of replication are not told; not as a superuser."
	)
	all := []string{fails, locks, role}
	t := p.table
	switch {
	case t.Kind == "p":
		all = append(all, fmt.Sprintf("%s is partitioned, so its triggers fire for each row: a statement that changes many rows takes about twice as long. "+
			"Partitions that are attached later get them, but for that of TRUNCATE: run hearth feed install again. To attach, detach or drop a "+
			"partition with rows fires none: run hearth feed flush.", t.Name))
	case t.Subscribed:
		all = append(all, fmt.Sprintf("%s is filled by a subscription, whose changes fire triggers for rows only, so its triggers fire for each row: "+
			"a statement that changes many rows takes about twice as long.", t.Name))
	case t.byRow():
		all = append(all, fmt.Sprintf("%s inherits or is inherited from, so its triggers fire for each row: a statement that changes many rows takes about "+
			"twice as long. A child that is created later has none: run hearth feed install again.", t.Name))
	}
	if len(p.set.Filter) > 0 && len(t.Key) == 0 {
		all = append(all, fmt.Sprintf("%s has no primary key, so every UPDATE counts, also one that changes no column of the filter.", t.Name))
	}
	if !t.Owned {
		all = append(all, fmt.Sprintf("%s belongs to another role than the one that has asked for this script. If that runs it, writes of replication are not told.", t.Name))
	}
	return all
}

// Grants implements granter.
func (postgres) Grants(ctx context.Context, e engine.Engine) ([]string, error) {
	res, err := e.Query(ctx, engine.Query{SQL: "SELECT current_user::text"})
	if err != nil {
		return nil, err
	}
	role := textOf(res.Rows[0][0])
	return []string{doBlock("rights of the role that drains", fmt.Sprintf(`BEGIN
	IF pg_catalog.to_regrole(%[1]s) IS NULL THEN
		RAISE NOTICE 'hearth: there is no role %%, which was to drain the outbox; grant the rights to the one that does', %[2]s;
		RETURN;
	END IF;
	IF current_user <> %[2]s THEN
		GRANT USAGE ON SCHEMA hearth TO %[3]s;
		GRANT SELECT, INSERT, DELETE ON hearth.feed, hearth.kept TO %[3]s;
		GRANT SELECT ON hearth.watch TO %[3]s;
		GRANT SELECT, UPDATE ON hearth.drain TO %[3]s;
	END IF;
END`, literal(name(role)), literal(role), name(role)))}, nil
}

// Columns implements columnLister.
func (postgres) Columns(ctx context.Context, e engine.Engine, table string) (all []string, err error) {
	r, err := look(ctx, e, table)
	if r != nil && r.instead() == nil {
		for _, c := range r.Columns {
			all = append(all, c.Name)
		}
	}
	return all, err
}
