package draft

import (
	"context"
	"fmt"
	"os"
	"strings"

	"hearth/internal/param"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// permit takes out of s what the database would refuse, most often because the account may only
// read, and returns why there is nothing to serve, "" if there is. The database is asked about
// the statements themselves: no catalogue tells of all that a right can depend on.
func (w *tableWriter) permit(ctx context.Context, e engine.Engine, p engine.Prober, s *statements) (refused string) {
	var params []param.Param
	for i, name := range s.params {
		params = append(params, param.Param{Name: name, Type: kindOf(w.quoter.dialect, w.table.columns[w.table.key[i]])})
	}
	ask := func(text string, reads bool) string {
		if text == "" {
			return ""
		}
		parsed, err := sqltext.Parse(w.quoter.dialect, text, params, !reads)
		if err != nil {
			return "" // the check of the draft tells what is wrong, and where
		}
		_, err = p.Probe(ctx, engine.QueryOf(parsed, make([]any, len(params)), make([]any, len(parsed.Fields))), reads)
		if err == nil || e.Fault(err).Class != engine.FaultRefused {
			return ""
		}
		return line(cut(err.Error(), 200))
	}
	if why := ask(s.sel, true); why != "" {
		return "cannot be read: " + why
	}
	if w.frozen != "" {
		s.upsert, s.deletes, s.note = "", "", w.frozen
		return ""
	}
	noPut, noDelete := ask(s.upsert, false), ask(s.deletes, false)
	switch {
	case noPut != "" && noDelete != "":
		s.upsert, s.deletes, s.note = "", "", fmt.Sprintf("The database refuses them: %s.", noPut)
	case noPut != "":
		s.upsert, s.note = "", fmt.Sprintf("No PUT, for the database refuses it: %s.", noPut)
	case noDelete != "" && s.upsert == "":
		s.deletes, s.note = "", fmt.Sprintf("%s The database refuses a DELETE: %s.", s.note, noDelete)
	case noDelete != "":
		s.deletes = ""
		s.note += fmt.Sprintf(" No DELETE, for the database refuses it: %s.", noDelete)
	}
	return ""
}

// frozen says why nothing in a database of SQLite can be changed, "" if it can: SQLite itself
// tells only once something is written.
func frozen(from string) string {
	file, isSQLite := strings.CutPrefix(from, "sqlite:")
	if !isSQLite {
		return ""
	}
	file, _, _ = strings.Cut(file, "?")
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return "This account may not write to the file."
	}
	_ = f.Close()
	return ""
}
