package postgres

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"hearth/internal/source/engine"
)

// types has the built-in types that are more than text, and others that are
// common enough to spare the look-up.
var types = map[uint32]engine.Type{
	pgtype.BoolOID:        engine.TypeBool,
	pgtype.Int2OID:        engine.TypeInteger,
	pgtype.Int4OID:        engine.TypeInteger,
	pgtype.Int8OID:        engine.TypeInteger,
	pgtype.OIDOID:         engine.TypeInteger,
	pgtype.Float4OID:      engine.TypeNumber,
	pgtype.Float8OID:      engine.TypeNumber,
	pgtype.NumericOID:     engine.TypeNumber,
	pgtype.ByteaOID:       engine.TypeBytes,
	pgtype.JSONOID:        engine.TypeJSON,
	pgtype.JSONBOID:       engine.TypeJSON,
	pgtype.DateOID:        engine.TypeDate,
	pgtype.TimestampOID:   engine.TypeTime,
	pgtype.TimestamptzOID: engine.TypeTimeZone,
	pgtype.TextOID:        engine.TypeText,
	pgtype.VarcharOID:     engine.TypeText,
	pgtype.BPCharOID:      engine.TypeText,
	pgtype.NameOID:        engine.TypeOther,
	pgtype.UUIDOID:        engine.TypeOther,
	pgtype.TimeOID:        engine.TypeClock,
	pgtype.TimetzOID:      engine.TypeClockZone,
	pgtype.IntervalOID:    engine.TypeOther,
	pgtype.InetOID:        engine.TypeOther,
	pgtype.UnknownOID:     engine.TypeOther,
}

// valueType is a type of the engines, or an array of it. The zero value is text
// in a form of the type's own.
type valueType struct {
	base      engine.Type
	array     bool
	delimiter byte // between elements; a comma for all types but box
}

// append writes the text of a value, nil for NULL. text is what the server has
// sent in text format. An array that does not end where the text ends is an error
// rather than a guess.
func (t valueType) append(dst, text []byte) ([]byte, error) {
	if text == nil {
		return engine.AppendNull(dst), nil
	}
	if !t.array {
		return t.appendOne(dst, text)
	}
	r := arrayReader{text: text, typ: t}
	dst, err := r.append(dst)
	if err == nil && r.at != len(text) {
		err = errArray
	}
	return dst, err
}

// appendOne writes a value that is no array, or an element of one.
func (t valueType) appendOne(dst, text []byte) (_ []byte, err error) {
	if t.base == engine.TypeBytes {
		if text, err = byteaText(text); err != nil {
			return dst, err
		}
	}
	return t.base.Append(dst, text)
}

// byteaPrefix begins bytes in hexadecimal digits.
const byteaPrefix = `\x`

// byteaText reads both forms in which a server may write bytes: hex, and the
// older one with backslashes. The server's bytea_output decides; a role or a
// database may have set it to escape.
func byteaText(text []byte) ([]byte, error) {
	if digits, ok := bytes.CutPrefix(text, []byte(byteaPrefix)); ok {
		data := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(data, digits); err != nil {
			return nil, fmt.Errorf("reading bytes: %w", err)
		}
		return data, nil
	}
	// The older form: a backslash and three octal digits, or two backslashes.
	data := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			data = append(data, text[i])
		case i+1 < len(text) && text[i+1] == '\\':
			data = append(data, '\\')
			i++
		case i+3 < len(text):
			data = append(data, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
			i += 3
		default:
			return nil, errors.New("reading bytes: an escape is cut off")
		}
	}
	return data, nil
}

var errArray = errors.New("reading an array: unexpected text")

// arrayReader writes the text of an array as JSON: {1,NULL,"a b"}, nested for
// more dimensions, with the bounds in front when they do not begin at 1. The
// grammar is that of the manual's section 8.15.6, Array Input and Output Syntax.
type arrayReader struct {
	text []byte
	at   int
	typ  valueType
}

// append reads the array that begins at r.at. The depth of the recursion is
// bounded by PostgreSQL's own limit of six dimensions.
func (r *arrayReader) append(dst []byte) ([]byte, error) {
	// Bounds look like [2:3]={…}. JSON arrays have none, so they are skipped.
	if r.at == 0 && r.next('[') {
		r.at = bytes.IndexByte(r.text, '=') + 1
	}
	if !r.next('{') {
		return dst, errArray
	}
	dst = append(dst, '[')
	if r.next('}') {
		return append(dst, ']'), nil
	}
	for {
		var err error
		if r.at < len(r.text) && r.text[r.at] == '{' {
			dst, err = r.append(dst)
		} else {
			dst, err = r.element(dst)
		}
		switch {
		case err != nil:
			return dst, err
		case r.next('}'):
			return append(dst, ']'), nil
		case !r.next(r.typ.delimiter):
			return dst, errArray
		}
		dst = append(dst, ',')
	}
}

// next steps over c if it comes next.
func (r *arrayReader) next(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

// element reads one value, quoted or not. NULL without quotes is null, with them
// a text. A backslash takes the next character as it is, in quotes and outside of
// them.
func (r *arrayReader) element(dst []byte) ([]byte, error) {
	quoted := r.next('"')
	var value []byte
	for ; r.at < len(r.text); r.at++ {
		c := r.text[r.at]
		switch {
		case c == '\\' && r.at+1 < len(r.text):
			r.at++
			c = r.text[r.at]
		case quoted && c == '"':
			r.at++
			return r.typ.appendOne(dst, value)
		case !quoted && (c == r.typ.delimiter || c == '}'):
			if bytes.EqualFold(value, []byte("NULL")) {
				return engine.AppendNull(dst), nil
			}
			return r.typ.appendOne(dst, value)
		}
		value = append(value, c)
	}
	return dst, errArray
}
