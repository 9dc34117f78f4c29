package source

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/sqltext"
)

// bind lets PostgreSQL say what type each parameter of the upsert has. It asks
// within the transaction: what it has described it keeps locked, so that no
// ALTER TABLE comes between.
func (t *postgresTransaction) bind(ctx context.Context, b *binding, q *query) error {
	if len(q.args) == 0 {
		return nil
	}
	if b.statement.IsSeveral() { // only the simple protocol takes them, and it describes nothing
		return b.arguments(q, func(_ int, _ sqltext.Field, _ sqltext.Destination, v jsontext.Value) (any, error) {
			if v.Kind() == jsontext.KindNull {
				return nil, nil
			}
			return textOf(v)
		})
	}
	description, err := t.engine.describe(ctx, t.tx.Conn(), q.sql)
	if err != nil {
		return err
	}
	var shown map[string]valueKind
	return b.arguments(q, func(i int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
		if v.Kind() == jsontext.KindNull {
			return nil, nil
		}
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), description.ParamOIDs[i])
		if err != nil {
			return nil, err
		}
		if len(f.Path) == 0 {
			return typ.bindBody(v)
		}
		if form := typ.form(); form != kindOther && at.Form == sqltext.Direct && len(f.Path) == 1 {
			if shown == nil {
				if shown, err = t.shown(ctx, b.shown.sql); err != nil {
					return nil, err
				}
			}
			if seen := shown[f.Path[0]]; form.shownAs(seen) {
				data, err := seen.reads(v)
				return typ.bindData(data), err
			}
		}
		return typ.bind(v)
	})
}

// describe asks what a statement takes and returns. Where connections keep
// statements prepared, the answer is kept with the statement, and both go
// together.
func (e *postgresEngine) describe(ctx context.Context, conn *pgx.Conn, text string) (*pgconn.StatementDescription, error) {
	if e.prepares {
		return conn.Prepare(ctx, text, text)
	}
	return conn.PgConn().Prepare(ctx, "", text, nil)
}

// shown returns how a client sees the columns of the select.
func (t *postgresTransaction) shown(ctx context.Context, text string) (map[string]valueKind, error) {
	description, err := t.engine.describe(ctx, t.tx.Conn(), text)
	if err != nil {
		return nil, err
	}
	forms := map[string]valueKind{}
	for _, f := range description.Fields {
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), f.DataTypeOID)
		if err != nil {
			return nil, err
		}
		forms[f.Name] = typ.form()
	}
	return forms, nil
}

// form is that of the kind; an array has none.
func (t postgresType) form() valueKind {
	if t.array {
		return kindOther
	}
	return t.kind.form()
}

// bindData writes bytes as the text of a type that has a form.
func (t postgresType) bindData(data []byte) string {
	if t.kind == kindBytes {
		return byteaPrefix + hex.EncodeToString(data)
	}
	return string(data)
}

// bindBody takes a body whole, which is JSON whatever holds it.
func (t postgresType) bindBody(v jsontext.Value) (any, error) {
	if t.form() == kindOther {
		return t.bind(v)
	}
	return t.bindData(v), nil
}

// bind writes a member that is not null as the text of a value.
func (t postgresType) bind(v jsontext.Value) (string, error) {
	if !t.array {
		return t.bindOne(v)
	}
	if v.Kind() != jsontext.KindBeginArray {
		return "", faultArray
	}
	text, err := t.appendElements(nil, v)
	return string(text), err
}

// appendElements writes an array by PostgreSQL's grammar; whether the rows of a
// nested one are of one length is for the database to say. An array within an
// array of JSON is an element.
func (t postgresType) appendElements(dst []byte, array jsontext.Value) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := elements(array, func(v jsontext.Value) (err error) {
		if !first {
			dst = append(dst, t.delimiter)
		}
		first = false
		switch {
		case v.Kind() == jsontext.KindNull:
			dst = append(dst, "NULL"...)
			return nil
		case v.Kind() == jsontext.KindBeginArray && t.kind != kindJSON:
			dst, err = t.appendElements(dst, v)
			return err
		}
		text, err := t.bindOne(v)
		dst = sqltext.AppendElement(dst, text)
		return err
	})
	return append(dst, '}'), err
}

// postgresTimes have what PostgreSQL writes of dates and times that RFC 3339
// cannot: years before 1 or after 9999. Words such as "now" are no values: they
// would be read back as something else.
var postgresTimes = &timeForms{
	layout:     "2006-01-02 15:04:05.999999999",
	layoutZone: "2006-01-02 15:04:05.999999999Z07:00",
	date:       regexp.MustCompile(`^\d{4,7}-\d\d-\d\d( BC)?$`),
	clock:      regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?$`),
	clockZone:  regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)$`),
	time:       regexp.MustCompile(`^\d{4,7}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?( BC)?$`),
	timeZone:   regexp.MustCompile(`^\d{4,7}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)( BC)?$`),
}

// bindOne writes a value that is no array, or an element of one. PostgreSQL reads
// it as the type that it inferred, so nothing is rounded on the way.
func (t postgresType) bindOne(v jsontext.Value) (string, error) {
	value, err := t.kind.bind(v, postgresTimes)
	if data, ok := value.([]byte); ok {
		return t.bindData(data), err
	}
	return fmt.Sprint(value), err
}
