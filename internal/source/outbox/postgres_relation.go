package outbox

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// relation is a watched table as the catalog has it.
type relation struct {
	Name        string   `json:"name"` // quoted where that is needed, with its schema
	Kind        string   `json:"kind"` // pg_class.relkind
	Persistence string   `json:"persistence"`
	Schema      string   `json:"schema"`
	Partition   bool     `json:"partition"`  // of another table
	Inherits    bool     `json:"inherits"`   // from another table, and is no partition
	Subscribed  bool     `json:"subscribed"` // it, or one below it, is filled by a subscription
	Owned       bool     `json:"owned"`      // its owner is the role that asks
	Key         []string `json:"key"`        // columns of the primary key
	Columns     []column `json:"columns"`
	Below       []below  `json:"below"` // partitions and children at all depths
}

type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type below struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// relationText reads one relation by its quoted name, as JSON.
const relationText = `WITH RECURSIVE below AS (
		SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits i WHERE i.inhparent = to_regclass($1::text)
		UNION SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid)
	SELECT json_build_object('name', format('%I.%I', n.nspname, c.relname), 'schema', n.nspname,
		'kind', c.relkind, 'persistence', c.relpersistence, 'partition', c.relispartition,
		'inherits', NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
		'subscribed', EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = c.oid OR s.srrelid IN (SELECT oid FROM below)),
		'owned', pg_has_role(c.relowner, 'USAGE'),
		'key', (SELECT json_agg(a.attname ORDER BY k.place) FROM pg_catalog.pg_index x
			CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
			JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
			WHERE x.indrelid = c.oid AND x.indisprimary AND k.place <= x.indnkeyatts),
		'columns', (SELECT json_agg(json_build_object('name', a.attname, 'type', a.atttypid::regtype::text) ORDER BY a.attnum)
			FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
		'below', (SELECT json_agg(json_build_object('name', format('%I.%I', m.nspname, d.relname), 'kind', d.relkind) ORDER BY m.nspname, d.relname)
			FROM below b JOIN pg_catalog.pg_class d ON d.oid = b.oid JOIN pg_catalog.pg_namespace m ON m.oid = d.relnamespace))::text
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1::text)`

// relationOf looks a table up by a quoted name. nil: there is none.
func relationOf(ctx context.Context, e engine.Engine, quoted string) (*relation, error) {
	res, err := e.Query(ctx, engine.Query{SQL: relationText, Args: []any{quoted}})
	if err != nil || len(res.Rows) == 0 {
		return nil, err
	}
	r := &relation{}
	return r, json.Unmarshal([]byte(textOf(res.Rows[0][0])), r)
}

// byRow tells whether the table's changes are told by triggers for each row. Triggers for
// statements cost less where many rows change at once, and fire only for statements that
// name their table:
//
//	a partition or child named by itself ──► not those of the table above it
//	the table above it ──► not those of the partition or child
//	a row that a subscription applies ──► none
//
// Those for rows fire in each case, and partitions that are attached later get them, too.
func (r *relation) byRow() bool {
	return r.Kind == "p" || r.Partition || r.Inherits || len(r.Below) > 0 || r.Subscribed
}

// instead tells what to watch instead of what is no table with rows of its own.
func (r *relation) instead() error {
	switch {
	case r.Kind == "v":
		return notWatched("%s is a view: watch the tables that it reads", r.Name)
	case r.Kind == "m":
		return notWatched("%s is a materialized view, which changes when it is refreshed: select from the tables that it reads, and watch those; or give the resource a short ttl", r.Name)
	case r.Kind == "f":
		return notWatched("%s is a foreign table, whose rows change on another server: watch the table there; or give the resource a short ttl", r.Name)
	case r.Kind == "S":
		return notWatched("%s is a sequence: watch the table that takes its values", r.Name)
	case r.Kind != "r" && r.Kind != "p":
		return notWatched("%s is no table: watch the tables that hold the rows", r.Name)
	case r.Persistence == "t":
		return notWatched("%s is a temporary table of one session: watch the tables that are there for all", r.Name)
	case r.Schema == "hearth":
		return notWatched("%s is a table of the feed itself: watch tables of the application", r.Name)
	case r.Schema == "pg_catalog", r.Schema == "information_schema", strings.HasPrefix(r.Schema, "pg_toast"):
		return notWatched("%s is a table of PostgreSQL itself, which takes no triggers: watch tables of the application", r.Name)
	}
	return nil
}

// Canonical implements dialect. A name is read as SQL reads it: what is not quoted is in
// lower case. If there is no such table it is taken as it stands.
func (postgres) Canonical(ctx context.Context, e engine.Engine, table string) (string, error) {
	r, err := look(ctx, e, table)
	switch {
	case err != nil:
		return table, err
	case r == nil:
		return table, missingTable(ctx, e, table)
	}
	return r.Name, r.instead()
}

// look finds the table of a name that an operator, or Canonical, has written.
func look(ctx context.Context, e engine.Engine, table string) (*relation, error) {
	for _, quoted := range readings(table) {
		if r, err := relationOf(ctx, e, quoted); r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

// readings are what a name may mean, quoted.
func readings(table string) (all []string) {
	if parts, ok := nameParts(table); ok {
		all = append(all, name(parts...))
	}
	if schema, rest, ok := strings.Cut(table, "."); ok && schema != "" && rest != "" {
		all = append(all, name(schema, rest))
	}
	return append(all, name(table))
}

// nameParts reads one or two names with a dot between them, quoted or not.
func nameParts(text string) (parts []string, ok bool) {
	for len(parts) < 2 {
		var part string
		if strings.HasPrefix(text, `"`) {
			end := 1
			for {
				i := strings.IndexByte(text[end:], '"')
				if i < 0 {
					return nil, false
				}
				if end += i + 1; end == len(text) || text[end] != '"' {
					break
				}
				end++
			}
			part, text = strings.ReplaceAll(text[1:end-1], `""`, `"`), text[end:]
		} else {
			end := strings.IndexAny(text, `."`)
			if end < 0 {
				end = len(text)
			}
			part, text = lower(text[:end]), text[end:]
		}
		if parts = append(parts, part); part == "" {
			return nil, false
		}
		if text == "" {
			return parts, true
		}
		if !strings.HasPrefix(text, ".") {
			return nil, false
		}
		text = text[1:]
	}
	return nil, false
}

// lower folds a name as PostgreSQL does in a database in UTF-8: letters of ASCII alone.
func lower(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, text)
}

// movedText finds the tables that the triggers of each set are on.
const movedText = `SELECT DISTINCT w.tab, format('%I.%I', n.nspname, c.relname) FROM hearth.watch w
	JOIN pg_catalog.pg_proc p ON p.pronamespace = to_regnamespace('hearth') AND p.proname::text IN ('hearth_' || w.id, 'hearth_' || w.id || '_row')
	JOIN pg_catalog.pg_trigger t ON t.tgfoid = p.oid JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE NOT c.relispartition ORDER BY 1, 2`

// missingTable tells that there is no such table, and where the triggers are that were
// once installed on it.
func missingTable(ctx context.Context, e engine.Engine, table string) error {
	want, ok := nameParts(table)
	// Without an outbox it fails, and there are no triggers.
	if res, err := e.Query(ctx, engine.Query{SQL: movedText}); err == nil && ok {
		for _, cells := range res.Rows {
			if was, _ := nameParts(textOf(cells[0])); len(was) == 2 && slices.Equal(was[2-len(want):], want) {
				now := textOf(cells[1])
				return notWatched("there is no table %q, and the triggers of the feed that were installed on it are on %s now; "+
					"if it was renamed, watch %s instead and %s", table, now, now, mend)
			}
		}
	}
	return notWatched("there is no table %q that the role may see; correct the name, with its schema, or grant USAGE on that", table)
}
