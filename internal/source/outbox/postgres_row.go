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
		END IF;`, side.as, p.recordInside(side.record), p.recordText(side.record, side.as), literal(query), into, side.record)
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
	now text;
	before text;
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
	VALUES (%[8]d, %[10]s, %[9]s);
	RETURN NULL;
END
`, p.mark(), p.everything(), p.known(), now.String(), before.String(), same, insert, p.set.ID, writerText,
		array("CASE WHEN hearth.now IS NULL OR hearth.now = hearth.before THEN hearth.before WHEN hearth.before IS NULL THEN hearth.now"+
			" ELSE hearth.before || "+between+" || hearth.now END"))
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

// recordInside is what is told of a record whose columns are as they were.
func (p *plan) recordInside(record string) string {
	return p.inside(func(i int) string {
		if _, ok := p.typed(p.set.Captured[i]); !ok { // which is never reached
			return gone
		}
		return record + "." + name(p.set.Captured[i])
	})
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
