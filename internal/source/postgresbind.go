package source

import (
	"context"
	"encoding/hex"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// bind lets PostgreSQL say what type each parameter of the upsert has. It asks
// within the transaction: what it has described it keeps locked, so that no
// ALTER TABLE comes between.
func (t *postgresTransaction) bind(ctx context.Context, b *binding, q *query) error {
	if len(q.args) == 0 {
		return nil
	}
	if severalStatements(b.statement.words) { // only the simple protocol takes them, and it describes nothing
		return b.arguments(q, func(_ int, _ field, _ target, v jsontext.Value) (any, error) {
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
	var shown map[string]textForm
	return b.arguments(q, func(i int, f field, at target, v jsontext.Value) (any, error) {
		if v.Kind() == jsontext.KindNull {
			return nil, nil
		}
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), description.ParamOIDs[i])
		if err != nil {
			return nil, err
		}
		if len(f.path) == 0 {
			return typ.bindBody(v)
		}
		if form := typ.form(); form != anyForm && at.form == bareTarget && len(f.path) == 1 {
			if shown == nil {
				if shown, err = t.shown(ctx, b.shown.sql); err != nil {
					return nil, err
				}
			}
			if seen := shown[f.path[0]]; seen != anyForm && seen != form {
				data, err := seen.reads(v)
				return typ.bindData(data), err
			}
		}
		return typ.bind(v)
	})
}

// severalStatements tells whether something follows a semicolon.
func severalStatements(all []sqlToken) bool {
	i := slices.IndexFunc(all, func(t sqlToken) bool { return t.sign(";") })
	return i >= 0 && i < len(all)-1
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
func (t *postgresTransaction) shown(ctx context.Context, text string) (map[string]textForm, error) {
	description, err := t.engine.describe(ctx, t.tx.Conn(), text)
	if err != nil {
		return nil, err
	}
	forms := map[string]textForm{}
	for _, f := range description.Fields {
		typ, err := t.engine.typeOf(ctx, t.tx.Conn(), f.DataTypeOID)
		if err != nil {
			return nil, err
		}
		forms[f.Name] = typ.form()
	}
	return forms, nil
}

// form is how strings stand for values of a type, for the types that hold any
// text or any bytes.
func (t postgresType) form() textForm {
	switch {
	case t.array:
		return anyForm
	case t.kind == kindJSON:
		return textJSON
	case t.kind == kindBytes:
		return textBytes
	case t.free:
		return textAsIs
	}
	return anyForm
}

// bindData writes bytes as the text of a type that has a form.
func (t postgresType) bindData(data []byte) string {
	if t.kind == kindBytes {
		return `\x` + hex.EncodeToString(data)
	}
	return string(data)
}

// bindBody takes a body whole, which is JSON whatever holds it.
func (t postgresType) bindBody(v jsontext.Value) (any, error) {
	if t.form() == anyForm {
		return t.bind(v)
	}
	return t.bindData(v), nil
}

// bind writes a member that is not null as the text of a value.
func (t postgresType) bind(v jsontext.Value) (string, error) {
	if !t.array {
		return t.kind.bind(v)
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
		text, err := t.kind.bind(v)
		dst = appendElement(dst, text)
		return err
	})
	return append(dst, '}'), err
}

// appendElement writes one element in quotes.
func appendElement(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}

// What PostgreSQL writes of dates and times that RFC 3339 cannot: years before 1
// or after 9999. Words such as "now" are no values: they would be read back as
// something else.
var (
	postgresDate     = regexp.MustCompile(`^\d{4,7}-\d\d-\d\d( BC)?$`)
	postgresClock    = regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?$`)
	postgresClockTZ  = regexp.MustCompile(`^\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)$`)
	postgresTime     = timeStyle{"2006-01-02 15:04:05.999999999", regexp.MustCompile(`^\d{4,7}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?( BC)?$`)}
	postgresTimeZone = timeStyle{"2006-01-02 15:04:05.999999999Z07:00", regexp.MustCompile(`^\d{4,7}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d(:\d\d)?)?)( BC)?$`)}
)

func (k postgresKind) bind(v jsontext.Value) (string, error) {
	switch k {
	case kindInteger:
		return integerOf(v)
	case kindNumber:
		return numberOf(v)
	case kindBool:
		yes, err := boolOf(v)
		if yes {
			return "t", err
		}
		return "f", err
	case kindBytes:
		data, err := bytesOf(v)
		return `\x` + hex.EncodeToString(data), err
	case kindJSON:
		return string(v), nil
	case kindDate:
		return matching(v, postgresDate, faultDate)
	case kindClock:
		return matching(v, postgresClock, faultClock)
	case kindClockZone:
		return matching(v, postgresClockTZ, valueFault("has to be a time of day with its zone, as in \"01:02:03+00\""))
	case kindTime:
		return postgresTime.textOf(v)
	case kindTimeZone:
		return postgresTimeZone.textOf(v)
	}
	return textOf(v)
}
