package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"regexp"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Bind lets PostgreSQL say what type each parameter of the upsert has. It asks
// within the transaction: what it has described it keeps locked, so that no
// ALTER TABLE comes between.
func (t *transaction) Bind(ctx context.Context, b *engine.Binding, q *engine.Query) error {
	if len(q.Args) == 0 {
		return nil
	}
	// Texts without types then: the server reads each as what its place asks for.
	if b.Statement.IsSeveral() { // only the simple protocol takes them, and it describes nothing
		return b.Arguments(q, func(_ int, _ sqltext.Field, _ sqltext.Destination, v jsontext.Value) (any, error) {
			if v.Kind() == jsontext.KindNull {
				return nil, nil
			}
			return engine.TextOf(v)
		})
	}
	// From here on the types hold: describing locks the tables against ALTER TABLE until the
	// transaction ends.
	description, err := t.engine.describe(ctx, t.tx.Conn(), q.SQL)
	if err != nil {
		return err
	}
	var shown map[string]engine.Type
	return b.Arguments(q, func(i int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error) {
		if v.Kind() == jsontext.KindNull {
			return nil, nil
		}
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), description.ParamOIDs[i])
		if err != nil {
			return nil, err
		}
		// {body} is the whole body, which is JSON even where a text or bytea
		// column holds it.
		if len(f.Path) == 0 {
			return typ.bindBody(v)
		}
		if form := typ.form(); form != engine.TypeOther && at.Form == sqltext.Direct && len(f.Path) == 1 {
			if shown == nil {
				if shown, err = t.shown(ctx, b.Shown.SQL); err != nil {
					return nil, err
				}
			}
			// The client writes what it has read: what the select shows as bytes or as JSON comes
			// back as such, and is turned into what the column takes.
			if seen := shown[f.Path[0]]; form.ShownAs(seen) {
				data, err := seen.Reads(v)
				return typ.bindData(data), err
			}
		}
		return typ.bind(v)
	})
}

// describe asks what a statement takes and returns. Where connections keep
// statements prepared, the answer is kept with the statement, and both go
// together. Elsewhere it uses the unnamed statement, which is gone with the next
// one and leaves nothing behind a proxy.
func (e *server) describe(ctx context.Context, conn *pgx.Conn, text string) (*pgconn.StatementDescription, error) {
	if prepares(conn) {
		description, err := conn.Prepare(ctx, text, text)
		e.learn(err)
		return description, err
	}
	return conn.PgConn().Prepare(ctx, "", text, nil)
}

// shown returns how a client sees the columns of the select. It is asked for at
// most once per write, and only if some column could be shown in another form.
func (t *transaction) shown(ctx context.Context, text string) (map[string]engine.Type, error) {
	description, err := t.engine.describe(ctx, t.tx.Conn(), text)
	if err != nil {
		return nil, err
	}
	forms := map[string]engine.Type{}
	for _, f := range description.Fields {
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), f.DataTypeOID)
		if err != nil {
			return nil, err
		}
		forms[f.Name] = typ.form()
	}
	return forms, nil
}

// form is that of the base type; an array has none.
func (t valueType) form() engine.Type {
	if t.array {
		return engine.TypeOther
	}
	return t.base.Free()
}

// bindData writes bytes as the text of a type that has a form. The bytes are
// written in hexadecimal: the server reads that form whatever its bytea_output
// is.
func (t valueType) bindData(data []byte) string {
	if t.base == engine.TypeBytes {
		return byteaPrefix + hex.EncodeToString(data)
	}
	return string(data)
}

// bindBody takes a body whole, which is JSON whatever holds it.
func (t valueType) bindBody(v jsontext.Value) (any, error) {
	if t.form() == engine.TypeOther {
		return t.bind(v)
	}
	return t.bindData(v), nil
}

// bind writes a member that is not null as the text of a value. The text goes to
// the server as it is, and the server converts it. What it refuses comes back as
// class 22.
func (t valueType) bind(v jsontext.Value) (string, error) {
	if !t.array {
		return t.bindOne(v)
	}
	if v.Kind() != jsontext.KindBeginArray {
		return "", engine.NotArray
	}
	text, err := t.appendElements(nil, v)
	return string(text), err
}

// appendElements writes an array by PostgreSQL's grammar; whether the rows of a
// nested one are of one length is for the database to say. An array within an
// array of JSON is an element.
func (t valueType) appendElements(dst []byte, array jsontext.Value) ([]byte, error) {
	dst = append(dst, '{')
	first := true
	err := engine.Elements(array, func(v jsontext.Value) (err error) {
		if !first {
			dst = append(dst, t.delimiter)
		}
		first = false
		switch {
		case v.Kind() == jsontext.KindNull:
			dst = append(dst, "NULL"...)
			return nil
		// One array per dimension. In an array of JSON an inner array is a value.
		case v.Kind() == jsontext.KindBeginArray && t.base != engine.TypeJSON:
			dst, err = t.appendElements(dst, v)
			return err
		}
		text, err := t.bindOne(v)
		dst = sqltext.AppendElement(dst, text)
		return err
	})
	return append(dst, '}'), err
}

// times have what PostgreSQL writes of dates and times that RFC 3339 cannot:
// years before 1 or after 9999. Words such as "now" are no values: they would be
// read back as something else. The server reads them by datestyle ISO, which New
// sets.
var times = &engine.TimeForms{
	Layout:     "2006-01-02 15:04:05.999999999",
	LayoutZone: "2006-01-02 15:04:05.999999999Z07:00",
	Date:       regexp.MustCompile(`^\d{4,7}-\d\d-\d\d( BC)?$`),
	Clock:      regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?$`),
	ClockZone:  regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)$`),
	Time:       regexp.MustCompile(`^\d{4,7}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?( BC)?$`),
	TimeZone:   regexp.MustCompile(`^\d{4,7}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)( BC)?$`),
}

// bindOne writes a value that is no array, or an element of one. PostgreSQL reads
// it as the type that it inferred, so nothing is rounded on the way.
func (t valueType) bindOne(v jsontext.Value) (string, error) {
	value, err := t.base.Bind(v, times)
	if data, ok := value.([]byte); ok {
		return t.bindData(data), err
	}
	return fmt.Sprint(value), err
}
