package outbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Foreign keys change rows without a trigger: what InnoDB does by ON DELETE and ON UPDATE
// fires none. So a table above a watched one has triggers, too, which write down what
// becomes of the rows below before it happens:
//
//	orders.user_id → users.id ON DELETE CASCADE
//	DELETE FROM users WHERE id = 5
//	    BEFORE DELETE on users: INSERT … of the orders WHERE user_id = 5
//
// A table may be several keys away: that is a path, from the watched table upwards. What an
// event at its upper end does to each table on the way down follows from the rules of the
// keys.

// deepest is how many keys a path may have. Each is a join in a trigger.
//
// A key of a table to itself, and keys in a circle, lead on without end. There the rows so
// far below are not named: if there is any row deepest + 1 keys below, everything has
// changed.
const deepest = 3

// effect is what an event does to the rows of a table: they are deleted, or columns are
// set to expressions, by the columns' names in lower case. nil: nothing.
type effect struct {
	deleted bool
	set     map[string]string
}

// through is what an effect on the table above does by a key to the table below.
func (e *effect) through(k mysqlReference) *effect {
	if e == nil {
		return nil
	}
	rule := k.onDelete
	if !e.deleted {
		rule = k.onUpdate
		if !slices.ContainsFunc(k.referenced, func(c string) bool { _, ok := e.set[strings.ToLower(c)]; return ok }) {
			return nil
		}
	}
	below := &effect{set: map[string]string{}}
	switch {
	case rule == "CASCADE" && e.deleted:
		return &effect{deleted: true}
	case rule == "CASCADE":
		for i, column := range k.columns {
			if value, ok := e.set[strings.ToLower(k.referenced[i])]; ok {
				below.set[strings.ToLower(column)] = value
			}
		}
	case rule == "SET NULL":
		for _, column := range k.columns {
			below.set[strings.ToLower(column)] = "NULL"
		}
	default: // the application's statement is refused
		return nil
	}
	return below
}

// keyPath is a way from the watched table up, a key a step.
type keyPath []mysqlReference

// effectOf is what an event at the upper end does to the watched table.
func (p keyPath) effectOf(event *effect) *effect {
	for _, key := range slices.Backward(p) {
		event = event.through(key)
	}
	return event
}

// deletion and renaming are the events at the upper end of a path. InnoDB refuses to change
// a key if that comes by the same table twice.
func (p keyPath) deletion() *effect { return p.effectOf(&effect{deleted: true}) }

func (p keyPath) renaming() *effect {
	if p.circles() {
		return nil
	}
	event := &effect{set: map[string]string{}}
	for _, column := range p[len(p)-1].referenced {
		event.set[strings.ToLower(column)] = "NEW." + mysqlName(column)
	}
	return p.effectOf(event)
}

// circles tells whether a path comes by a table twice.
func (p keyPath) circles() bool {
	for i, key := range p {
		if slices.ContainsFunc(p[:i+1], func(below mysqlReference) bool { return below.child == key.parent }) {
			return true
		}
	}
	return false
}

// id tells paths apart.
func (p keyPath) id() string {
	var b strings.Builder
	for _, key := range p {
		fmt.Fprint(&b, key.child.text(), "\x00", key.name, "\x00")
	}
	return b.String()
}

func (p keyPath) String() string {
	names := []string{p[0].child.text()}
	for _, key := range p {
		names = append(names, key.parent.text())
	}
	return strings.Join(names, " → ")
}

// cascades are the triggers on the tables above.
func (m *mysqlSet) cascades() (all []mysqlTrigger, err error) {
	ends := map[string]bool{} // the upper ends of long paths
	for paths := []keyPath{nil}; len(paths) > 0; paths = paths[1:] {
		path, top := paths[0], m.table.mysqlRelation
		if len(path) > 0 {
			top = path[len(path)-1].parent
		}
		keys, err := m.catalog.references(top)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			longer := append(slices.Clone(path), key)
			deletion, renaming := longer.deletion(), longer.renaming()
			if deletion == nil && renaming == nil {
				continue
			}
			end := longer
			if len(longer) > deepest {
				if !longer.circles() {
					return nil, tooDeepError{longer}
				}
				if end = longer[len(longer)-deepest-1:]; ends[end.id()] {
					continue
				}
				ends[end.id()] = true
			}
			paths = append(paths, longer)
			if all, err = m.above(all, end, m.counted(deletion), m.counted(renaming)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// tooDeepError is about a path that is longer than a trigger can follow.
type tooDeepError struct{ path keyPath }

// Error names the tables, and what ends the path.
func (e tooDeepError) Error() string {
	return fmt.Sprintf("foreign keys lead from row to row by ON DELETE or ON UPDATE over more than %d keys (%s) and change its rows without"+
		" firing a trigger, and a trigger that looks for them would join too many tables; give one of the keys the rule RESTRICT,"+
		" or the resource watch = \"none\"", deepest, e.path)
}

// counted is an effect on the watched table if it counts: deleted rows do, and columns
// that are captured or of the filter.
func (m *mysqlSet) counted(e *effect) *effect {
	if e == nil || e.deleted || len(m.Filter) == 0 {
		return e
	}
	for _, name := range append(slices.Clone(m.Captured), m.Filter...) {
		if _, ok := e.set[strings.ToLower(name)]; ok {
			return e
		}
	}
	return nil
}

// above adds the triggers at the upper end of a path. The same key may be declared twice.
func (m *mysqlSet) above(all []mysqlTrigger, path keyPath, deletion, renaming *effect) ([]mysqlTrigger, error) {
	top := path[len(path)-1]
	add := func(t mysqlTrigger) {
		if !slices.ContainsFunc(all, t.is) {
			all = append(all, t)
		}
	}
	if deletion != nil {
		add(m.trigger("pd", "BEFORE DELETE", top.parent, m.below(path, deletion)))
	}
	if renaming == nil {
		return all, nil
	}
	columns, err := m.catalog.columns(top.parent)
	if err != nil {
		return nil, err
	}
	var same []string
	for _, name := range top.referenced {
		column, _ := columnNamed(columns, name)
		same = append(same, column.same("OLD."+mysqlName(name), "NEW."+mysqlName(name)))
	}
	add(m.trigger("pu", "BEFORE UPDATE", top.parent,
		fmt.Sprintf("IF NOT (%s) THEN\n  %s;\n  END IF", strings.Join(same, " AND "), m.below(path, renaming))))
	return all, nil
}

// below writes down what becomes of the watched rows at the lower end of a path.
//
// They are read with a lock, as the cascade will lock them in any case: a snapshot may be
// older than a change of theirs whose own row of the outbox is gone when the cascade
// commits. The lock is a shared one, because a statement may change the table itself
// beside this one, and a trigger must not write to such a table, which FOR UPDATE is to
// the server.
//
// They are written by single INSERTs: INSERT … SELECT would lock the numbering of the
// outbox until the application's statement is over, and with it all other writers.
func (m *mysqlSet) below(path keyPath, e *effect) string {
	from, top := m.joined(path), path[len(path)-1].parent
	if len(path) > deepest {
		return fmt.Sprintf("IF EXISTS (SELECT 1 FROM %s LOCK IN SHARE MODE) THEN\n    %s;\n  END IF", from, m.tell(top, "NULL"))
	}
	row := m.object("c1", nil)
	if !e.deleted {
		row = "CONCAT(" + row + ", ',', " + m.object("c1", e.set) + ")"
	}
	return strings.NewReplacer(
		// One text of two that a collation takes for the same must not stand for both.
		"{row}", "CONVERT("+row+" USING utf8mb4) COLLATE utf8mb4_bin", "{from}", from, "{flush}", strconv.Itoa(m.flush),
		"{everything}", m.tell(top, "NULL"), "{rows}", m.tell(top, "CONCAT('[', hearth_rows, ']')"),
	).Replace(cascade)
}

// cascade writes rows of the outbox with some hundreds of the application's in each.
const cascade = `BEGIN
    DECLARE hearth_row, hearth_rows LONGTEXT CHARACTER SET utf8mb4;
    DECLARE hearth_count, hearth_end INT DEFAULT 0;
    DECLARE hearth_below CURSOR FOR SELECT DISTINCT {row} FROM {from} LOCK IN SHARE MODE;
    DECLARE CONTINUE HANDLER FOR NOT FOUND SET hearth_end = 1;
    OPEN hearth_below;
    hearth_each: LOOP
      FETCH hearth_below INTO hearth_row;
      IF hearth_end THEN LEAVE hearth_each; END IF;
      SET hearth_count = hearth_count + 1;
      IF hearth_count > {flush} THEN
        {everything};
        SET hearth_rows = NULL;
        LEAVE hearth_each;
      END IF;
      SET hearth_rows = CONCAT_WS(',', hearth_rows, hearth_row);
      IF hearth_count % 500 = 0 OR LENGTH(hearth_rows) > 100000 THEN
        {rows};
        SET hearth_rows = NULL;
      END IF;
    END LOOP;
    CLOSE hearth_below;
    IF hearth_rows IS NOT NULL THEN
      {rows};
    END IF;
  END`

// joined is a path as FROM and WHERE: c1 is the watched table, and the row at the upper end
// is OLD.
func (m *mysqlSet) joined(path keyPath) string {
	var from, where []string
	top := path[len(path)-1].parent
	for i, key := range path {
		from = append(from, fmt.Sprintf("%s AS c%d", m.tableFrom(top, key.child), i+1))
		above := fmt.Sprintf("c%d", i+2)
		if i == len(path)-1 {
			above = "OLD"
		}
		for j, column := range key.columns {
			where = append(where, fmt.Sprintf("c%d.%s = %s.%s", i+1, mysqlName(column), above, mysqlName(key.referenced[j])))
		}
	}
	return strings.Join(from, ", ") + " WHERE " + strings.Join(where, " AND ")
}

// tableFrom is a table as a trigger of another one names it.
func (m *mysqlSet) tableFrom(trigger, table mysqlRelation) string {
	if trigger.schema == table.schema {
		return mysqlName(table.name)
	}
	return mysqlNames(m.catalog.schemaOf(table), table.name)
}
