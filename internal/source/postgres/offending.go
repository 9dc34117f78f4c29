package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Documents has nothing to tell: json and jsonb are types of their own.
func (e *server) Documents(context.Context, *sqltext.Statement) (map[string]bool, error) {
	return nil, nil
}

// Catalog has nothing to tell: the server types the parameters of each write.
func (e *server) Catalog(context.Context, *sqltext.Statement, *engine.Result) (*engine.Catalog, error) {
	return nil, nil
}

// Catalog is as empty as the engine's.
func (t *transaction) Catalog(context.Context, *sqltext.Statement, *engine.Result) (*engine.Catalog, error) {
	return nil, nil
}

// Offending asks for the columns of a constraint, and where no constraint is at
// fault, which of the arguments PostgreSQL does not read as what they are for. It
// runs after the transaction, on a connection of the pool. What it cannot find
// out is left out: the client is answered in any case, only less precisely.
func (e *server) Offending(ctx context.Context, s *sqltext.Statement, q engine.Query, err error) (c engine.Offending) {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return c
	}
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return c
	}
	defer conn.Release()
	columns := columnsOf(ctx, conn.Conn(), s)
	c.Order = map[sqltext.Table][]string{}
	for _, column := range columns {
		c.Order[column.table] = append(c.Order[column.table], column.name)
	}
	switch {
	// A null where none may be tells its column by name.
	case answer.ColumnName != "":
		c.Columns = []string{answer.ColumnName}
	// A constraint is named with its table; its columns stand in the catalogs.
	case answer.ConstraintName != "" && answer.TableName != "":
		c.Columns = constrained(ctx, conn.Conn(), answer)
	// All else is about a value, and nothing says which.
	case len(q.Args) > 0:
		c.Args = e.misfits(ctx, conn.Conn().PgConn(), s, q, columns, c.Order)
	}
	return c
}

// constrained returns the columns of a constraint, or of a unique index. A unique
// index need not belong to a constraint, so both catalogs are asked.
func constrained(ctx context.Context, conn *pgx.Conn, answer *pgconn.PgError) (names []string) {
	const lookUp = `WITH parts AS (
		SELECT conrelid AS rel, unnest(conkey) AS num, conname AS name FROM pg_constraint
		UNION SELECT indrelid, unnest(indkey), relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid)
	SELECT a.attname::text FROM parts JOIN pg_class r ON r.oid = parts.rel JOIN pg_namespace n ON n.oid = r.relnamespace
		JOIN pg_attribute a ON a.attrelid = parts.rel AND a.attnum = parts.num
		WHERE parts.name = $1 AND r.relname = $2 AND n.nspname = $3`
	rows, err := conn.Query(ctx, lookUp, answer.ConstraintName, answer.TableName, answer.SchemaName)
	if err != nil {
		return nil
	}
	names, _ = pgx.CollectRows(rows, pgx.RowTo[string])
	return names
}

// column is a column of an upsert's table.
type column struct {
	table    sqltext.Table
	name     string
	declared string // as a cast takes it
	letters  int    // that a text or bit column holds; 0: any number
	exact    bool   // not fewer either
}

// holds compares lengths: a cast would cut the text off instead of refusing it.
// Blanks at the end do not count, as PostgreSQL cuts them off without an error.
func (c column) holds(text string) bool {
	n := utf8.RuneCountInString(strings.TrimRight(text, " "))
	return c.letters == 0 || n == c.letters || n < c.letters && !c.exact
}

// columnsOf reads the tables' columns in their order.
func columnsOf(ctx context.Context, conn *pgx.Conn, s *sqltext.Statement) (all []column) {
	for _, table := range s.Tables {
		const lookUp = `SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.atttypid, a.atttypmod
			FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid JOIN pg_namespace n ON n.oid = r.relnamespace
			WHERE lower(r.relname) = lower($1) AND a.attnum > 0 AND NOT a.attisdropped
			AND CASE WHEN $2 = '' THEN pg_table_is_visible(r.oid) ELSE lower(n.nspname) = lower($2) END ORDER BY a.attnum`
		// Names are compared without case: the statement may not quote what the table does.
		rows, err := conn.Query(ctx, lookUp, table.Name, table.Schema)
		if err != nil {
			return all
		}
		column := column{table: table}
		var oid uint32
		var modifier int32
		_, _ = pgx.ForEachRow(rows, []any{&column.name, &column.declared, &oid, &modifier}, func() error {
			column.letters, column.exact = 0, oid == pgtype.BitOID
			switch {
			// A type modifier of texts counts its own four bytes.
			case (oid == pgtype.VarcharOID || oid == pgtype.BPCharOID) && modifier > 4:
				column.letters = int(modifier) - 4
			case oid == pgtype.BitOID || oid == pgtype.VarbitOID:
				column.letters = max(int(modifier), 0)
			}
			all = append(all, column)
			return nil
		})
	}
	return all
}

// misfits lets PostgreSQL read each argument as the type that it inferred for it,
// and, if all of them fit, as that of the column. The first pass finds texts that
// are no value of the type at all, the second ones that are too long or too large
// for the column. Nothing is written: SELECT reads the value and returns it.
func (e *server) misfits(ctx context.Context, session *pgconn.PgConn, s *sqltext.Statement, q engine.Query, columns []column, order map[sqltext.Table][]string) (args []int) {
	description, err := session.Prepare(ctx, "", q.SQL, nil)
	if err != nil {
		return nil
	}
	// The parameter is sent with the type that the statement inferred, and as
	// text, exactly as the upsert has sent it.
	refused := func(i int, text, as string) bool {
		res := session.ExecParams(ctx, "SELECT "+as, [][]byte{[]byte(text)}, []uint32{description.ParamOIDs[i]}, nil, nil).Read()
		return e.Fault(res.Err).Class >= engine.FaultData
	}
	each := func(check func(i int, text string) bool) {
		for i := range q.Args {
			if text, ok := q.Args[i].(string); ok && i < len(description.ParamOIDs) && check(i, text) {
				args = append(args, i)
			}
		}
	}
	if each(func(i int, text string) bool { return refused(i, text, "$1") }); len(args) > 0 {
		return args
	}
	each(func(i int, text string) bool {
		for k, at := range s.Destinations {
			if s.Slots[k] != s.Slots[q.From[i]] || at.Form != sqltext.Direct {
				continue
			}
			name := at.Name(order)
			c := slices.IndexFunc(columns, func(c column) bool {
				return strings.EqualFold(c.name, name) && (c.table == at.Table || at.Table == (sqltext.Table{}))
			})
			if c >= 0 && !columns[c].holds(text) || c >= 0 && columns[c].letters == 0 && refused(i, text, "CAST($1 AS "+columns[c].declared+")") {
				return true
			}
		}
		return false
	})
	return args
}
