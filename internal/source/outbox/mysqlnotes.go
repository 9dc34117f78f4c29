package outbox

import (
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// notes are what an operator should know of a set's triggers.
func (m *mysqlSet) notes(triggers []mysqlTrigger) (notes []string, err error) {
	c := m.catalog
	if m.table.engine != "InnoDB" {
		notes = append(notes, fmt.Sprintf("Table %q is of the engine %s, which has no transactions: a change stays although the transaction"+
			" around it is rolled back, and then nobody has told it.", m.Table, m.table.engine))
	}
	var above []string
	for _, t := range triggers {
		if name := t.table.text(); t.table != m.table.mysqlRelation && !slices.Contains(above, name) {
			above = append(above, name)
		}
	}
	if len(above) > 0 {
		notes = append(notes, fmt.Sprintf("Foreign keys change rows of %q without firing a trigger. Triggers on %s write down what becomes of"+
			" them before it happens. After a new foreign key run: hearth feed install", m.Table, strings.Join(above, ", ")))
	}
	for _, meaning := range m.Meanings {
		for _, column := range m.columns {
			if strings.Contains(meaning.Keys, "{row."+column.name+"}") && (column.kind == "binary" || column.kind == "varbinary") {
				notes = append(notes, fmt.Sprintf("The value of %s.%s is told as text, that of binary(16) as a uuid and other bytes that are no text in"+
					" hexadecimal: the query keys of %q compares with UNHEX(REPLACE({row.%[2]s}, '-', '')) there.", m.Table, column.name, meaning.Resource))
			}
		}
	}
	general, err := c.notes(m.table.mysqlRelation)
	return append(notes, general...), err
}

// notes are what holds for all triggers of this server; table is any of those watched.
func (c *mysqlCatalog) notes(table mysqlRelation) (notes []string, err error) {
	rows, err := c.ask("SELECT @@log_bin, @@log_bin_trust_function_creators, @@binlog_format")
	if err != nil && c.engine.Fault(err).Class < engine.FaultRefused { // a server without one of them has not its troubles
		return nil, err
	}
	if err == nil && rows[0][0] == "1" {
		row := rows[0]
		if row[1] != "1" {
			notes = append(notes, "The binary log is on: CREATE TRIGGER needs the right SUPER, or: SET GLOBAL log_bin_trust_function_creators = 1")
		}
		if row[2] == "STATEMENT" {
			notes = append(notes, "binlog_format is STATEMENT: triggers that write are not safe with it, and the drain cannot delete rows."+
				" Take MIXED or ROW.")
		}
	}
	ids, err := c.tableIDs([]mysqlRelation{table})
	if err != nil {
		return nil, err
	}
	if ids == nil {
		notes = append(notes, "This account does not see when a table is emptied by TRUNCATE, or a partition by ALTER TABLE: after those run:"+
			" hearth feed flush RESOURCE. With the right PROCESS it sees them within a second: GRANT PROCESS ON *.* TO "+mysqlAccount(c.user))
	}
	notes = append(notes, "gh-ost and pt-online-schema-change put another table in the place of a watched one, and refuse one with triggers"+
		" unless told to take them along (--include-triggers, --preserve-triggers). Afterwards run: hearth feed install -apply")
	return notes, nil
}
