package engine

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions of this file and those of the engines turn members of a body
// into what a column takes. They are the other half of column.go: what a read
// shows of a column is what a write to it takes, and what would be stored as
// something else is refused.

// Misfit says what a column does not take of a member.
type Misfit string

// Error is written for the client, behind the name of the member.
func (f Misfit) Error() string { return string(f) }

const (
	NotNumber     = Misfit("has to be a number")
	NotInteger    = Misfit("has to be an integer")
	OutOfRange    = Misfit("is out of range")
	TooManyDigits = Misfit("has more digits than the column keeps")
	NotBool       = Misfit("has to be true or false")
	NotString     = Misfit("has to be a string")
	NotBytes      = Misfit("has to be a string of base64")
	NotArray      = Misfit("has to be an array")
	NotDate       = Misfit("has to be a date, as in \"2024-02-29\"")
	NotTime       = Misfit("has to be a time by RFC 3339, as in \"2024-02-29T01:02:03Z\"")
	NotClock      = Misfit("has to be a time of day, as in \"01:02:03\"")

	NotClockZone = Misfit("has to be a time of day with its zone, as in \"01:02:03+00\"")
)

// TextOf takes any JSON: what is no string goes as its exact text.
func TextOf(v jsontext.Value) (string, error) {
	if v.Kind() == jsontext.KindString {
		return Unquote(v)
	}
	return string(v), nil
}

// StringOf takes strings alone.
func StringOf(v jsontext.Value) (string, error) {
	if v.Kind() != jsontext.KindString {
		return "", NotString
	}
	return Unquote(v)
}

// BytesOf takes base64, as a read shows bytes.
func BytesOf(v jsontext.Value) ([]byte, error) {
	text, err := StringOf(v)
	if err != nil {
		return nil, NotBytes
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, NotBytes
	}
	return data, nil
}

// BoolOf takes the two words alone: 0 and 1 are numbers to a client.
func BoolOf(v jsontext.Value) (bool, error) {
	if k := v.Kind(); k != jsontext.KindTrue && k != jsontext.KindFalse {
		return false, NotBool
	}
	return v.Kind() == jsontext.KindTrue, nil
}

// NumberOf takes a number, and a string that is one: clients whose own numbers
// are not exact send theirs so.
func NumberOf(v jsontext.Value) (string, error) {
	switch v.Kind() {
	case jsontext.KindNumber:
		return string(v), nil
	case jsontext.KindString:
		if text, err := Unquote(v); err == nil && IsNumber([]byte(text)) {
			return text, nil
		}
	}
	return "", NotNumber
}

// IntegerOf takes a number without a fraction, however it is written: 5, 5.0,
// 5e0. No integer column holds more digits than maxDigits.
func IntegerOf(v jsontext.Value) (string, error) {
	text, err := NumberOf(v)
	if err != nil {
		return "", NotInteger
	}
	const maxDigits = 64
	n, ok := DecimalOf(text)
	switch {
	case !ok || n.exponent > maxDigits || len(n.digits) > maxDigits:
		return "", OutOfRange
	case n.exponent < 0:
		return "", NotInteger
	}
	text = n.digits + strings.Repeat("0", n.exponent)
	if n.negative && text != "0" {
		text = "-" + text
	}
	return text, nil
}

// Decimal is a number exactly: its digits without zeros at the ends, times ten
// to the power of exponent. Zero is "0".
type Decimal struct {
	negative bool
	digits   string
	exponent int
}

// DecimalOf reads a JSON number. It fails on exponents beyond all reason.
func DecimalOf(text string) (d Decimal, ok bool) {
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

// Equal tells whether two numbers are the same, whatever way they are written.
func (d Decimal) Equal(e Decimal) bool {
	return d.digits == e.digits && d.exponent == e.exponent && (d.negative == e.negative || d.digits == "0")
}

// BindAny turns a member into a bind value by what it is, for what no column
// tells a type of. Numbers keep every digit: those that the driver's own types
// cannot hold go as text, as do objects and arrays. It serves all engines where a
// statement hides the column, as within a function.
func BindAny(v jsontext.Value) (any, error) {
	switch v.Kind() {
	case jsontext.KindNull:
		return nil, nil
	case jsontext.KindTrue, jsontext.KindFalse:
		return BoolOf(v)
	case jsontext.KindNumber:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
		if f, err := strconv.ParseFloat(string(v), 64); err != nil || math.IsInf(f, 0) {
			return nil, OutOfRange
		}
	}
	return TextOf(v)
}

// Unquote returns the text of a JSON string.
func Unquote(value jsontext.Value) (string, error) {
	if value.Kind() != jsontext.KindString {
		return "", errors.New("is not a string")
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err
}

// Elements calls f for each element of an array. Each is a copy, which f may
// keep. An error of f ends the walk and is returned.
func Elements(array jsontext.Value, f func(jsontext.Value) error) error {
	dec := jsontext.NewDecoder(bytes.NewReader(array), jsontext.AllowDuplicateNames(true))
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != jsontext.KindEndArray {
		v, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := f(v.Clone()); err != nil {
			return err
		}
	}
	return nil
}
