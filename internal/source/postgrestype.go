package source

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// A postgresKind says how the text of a PostgreSQL value becomes JSON.
type postgresKind int

const (
	kindText postgresKind = iota // the zero value: what is not known is a string
	kindInteger
	kindNumber
	kindBool
	kindBytes
	kindJSON
	kindDate
	kindTime      // without time zone, taken as UTC
	kindTimeZone  // with time zone
	kindClock     // a time of day
	kindClockZone // a time of day with time zone
)

// postgresKinds has the built-in types that are not text, and those text
// types that are common enough to spare the look-up.
var postgresKinds = map[uint32]postgresKind{
	pgtype.BoolOID:        kindBool,
	pgtype.Int2OID:        kindInteger,
	pgtype.Int4OID:        kindInteger,
	pgtype.Int8OID:        kindInteger,
	pgtype.OIDOID:         kindInteger,
	pgtype.Float4OID:      kindNumber,
	pgtype.Float8OID:      kindNumber,
	pgtype.NumericOID:     kindNumber,
	pgtype.ByteaOID:       kindBytes,
	pgtype.JSONOID:        kindJSON,
	pgtype.JSONBOID:       kindJSON,
	pgtype.DateOID:        kindDate,
	pgtype.TimestampOID:   kindTime,
	pgtype.TimestamptzOID: kindTimeZone,
	pgtype.TextOID:        kindText,
	pgtype.VarcharOID:     kindText,
	pgtype.BPCharOID:      kindText,
	pgtype.NameOID:        kindText,
	pgtype.UUIDOID:        kindText,
	pgtype.TimeOID:        kindClock,
	pgtype.TimetzOID:      kindClockZone,
	pgtype.IntervalOID:    kindText,
	pgtype.InetOID:        kindText,
	pgtype.UnknownOID:     kindText,
}

// postgresType is a kind, or an array of it.
type postgresType struct {
	kind      postgresKind
	free      bool // text that may be any
	array     bool
	delimiter byte // between elements; a comma for all types but box
}

// append writes the text of a value, nil for NULL.
func (t postgresType) append(dst, text []byte) ([]byte, error) {
	if text == nil {
		return appendNull(dst), nil
	}
	if !t.array {
		return t.kind.append(dst, text)
	}
	r := arrayReader{text: text, typ: t}
	dst, err := r.append(dst)
	if err == nil && r.at != len(text) {
		err = errArray
	}
	return dst, err
}

func (k postgresKind) append(dst, text []byte) ([]byte, error) {
	switch k {
	case kindInteger, kindNumber:
		return appendNumber(dst, text), nil
	case kindBool:
		if len(text) > 0 && text[0] == 't' {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case kindBytes:
		data, err := byteaText(text)
		return appendBytes(dst, data), err
	case kindJSON:
		return appendJSON(dst, text)
	case kindDate, kindTime, kindTimeZone:
		return k.appendTime(dst, string(text)), nil
	}
	return appendText(dst, text), nil
}

// appendTime writes dates and times. Infinities are null; what RFC 3339
// cannot write (years before 1 or after 9999) stays PostgreSQL's text.
func (k postgresKind) appendTime(dst []byte, text string) []byte {
	if strings.HasSuffix(text, "infinity") {
		return appendNull(dst)
	}
	layouts := map[postgresKind][]string{
		kindDate:     {time.DateOnly},
		kindTime:     {"2006-01-02 15:04:05.999999999"},
		kindTimeZone: {"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00:00"},
	}[k]
	for _, layout := range layouts {
		t, err := time.Parse(layout, text)
		switch {
		case err != nil:
		case k == kindDate:
			return appendDate(dst, t)
		default:
			return appendTime(dst, t)
		}
	}
	return appendText(dst, text)
}

// byteaText reads both forms in which a server may write bytes: hex, and the
// older one with backslashes.
func byteaText(text []byte) ([]byte, error) {
	if digits, ok := bytes.CutPrefix(text, []byte(`\x`)); ok {
		data := make([]byte, hex.DecodedLen(len(digits)))
		if _, err := hex.Decode(data, digits); err != nil {
			return nil, fmt.Errorf("reading bytes: %w", err)
		}
		return data, nil
	}
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
// more dimensions, with the bounds in front when they do not begin at 1.
type arrayReader struct {
	text []byte
	at   int
	typ  postgresType
}

// append reads the array that begins at r.at. The depth of the recursion is
// bounded by PostgreSQL's own limit of six dimensions.
func (r *arrayReader) append(dst []byte) ([]byte, error) {
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
			return r.typ.kind.append(dst, value)
		case !quoted && (c == r.typ.delimiter || c == '}'):
			if bytes.EqualFold(value, []byte("NULL")) {
				return appendNull(dst), nil
			}
			return r.typ.kind.append(dst, value)
		}
		value = append(value, c)
	}
	return dst, errArray
}
