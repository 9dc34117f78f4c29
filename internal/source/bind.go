package source

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"hearth/internal/source/sqltext"
)

// The functions of this file and those of the engines turn members of a body
// into what a column takes. They are the other half of column.go: what a read
// shows of a column is what a write to it takes, and what would be stored as
// something else is refused.

// binding is a write whose arguments are to be found.
type binding struct {
	statement *sqltext.Statement // the upsert
	values    []jsontext.Value   // of its fields; nil for one that is missing
	shown     query              // the select, which tells how a client sees a column
	one       bool               // shown finds one row, whose columns are the record's members
	catalog   *catalog           // of an earlier binding, or nil; bind sets it
}

// arguments calls bind for each argument of q that is a member of the body.
func (b *binding) arguments(q *query, bind func(i int, f sqltext.Field, at sqltext.Destination, v jsontext.Value) (any, error)) error {
	for i, from := range q.from {
		sl := b.statement.Slots[from]
		if sl.Param >= 0 {
			continue
		}
		f, v := b.statement.Fields[sl.Field], b.values[sl.Field]
		if v == nil {
			continue // NULL
		}
		arg, err := bind(i, f, b.statement.Destinations[from], v)
		if err != nil {
			var fault valueFault
			if errors.As(err, &fault) {
				return &BodyError{Member: f.String(), Reason: string(fault)}
			}
			return err
		}
		q.args[i] = arg
	}
	return nil
}

// valueFault says what a column does not take of a member.
type valueFault string

func (f valueFault) Error() string { return string(f) }

const (
	faultNumber  = valueFault("has to be a number")
	faultInteger = valueFault("has to be an integer")
	faultRange   = valueFault("is out of range")
	faultDigits  = valueFault("has more digits than the column keeps")
	faultBool    = valueFault("has to be true or false")
	faultString  = valueFault("has to be a string")
	faultBytes   = valueFault("has to be a string of base64")
	faultArray   = valueFault("has to be an array")
	faultDate    = valueFault("has to be a date, as in \"2024-02-29\"")
	faultTime    = valueFault("has to be a time by RFC 3339, as in \"2024-02-29T01:02:03Z\"")
	faultClock   = valueFault("has to be a time of day, as in \"01:02:03\"")

	faultClockZone = valueFault("has to be a time of day with its zone, as in \"01:02:03+00\"")
)

// textOf takes any JSON: what is no string goes as its exact text.
func textOf(v jsontext.Value) (string, error) {
	if v.Kind() == jsontext.KindString {
		return unquote(v)
	}
	return string(v), nil
}

// stringOf takes strings alone.
func stringOf(v jsontext.Value) (string, error) {
	if v.Kind() != jsontext.KindString {
		return "", faultString
	}
	return unquote(v)
}

func bytesOf(v jsontext.Value) ([]byte, error) {
	text, err := stringOf(v)
	if err != nil {
		return nil, faultBytes
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, faultBytes
	}
	return data, nil
}

func boolOf(v jsontext.Value) (bool, error) {
	if k := v.Kind(); k != jsontext.KindTrue && k != jsontext.KindFalse {
		return false, faultBool
	}
	return v.Kind() == jsontext.KindTrue, nil
}

// numberOf takes a number, and a string that is one: clients whose own numbers
// are not exact send theirs so.
func numberOf(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case jsontext.KindNumber:
		return string(v), nil
	case jsontext.KindString:
		if text, err := unquote(v); err == nil && isNumber([]byte(text)) {
			return text, nil
		}
	}
	return "", faultNumber
}

// integerOf takes a number without a fraction, however it is written: 5, 5.0,
// 5e0. No integer column holds more digits than maxDigits.
func integerOf(v jsontext.Value) (string, error) {
	text, err := numberOf(v)
	if err != nil {
		return "", faultInteger
	}
	const maxDigits = 64
	n, ok := decimalOf(text)
	switch {
	case !ok || n.exponent > maxDigits || len(n.digits) > maxDigits:
		return "", faultRange
	case n.exponent < 0:
		return "", faultInteger
	}
	text = n.digits + strings.Repeat("0", n.exponent)
	if n.negative && text != "0" {
		text = "-" + text
	}
	return text, nil
}

// decimal is a number exactly: its digits without zeros at the ends, times ten
// to the power of exponent. Zero is "0".
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// decimalOf reads a JSON number. It fails on exponents beyond all reason.
func decimalOf(text string) (d decimal, ok bool) {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(text), "e")
	mantissa, d.negative = strings.CutPrefix(mantissa, "-")
	if exponent != "" {
		sign := 1
		if exponent[0] == '-' || exponent[0] == '+' {
			if exponent[0] == '-' {
				sign = -1
			}
			exponent = exponent[1:]
		}
		exponent = strings.TrimLeft(exponent, "0")
		if len(exponent) > 6 {
			return d, false
		}
		for _, c := range []byte(exponent) {
			d.exponent = d.exponent*10 + int(c-'0')
		}
		d.exponent *= sign
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.exponent -= len(fraction)
	d.digits = strings.TrimLeft(whole+fraction, "0")
	trimmed := strings.TrimRight(d.digits, "0")
	d.exponent += len(d.digits) - len(trimmed)
	if d.digits = trimmed; d.digits == "" {
		d.digits, d.exponent = "0", 0
	}
	return d, true
}

// equal tells whether two numbers are the same, whatever way they are written.
func (d decimal) equal(e decimal) bool {
	return d.digits == e.digits && d.exponent == e.exponent && (d.negative == e.negative || d.digits == "0")
}

// elements calls f for each element of an array.
func elements(array jsontext.Value, f func(jsontext.Value) error) error {
	dec := jsontext.NewDecoder(bytes.NewReader(array), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return syntaxFault(err)
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		v, err := dec.ReadValue()
		if err != nil {
			return syntaxFault(err)
		}
		if err := f(v.Clone()); err != nil {
			return err
		}
	}
	return nil
}

// bindAny turns a member into a bind value by what it is, for what no column
// tells a type of. Numbers keep every digit: those that the driver's own types
// cannot hold go as text, as do objects and arrays.
func bindAny(v jsontext.Value) (any, error) {
	switch v.Kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return boolOf(v)
	case jsontext.KindNumber:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(string(v), 64); err != nil || math.IsInf(f, 0) {
			return nil, faultRange
		}
	}
	return textOf(v)
}
