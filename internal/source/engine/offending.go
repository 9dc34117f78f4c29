package engine

import (
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// ColumnsIn returns the columns of an upsert's destinations that an expression
// names.
func ColumnsIn(s *sqltext.Statement, expression string, order map[sqltext.Table][]string) (columns []string) {
	for _, word := range sqltext.Names(s.Dialect, expression) {
		for _, at := range s.Destinations {
			if name := at.Name(order); name != "" && strings.EqualFold(name, word) && !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	return columns
}
