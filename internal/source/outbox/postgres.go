package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"hearth/internal/source/engine"
)

// postgres is the dialect of its database: the schema hearth, and triggers on the watched
// tables whose functions stand there. It works on PostgreSQL 12 and later.
//
// The functions of the triggers run with the rights of who has installed them, so that
// the application's roles need none.
type postgres struct{ bottom *bottom }

// Texts implements dialect. Parameters have types that all modes of execution send alike.
func (postgres) Texts() texts {
	return texts{
		Read: `SELECT id, watch, data, writer, age FROM hearth.read($1::bigint, $2::bigint)`,
		Kept: `SELECT id, watch, data, writer, extract(epoch FROM clock_timestamp() - at)::float8 FROM hearth.kept
			WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint`,
		Done:   func(ids []int64) engine.Query { return ofIDs(`SELECT hearth.done($1::bigint[])`, ids) },
		Expire: `DELETE FROM hearth.kept WHERE kept_at < clock_timestamp() - make_interval(secs => $1::float8)`,
		Size:   `SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM hearth.feed`,
		Sets:   `SELECT id, tab, captured, filter, meanings, version FROM hearth.watch ORDER BY id`,
		Insert: `SELECT hearth.tell($1::bigint::integer, $2::text::jsonb)`,
		Pulse: `SELECT fleet, beat, server, extract(epoch FROM clock_timestamp() - at)::float8, hearth.server()
			FROM hearth.drain WHERE id = 1 FOR UPDATE`,
		Note: `UPDATE hearth.drain SET fleet = $1::text, instance = $2::text, beat = $3::bigint, server = $4::text, at = clock_timestamp()
			WHERE id = 1`,
		Drainer: `SELECT fleet, instance, beat, extract(epoch FROM clock_timestamp() - at)::float8 FROM hearth.drain WHERE id = 1`,
		Save:    saveSet,
		Forget:  func(id int32) string { return fmt.Sprintf(`DELETE FROM hearth.watch WHERE id = %d`, id) },
	}
}

// Keep implements dialect.
func (postgres) Keep(ids []int64) []engine.Query {
	return []engine.Query{ofIDs(`SELECT hearth.keep($1::bigint[])`, ids)}
}

// Moved implements dialect: only a look tells.
func (postgres) Moved(context.Context, engine.Engine) (bool, error) { return true, nil }

func ofIDs(text string, ids []int64) engine.Query {
	return engine.Query{SQL: text, Args: []any{ids}, Uncounted: true}
}

// saveSet implements texts.Save. A script may run elsewhere or later than it was made: it
// takes nothing away that it does not know of, unless it is to.
func saveSet(s Set, opt Options) string {
	captured, filter, meanings := jsonLiteral(s.Captured), jsonLiteral(s.Filter), jsonLiteral(s.Meanings)
	keep := ""
	if !opt.Prune {
		known := Set{Captured: s.Captured, Meanings: s.Meanings}
		if s.leftOut != nil {
			known.Captured, known.Meanings = slices.Concat(known.Captured, s.leftOut.Captured), slices.Concat(known.Meanings, s.leftOut.Meanings)
		}
		keep = fmt.Sprintf(`
	IF EXISTS (SELECT FROM hearth.watch AS w WHERE w.id = %d AND NOT (w.captured <@ %s AND w.meanings <@ %s)) THEN
		RAISE EXCEPTION 'hearth: the outbox watches more of %% than this script knows of; print it anew by: hearth feed install', %s;
	END IF;`, s.ID, jsonLiteral(known.Captured), jsonLiteral(known.Meanings), literal(s.Table))
	}
	return doBlock(fmt.Sprintf("what the triggers of set %d mean", s.ID), fmt.Sprintf(`BEGIN%s
	INSERT INTO hearth.watch (id, tab, captured, filter, meanings, version) VALUES (%d, %s, %s, %s, %s, %d)
		ON CONFLICT (id) DO UPDATE SET tab = EXCLUDED.tab, captured = EXCLUDED.captured, filter = EXCLUDED.filter,
			meanings = EXCLUDED.meanings, version = EXCLUDED.version;
END`, keep, s.ID, literal(s.Table), captured, filter, meanings, s.Version))
}

// Remove implements dialect. It needs no right on the watched tables: the functions are
// dropped, and the triggers with them.
func (postgres) Remove([]Set) []string {
	return []string{
		lockTimeout,
		`DO $hearth$
DECLARE
	f pg_catalog.regprocedure;
BEGIN
	FOR f IN SELECT p.oid::pg_catalog.regprocedure FROM pg_catalog.pg_proc AS p
		WHERE p.pronamespace = pg_catalog.to_regnamespace('hearth') AND p.proname ~ '^hearth_[0-9]+(_row)?$'
	LOOP
		EXECUTE pg_catalog.format('DROP FUNCTION %s CASCADE', f);
	END LOOP;
END $hearth$`,
		`DROP FUNCTION IF EXISTS hearth.read(bigint, bigint), hearth.done(bigint[]), hearth.keep(bigint[]), hearth.tell(integer, jsonb),
			hearth.bottom(), hearth.server()`,
		`DROP TABLE IF EXISTS hearth.feed, hearth.kept, hearth.watch, hearth.drain`,
		// A schema that was given by somebody else, or has more in it, stays.
		`DO $hearth$ BEGIN
	IF pg_catalog.to_regnamespace('hearth') IS NOT NULL THEN DROP SCHEMA hearth; END IF;
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
	RAISE NOTICE 'hearth: the schema hearth stays: %', SQLERRM;
END $hearth$`,
	}
}

// Without implements dialect.
func (postgres) Without(s Set) []string {
	return []string{
		fmt.Sprintf(`DROP FUNCTION IF EXISTS %s() CASCADE`, functionOf(s.ID, false)),
		fmt.Sprintf(`DROP FUNCTION IF EXISTS %s() CASCADE`, functionOf(s.ID, true)),
	}
}

// functionOf is the function of a set's triggers. There are two of them, see
// relation.byRow, of which a set has one.
func functionOf(id int32, byRow bool) string {
	if byRow {
		return fmt.Sprintf("hearth.hearth_%d_row", id)
	}
	return fmt.Sprintf("hearth.hearth_%d", id)
}

// name quotes a name, or the parts of one.
func name(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// literal quotes a text, whatever standard_conforming_strings is.
func literal(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\x00", ""), "'", "''")
	if strings.Contains(text, `\`) {
		return ` E'` + strings.ReplaceAll(text, `\`, `\\`) + `'`
	}
	return `'` + text + `'`
}

// jsonLiteral is a list as a literal of the type jsonb.
func jsonLiteral[T any](list []T) string {
	if list == nil {
		list = []T{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic("BUG: a list of texts is no JSON: " + err.Error())
	}
	return literal(string(text)) + "::pg_catalog.jsonb"
}

// dollars quotes the text of a function, so that it can be read as it stands.
func dollars(text string) string {
	tag := "$hearth$"
	for i := 1; strings.Contains(text, tag); i++ {
		tag = fmt.Sprintf("$hearth%d$", i)
	}
	return tag + text + tag
}

// doBlock is a statement whose first line says what it does, which is what an error shows.
func doBlock(what, text string) string { return "DO " + dollars(" -- "+what+"\n"+text) }
