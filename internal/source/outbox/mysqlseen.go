package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"hearth/internal/source/engine"
)

// TRUNCATE fires no trigger, nor does ALTER TABLE, which may change every row and take
// partitions away. Both leave a trace in the catalog: the time of the table's definition,
// and the numbers by which InnoDB knows a table or its partitions. The leader of the feed
// notes what it has seen, in the table of sets, and says that everything has changed when
// that is another one.

// seen is the trace of a set's table. ids is nil for an account that does not see them.
func (m *mysqlSet) seen(ids map[string]string) string {
	if ids == nil {
		return m.table.made + unseenIDs
	}
	name := m.catalog.fileName(m.table.mysqlRelation)
	var all []string
	for table, id := range ids {
		if rest, ok := strings.CutPrefix(table, name); ok && (rest == "" || strings.HasPrefix(rest, "#p#")) {
			all = append(all, rest+"="+id)
		}
	}
	slices.Sort(all)
	return m.table.made + " " + strings.Join(all, " ")
}

const (
	// unseenIDs ends a trace of which the account saw the time alone.
	unseenIDs = " ?"
	// soon ends a trace that was noted when its table had just been altered. The server tells
	// that by the second, so the same trace may be of the next one, too: it is taken for
	// another one when that second is long over.
	soon = " and soon after"
)

// isNew tells whether a trace is another one than that which was noted.
func (m *mysqlSet) isNew(trace, noted string) bool {
	before := strings.TrimSuffix(noted, soon)
	switch {
	case before != noted && !m.table.fresh:
		return true
	case strings.HasSuffix(trace, unseenIDs):
		return !strings.HasPrefix(before, m.table.made+" ")
	}
	return trace != before
}

// tableIDs are InnoDB's numbers of tables and partitions, by their names in lower case; nil
// for an account without the right PROCESS, which it takes to see them.
func (c *mysqlCatalog) tableIDs(tables []mysqlRelation) (map[string]string, error) {
	of := "information_schema.innodb_sys_tables"
	if !c.maria && c.number >= 80000 {
		of = "information_schema.innodb_tables"
	}
	where, args := []string{"FALSE"}, []any{}
	for _, r := range tables {
		if name := c.fileName(r); name != "" {
			where = append(where, "LOWER(name) = ? OR LOWER(LEFT(name, CHAR_LENGTH(?))) = ?")
			args = append(args, name, name+"#p#", name+"#p#")
		}
	}
	rows, err := c.ask("SELECT LOWER(name), table_id FROM "+of+" WHERE "+strings.Join(where, " OR "), args...)
	if c.denied(err) {
		return nil, nil
	}
	ids := map[string]string{}
	for _, row := range rows {
		ids[row[0]] = row[1]
	}
	return ids, err
}

// fileName is InnoDB's name of a table in lower case; "" for one that it would write in a
// way of its own.
func (c *mysqlCatalog) fileName(r mysqlRelation) string {
	var b strings.Builder
	for i, part := range []string{c.schemaOf(r), r.name} {
		if i > 0 {
			b.WriteByte('/')
		}
		for _, letter := range part {
			switch {
			case letter >= 0x80:
				return ""
			case letter == '_' || letter >= '0' && letter <= '9' || letter|0x20 >= 'a' && letter|0x20 <= 'z':
				b.WriteRune(letter)
			default:
				fmt.Fprintf(&b, "@%04x", letter)
			}
		}
	}
	return strings.ToLower(b.String())
}

// denied tells whether an error says that a right is missing.
func (c *mysqlCatalog) denied(err error) bool {
	var e *driver.MySQLError
	return errors.As(err, &e) && slices.Contains(deniedNumbers, e.Number)
}

// orphans are triggers whose account is gone: they fail every write. That is seen only by
// an account that may read the list of accounts.
func (c *mysqlCatalog) orphans(there []mysqlTrigger) (all []mysqlTrigger, err error) {
	known := map[string]bool{c.user: true}
	for _, t := range there {
		exists, asked := known[t.by]
		if !asked {
			at := strings.LastIndexByte(t.by, '@')
			rows, err := c.ask("SELECT COUNT(*) FROM mysql.user WHERE user = ? AND host = ?", t.by[:max(at, 0)], t.by[at+1:])
			switch {
			case err != nil && c.engine.Fault(err).Class >= engine.FaultRefused:
				exists = true // as far as this account can tell
			case err != nil:
				return nil, err
			default:
				exists = rows[0][0] != "0"
			}
			known[t.by] = exists
		}
		if !exists {
			all = append(all, t)
		}
	}
	return all, nil
}

// heal implements catalogued. It looks again at the sets that have faults.
func (mysql) heal(ctx context.Context, o *Outbox, faults []Fault, installed bool) (done []string, err error) {
	c, err := catalogOf(ctx, o.engine)
	if err != nil {
		return nil, err
	}
	stands, err := c.stands()
	if err != nil {
		return nil, err
	}
	missed, err := c.healTell(o)
	if err != nil {
		return nil, err
	}
	if missed {
		done = append(done, fmt.Sprintf("the procedure %s was created anew, without which triggers wrote nothing", mysqlTell))
	}
	var looked []int32
	for _, f := range faults {
		stand, ok := stands[f.Set.ID]
		if !ok || slices.Contains(looked, f.Set.ID) {
			continue
		}
		looked = append(looked, f.Set.ID)
		texts, err := c.healSet(o, f.Set, stand, missed, installed)
		done = append(done, texts...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// healTell creates the procedure by which triggers write, if it is gone. An account that
// may not create it, or does not see it, leaves that to an operator.
func (c *mysqlCatalog) healTell(o *Outbox) (healed bool, err error) {
	there, err := c.tells()
	if there || err != nil {
		return false, err
	}
	err = o.engine.Run(c.ctx, lenient(c.createTell()))
	if err != nil && o.engine.Fault(err).Class >= engine.FaultRefused {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return c.tells()
}

// healSet looks at one set; missed says that its triggers have told nothing. A row that says that everything has changed comes after what
// was done about the triggers: writes that failed until then have changed nothing.
func (c *mysqlCatalog) healSet(o *Outbox, s Set, stand mysqlStand, missed, installed bool) (done []string, err error) {
	m, _, err := c.setIn(s, Options{FlushRows: stand.flush})
	if err != nil || len(m.columns) == 0 {
		return nil, err
	}
	there, err := c.triggersOf(m)
	if err != nil {
		return nil, err
	}
	orphans, err := c.orphans(there)
	if err != nil {
		return nil, err
	}
	for _, t := range orphans {
		if err := o.engine.Run(c.ctx, []string{mysqlPatience, t.drop()}); err != nil {
			return done, err
		}
		done = append(done, fmt.Sprintf("the trigger %s on table %q was dropped: the account %q that it runs as is gone, and every write failed; %s",
			t.name, t.table.text(), t.by, mysqlMend))
	}
	ids, err := c.tableIDs([]mysqlRelation{m.table.mysqlRelation})
	if err != nil {
		return done, err
	}
	trace, noted := m.seen(ids), stand.seen
	altered := m.isNew(trace, noted)
	if !altered && !missed && len(done) == 0 {
		return nil, nil
	}
	tell := altered && noted != "" && trace+soon != noted && !strings.HasSuffix(noted, unseenIDs)
	if m.table.fresh && !installed {
		trace += soon
	}
	err = o.change(c.ctx, "telling that a table was altered", func(tx engine.Transaction) error {
		if _, err := tx.Exec(c.ctx, engine.Query{SQL: o.dialect.Texts().Insert, Args: []any{int64(s.ID), nil}}); err != nil {
			return err
		}
		_, err := tx.Exec(c.ctx, engine.Query{SQL: "UPDATE `hearth_watch` SET `seen` = ? WHERE `id` = ?", Args: []any{trace, int64(s.ID)}})
		return err
	})
	if err == nil && tell {
		done = append(done, fmt.Sprintf("table %q was emptied, altered or made anew, which fires no trigger: everything that it concerns is removed", s.Table))
	}
	return done, err
}
