package engine

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// The functions of this file write values of columns as JSON. Everything a
// client ever sees of a value is decided here, for all databases alike.

// AppendNull writes what stands for SQL's NULL, and for values that JSON has no word for.
func AppendNull(dst []byte) []byte { return append(dst, "null"...) }

// AppendText writes a string. Only what JSON requires is escaped, so HTML
// characters stay readable; bytes that are no UTF-8 become U+FFFD.
func AppendText[T string | []byte](dst []byte, text T) []byte {
	dst, err := jsontext.AppendQuote(dst, text)
	_ = err // says only that some bytes were replaced
	return dst
}

// AppendFloat writes the shortest decimal that reads back as f. JSON has no NaN
// and no infinities: they are null. bits is 32 or 64: a float32 has a shorter
// decimal than the same value as a float64.
func AppendFloat(dst []byte, f float64, bits int) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return AppendNull(dst)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

// appendNumber writes a number that the database sent as text, digit by
// digit. What is no JSON number (NaN, Infinity) is null.
func appendNumber(dst []byte, text []byte) []byte {
	if !IsNumber(text) {
		return AppendNull(dst)
	}
	return append(dst, text...)
}

// IsNumber tells whether text is a number by JSON's grammar.
func IsNumber(text []byte) bool {
	v := jsontext.Value(text)
	return v.Kind() == jsontext.KindNumber && v.IsValid() && len(bytes.TrimSpace(text)) == len(text)
}

// AppendBytes writes base64 with padding (RFC 4648, section 4), as most clients read it.
func AppendBytes(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// AppendTime writes t in UTC by RFC 3339, with a fraction only if it has one.
// Years that RFC 3339 cannot write are left to the caller.
func AppendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, time.RFC3339Nano)
	return append(dst, '"')
}

// AppendDate writes the day alone; a date has no time zone to be turned into.
func AppendDate(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, time.DateOnly)
	return append(dst, '"')
}

// AppendJSON writes a text that has to be JSON, without its white space.
// Numbers keep their digits, members their order. Strings are as those of
// appendText: what is not Unicode in them becomes U+FFFD.
func AppendJSON(dst, text []byte) ([]byte, error) {
	value, err := jsonvalue.Mend(text)
	if err != nil {
		return dst, source.Mark(fmt.Errorf("reading a value as JSON: %w", err), source.ErrNotJSON)
	}
	return append(dst, value...), nil
}
