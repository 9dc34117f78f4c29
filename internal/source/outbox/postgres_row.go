package outbox

import (
	"fmt"
	"slices"
	"strings"
)

// A trigger for rows has no table of them: PL/pgSQL reads columns out of a record, and
// keeps the plan of an expression with the type that the column had. A column that has
// another type now, or is gone, would be an error in sessions that were there before.
//
// So the function first looks whether the columns that it names are as they were when it
// was written. If they are not, it reads them by a query that is planned for this row
// alone, at several times the cost: until feed install is run again.

// rowBody is the function of triggers for rows.
func (p *plan) rowBody() string {
	var now, before strings.Builder
	for _, side := range []struct {
		b      *strings.Builder
		record string
		as     string
	}{{&now, "NEW", "now"}, {&before, "OLD", "before"}} {
		query := "SELECT d FROM (%s) AS s"
		into := "hearth." + side.as
		if len(p.compared) > 0 {
			query, into = "SELECT d, t FROM (%s) AS s", into+", hearth."+side.as+"_text"
		}
		query = fmt.Sprintf(query, p.rows("(SELECT ($1).*)", side.as))
		fmt.Fprintf(side.b, `IF hearth.known THEN
			hearth.%[1]s := %[2]s;%[3]s
		ELSE
			EXECUTE %[4]s INTO %[5]s USING %[6]s;
		END IF;`, side.as, p.recordObject(side.record), p.recordText(side.record, side.as), literal(query), into, side.record)
	}
	same := ""
	if len(p.compared) > 0 {
		same = `
	IF TG_OP = 'UPDATE' AND hearth.now_text = hearth.before_text THEN
		RETURN NULL;
	END IF;`
	}
	return fmt.Sprintf(`
%[1]s
#variable_conflict use_column
<<hearth>>
DECLARE
	known boolean;
	now jsonb;
	before jsonb;
	now_text text;
	before_text text;
BEGIN
	IF TG_OP = 'TRUNCATE' THEN
		%[2]s
		RETURN NULL;
	END IF;
	%[3]s
	IF TG_OP <> 'DELETE' THEN
		%[4]s
	END IF;
	IF TG_OP <> 'INSERT' THEN
		%[5]s
	END IF;%[6]s
	%[7]s
	VALUES (%[8]d, CASE WHEN hearth.now IS NULL OR hearth.now = hearth.before THEN jsonb_build_array(hearth.before)
		WHEN hearth.before IS NULL THEN jsonb_build_array(hearth.now) ELSE jsonb_build_array(hearth.before, hearth.now) END, %[9]s);
	RETURN NULL;
END
`, p.mark(), p.everything(), p.known(), now.String(), before.String(), same, insert, p.set.ID, writerText)
}

// typed is a column of the table as it is while the function is written.
func (p *plan) typed(name string) (column, bool) {
	i := slices.IndexFunc(p.table.Columns, func(c column) bool { return c.Name == name })
	if i < 0 {
		return column{}, false
	}
	return p.table.Columns[i], true
}

// known looks whether the columns are as they were.
func (p *plan) known() string {
	var all []string
	for _, n := range union(p.set.Captured, p.compared) {
		c, ok := p.typed(n)
		if !ok {
			return "hearth.known := false;"
		}
		all = append(all, fmt.Sprintf("(%s, %s)", literal(c.Name), literal(c.Type)))
	}
	if len(all) == 0 {
		return "hearth.known := true;"
	}
	return fmt.Sprintf(`hearth.known := %d = (SELECT count(*) FROM pg_attribute AS a WHERE a.attrelid = TG_RELID AND NOT a.attisdropped
		AND (a.attname, a.atttypid::regtype::text) IN (%s));`, len(all), strings.Join(all, ", "))
}

// recordObject is what is told of a record whose columns are as they were.
func (p *plan) recordObject(record string) string {
	if len(p.set.Captured) == 0 {
		return "'{}'::jsonb"
	}
	var parts []string
	for _, c := range p.set.Captured {
		if _, ok := p.typed(c); !ok { // which is never reached
			parts = append(parts, literal(c)+", "+gone)
			continue
		}
		parts = append(parts, literal(c)+", "+jsonOf(record+"."+name(c)))
	}
	return "jsonb_build_object(" + strings.Join(parts, ", ") + ")"
}

// recordText assigns by what a record is compared.
func (p *plan) recordText(record, as string) string {
	if len(p.compared) == 0 {
		return ""
	}
	var parts []string
	for _, c := range p.compared {
		if _, ok := p.typed(c); !ok {
			parts = append(parts, literal(as))
			continue
		}
		parts = append(parts, record+"."+name(c))
	}
	return fmt.Sprintf("\n			hearth.%s_text := %s;", as, textOfAll(parts))
}
