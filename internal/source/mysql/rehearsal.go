package mysql

import (
	"context"
	"errors"
	"regexp"

	"hearth/internal/source/engine"
	"hearth/internal/source/stdsql"
)

// creates finds the names of what a statement makes or alters.
var creates = regexp.MustCompile("(?i)\\b(?:CREATE|ALTER|RENAME)\\b[^;(]*?\\b(?:TABLE|VIEW|PROCEDURE|FUNCTION)\\s+(?:IF\\s+NOT\\s+EXISTS\\s+)?[`\"\\[]?(\\w+)")

// rehearse runs nothing, for MySQL commits at every change of a table: it
// prepares, and remembers what would be made. A later statement that needs what
// an earlier one would make fails to be prepared; Unmade lets that pass.
func rehearse(ctx context.Context, p *stdsql.Prober, r *engine.Rehearsal) error {
	if r.Writes {
		var readOnly bool
		if err := p.Conn.QueryRowContext(ctx, "SELECT @@global.read_only").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly {
			r.Report("url", errors.New("the database takes no writes (read_only is on), and some resources write; name the primary"))
		}
	}
	for i, text := range r.Init {
		if err := p.Prepare(ctx, text); err != nil && !p.Engine.Variant.Unprepared(err) && !p.Unmade(err) {
			if faultOf(err).Class == engine.FaultLost {
				return err
			}
			r.Report(engine.InitKey(i), err)
		}
		for _, found := range creates.FindAllStringSubmatch(text, -1) {
			p.Made = append(p.Made, found[1])
		}
	}
	if r.Demo {
		p.Made = append(p.Made, engine.DemoTable)
	}
	return nil
}
