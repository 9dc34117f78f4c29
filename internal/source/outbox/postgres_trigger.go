package outbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The functions of triggers must not fail, for then the application's write does. So they
// hold nothing against the table that can change under them:
//
//   - A column that is gone, as it was renamed or dropped, is no error. It is named without
//     its table, in a query over nothing but the row; PostgreSQL looks for a name that is not
//     there in the query around, and finds the stand-in {"gone": true}.
//   - A column may change its type. Plans over the rows of a statement are made anew when the
//     table changes.
//   - Values of types that are not PostgreSQL's own become text by the type's own output: a
//     cast to JSON may be anybody's function, and would run with the installer's rights. So
//     does json, of which not all is jsonb.
//   - What is alike is found out by text: json has no equality, and types of extensions may
//     have theirs in a schema that is not searched.
//
// Objects are text until a row of the outbox is complete: many of them cost a third of what
// they do as jsonb.
//
// No variable stands in a query that sees the table's columns, as they may have any name.

// gone is what a column is told as that the table has no more.
const gone = `'{"gone": true}'::jsonb`

// writerText is the token of the guard under which Hearth itself writes.
const writerText = `nullif(current_setting('hearth.writer', true), '')`

// perRow is how many changed rows of the table one row of the outbox tells.
const perRow = 1000

// defaultFlushRows is that of Options where it is not given.
const defaultFlushRows = 100000

// plan is what the functions of one set of triggers are written from.
type plan struct {
	set   Set
	table *relation
	flush int
	// compared are the columns by which a row that counts is known: the primary key, captured
	// ones and the filter. Empty: each one counts.
	compared []string
	// keyed: the primary key is captured, so that no two rows are told alike.
	keyed bool
}

func planOf(s Set, r *relation, flush int) *plan {
	p := &plan{set: s, table: r, flush: flush}
	if p.flush <= 0 {
		p.flush = defaultFlushRows
	}
	// Without a key two rows of one record could exchange what counts, unseen.
	if len(s.Filter) > 0 && len(r.Key) > 0 {
		p.compared = union(r.Key, s.Captured, s.Filter)
	}
	p.keyed = len(r.Key) > 0 && len(union(s.Captured, r.Key)) == len(union(s.Captured))
	return p
}

func union(lists ...[]string) (all []string) {
	for _, list := range lists {
		for _, s := range list {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// rows is a query over rows of the table: d is the inside of the object that tells each, and
// t, where rows are compared, by what it is compared. side differs for rows as they were and
// as they are: where something to compare by is gone each row counts.
func (p *plan) rows(from, side string) string {
	join := ""
	told := p.inside(func(i int) string { return fmt.Sprintf("c.v%d", i) })
	if len(p.set.Captured) > 0 {
		join += pick("c", p.set.Captured, gone)
	}
	text := "SELECT " + told + " AS d"
	if len(p.compared) > 0 {
		var parts []string
		for i := range p.compared {
			parts = append(parts, fmt.Sprintf("k.v%d", i))
		}
		text += ", " + textOfAll(parts) + " AS t"
		join += pick("k", p.compared, literal(side))
	}
	return text + " FROM " + from + " AS n" + join
}

// inside is the inside of an object of JSON with the captured columns, of values in their
// order.
func (p *plan) inside(value func(i int) string) string {
	if len(p.set.Captured) == 0 {
		return "''::text"
	}
	var parts []string
	for i, c := range p.set.Captured {
		key, err := json.Marshal(c)
		if err != nil {
			panic("BUG: a name is no JSON: " + err.Error())
		}
		lead := string(key) + ": "
		if i > 0 {
			lead = ", " + lead
		}
		parts = append(parts, literal(lead)+" || "+jsonText(value(i)))
	}
	return "(" + strings.Join(parts, " || ") + `) COLLATE "C"`
}

// array is the JSON of a row of the outbox, of a text with insides of objects.
func array(insides string) string { return "('[{' || " + insides + " || '}]')::jsonb" }

// between separates insides of objects.
const between = `'}, {'`

// pick joins the columns of a row n as v0, v1 and so on. A name that the row lacks is that
// of the stand-in, which the query around has.
func pick(alias string, columns []string, standIn string) string {
	var stand, names []string
	for i, c := range columns {
		stand = append(stand, standIn+" AS "+name(c))
		names = append(names, fmt.Sprintf("%s AS v%d", name(c), i))
	}
	return fmt.Sprintf(`
				CROSS JOIN LATERAL (SELECT x.* FROM (SELECT %s) AS f
					CROSS JOIN LATERAL (SELECT %s FROM (SELECT n.*) AS r) AS x) AS %s`,
		strings.Join(stand, ", "), strings.Join(names, ", "), alias)
}

// textOfAll is one text of several values, which tells them apart, and NULL from a text.
func textOfAll(values []string) string {
	return fmt.Sprintf("format(%s, %s)", literal(strings.TrimSuffix(strings.Repeat("%L,", len(values)), ",")), strings.Join(values, ", "))
}

// jsonText is a value as the text of JSON. 16384 is the first type that is not built in; 114
// and 199 are json and its array, 16 to 23 boolean and integers, 3802 jsonb.
func jsonText(value string) string {
	return fmt.Sprintf("CASE WHEN %[1]s IS NULL THEN 'null' WHEN pg_typeof(%[1]s)::oid IN (16, 20, 21, 23, 3802) THEN %[1]s::text"+
		" WHEN pg_typeof(%[1]s)::oid < 16384 AND pg_typeof(%[1]s)::oid NOT IN (114, 199) THEN to_json(%[1]s)::text"+
		" ELSE to_json(format('%%s', %[1]s))::text END", value)
}

// insert begins a statement that writes rows of the outbox.
const insert = `INSERT INTO hearth.feed (watch, data, writer)`

// everything writes one row that says that everything has changed.
func (p *plan) everything() string {
	return fmt.Sprintf("%s VALUES (%d, NULL, %s);", insert, p.set.ID, writerText)
}

// many writes rows of perRow each, out of a query for d.
func (p *plan) many(query string) string {
	return fmt.Sprintf(`%s
		SELECT %d, %s, %s
		FROM (SELECT s.d, (row_number() OVER () - 1) / %d AS part FROM (
			%s
		) AS s) AS q GROUP BY q.part;`, insert, p.set.ID, array("string_agg(q.d, "+between+")"), writerText, perRow, query)
}

// statementBody is the function of triggers for statements. For one of DELETE the rows as
// they were are hearth_rows.
func (p *plan) statementBody() string {
	now, before := p.rows("hearth_rows", "now"), p.rows("hearth_before", "before")
	changed, where := p.both(now, before), ""
	tooMany := fmt.Sprintf("	ELSIF hearth.rows > %d THEN\n		%s\n", p.flush, p.everything())
	rest := tooMany
	if len(p.compared) > 0 {
		changed, where = p.difference(now, before), " WHERE o.t <> n.t"
		tooMany = ""
	}
	return fmt.Sprintf(`
%[1]s
#variable_conflict use_column
<<hearth>>
DECLARE
	rows bigint;
	now text[];
	before text[];
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		%[2]s
		RETURN NULL;
	END IF;
	SELECT count(*) INTO hearth.rows FROM (SELECT FROM hearth_rows LIMIT %[3]d) AS s;
	IF hearth.rows = 0 THEN
		RETURN NULL;
	ELSIF TG_OP = 'UPDATE' AND hearth.rows = 1 THEN
		%[4]s
		SELECT %[5]d, %[14]s, %[6]s
		FROM (%[7]s) AS n
			CROSS JOIN (%[8]s) AS o%[9]s;
%[10]s	ELSIF TG_OP = 'UPDATE' THEN
		%[11]s
%[12]s	ELSIF hearth.rows = 1 THEN
		%[4]s
		SELECT %[5]d, %[15]s, %[6]s FROM (%[7]s) AS n;
	ELSE
		%[13]s
	END IF;
	RETURN NULL;
END
`, p.mark(), p.everything(), p.flush+1, insert, p.set.ID, writerText, now, before, where, tooMany, changed,
		strings.Repeat(rest, min(1, len(p.compared))), p.many("SELECT DISTINCT n.d FROM ("+now+") AS n"),
		array("CASE WHEN o.d = n.d THEN n.d ELSE o.d || "+between+" || n.d END"), array("n.d"))
}

// both writes down all rows of both transition tables. An UPDATE seldom changes a key: then
// both are alike, row by row, and the rows as they are tell all. That is found out at a
// third of what it costs to look for each among the others.
func (p *plan) both(now, before string) string {
	if !p.keyed {
		return p.many(now + "\n			UNION\n			" + before)
	}
	return fmt.Sprintf(`hearth.now := ARRAY(SELECT s.d FROM (%s) AS s);
		hearth.before := ARRAY(SELECT s.d FROM (%s) AS s);
		IF hearth.now = hearth.before THEN
			%s
			SELECT %d, %s, %s FROM unnest(hearth.now) WITH ORDINALITY AS u (d, place) GROUP BY (u.place - 1) / %d;
		ELSE
			%s
		END IF;`, now, before, insert, p.set.ID, array("string_agg(u.d, "+between+")"), writerText, perRow,
		p.many(`SELECT DISTINCT u.d COLLATE "C" AS d FROM unnest(hearth.now || hearth.before) AS u (d)`))
}

// difference writes down the rows that are in one of two transition tables and not in the
// other, each as often as it is there. Only these count against what may be told: a
// statement that changes nothing of interest in a million rows is none.
func (p *plan) difference(now, before string) string {
	return fmt.Sprintf(`WITH hearth_changed AS MATERIALIZED (
			SELECT u.d FROM (
				SELECT a.d, a.t, 1 AS sign FROM (%s) AS a
				UNION ALL
				SELECT a.d, a.t, -1 AS sign FROM (%s) AS a
			) AS u GROUP BY u.d, u.t HAVING sum(u.sign) <> 0 LIMIT %d)
		%s
		SELECT %d, %s, %s
		FROM (SELECT z.d, z.much, CASE WHEN z.much THEN 0 ELSE (row_number() OVER () - 1) / %d END AS part
			FROM (SELECT DISTINCT x.d, (SELECT count(*) > %d FROM hearth_changed) AS much FROM hearth_changed AS x) AS z) AS q
		GROUP BY q.part;`, now, before, 2*p.flush+1, insert, p.set.ID, array("string_agg(q.d, "+between+") FILTER (WHERE NOT q.much)"), writerText, perRow, 2*p.flush)
}

// mark is a comment by which Faults knows what a function was written from. JSON has no
// line end in it, whatever the columns are called.
func (p *plan) mark() string {
	compared, err := json.Marshal(p.compared)
	if err != nil {
		panic("BUG: names are no JSON: " + err.Error())
	}
	return fmt.Sprintf("-- Hearth writes down which rows have changed. Installed by: hearth feed install\n-- version %d, flush_rows %d, keyed %t, compared by %s",
		Version, p.flush, p.keyed, compared)
}
