package engine

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Type says how the text of a database's value becomes JSON, and what
// JSON becomes such a value. The two are halves of one promise: what a read
// shows is what a write takes. Which column is of which Type only an engine knows.
type Type int

const (
	TypeOther Type = iota // the zero value: text in a form of the type's own
	TypeText              // any text
	TypeBytes
	TypeJSON
	TypeInteger
	TypeNumber
	TypeBool
	TypeDate
	TypeTime      // without time zone, taken as UTC
	TypeTimeZone  // with time zone
	TypeClock     // a time of day
	TypeClockZone // a time of day with time zone
)

// Append writes the text of a value.
func (k Type) Append(dst, text []byte) ([]byte, error) {
	switch k {
	case TypeInteger, TypeNumber:
		return appendNumber(dst, text), nil
	case TypeBool:
		return strconv.AppendBool(dst, len(text) > 0 && text[0] == 't'), nil
	case TypeBytes:
		return AppendBytes(dst, text), nil
	case TypeJSON:
		return AppendJSON(dst, text)
	case TypeDate, TypeTime, TypeTimeZone:
		return appendTimeText(dst, string(text)), nil
	}
	return AppendText(dst, text), nil
}

// timeTexts are the forms in which databases write times.
var timeTexts = [...]string{
	"2006-01-02 15:04:05.999999999",
	"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999Z07:00:00",
}

// appendTimeText writes dates and times. PostgreSQL's infinities and MySQL's
// 0000-00-00 are null. What RFC 3339 cannot write stays the database's text: years
// before 1 or after 9999, a month or a day of zero.
func appendTimeText(dst []byte, text string) []byte {
	if strings.HasSuffix(text, "infinity") || strings.HasPrefix(text, "0000-00-00") {
		return AppendNull(dst)
	}
	for _, layout := range timeTexts {
		if t, err := time.Parse(layout, text); err == nil {
			return AppendTime(dst, t)
		}
	}
	return AppendText(dst, text)
}

// TimeForms say how a database takes dates and times: the layouts of times by
// RFC 3339, turned into UTC, and its own text, for what RFC 3339 cannot write.
type TimeForms struct {
	Layout, LayoutZone     string
	Date, Clock, ClockZone *regexp.Regexp
	Time, TimeZone         *regexp.Regexp
}

// Bind turns a member that is not null into a bind value: an int64, a bool, bytes
// or text. It leaves it to the database to say whether a column holds that many
// digits.
func (k Type) Bind(v jsontext.Value, forms *TimeForms) (any, error) {
	switch k {
	case TypeInteger:
		text, err := IntegerOf(v)
		if n, failed := strconv.ParseInt(text, 10, 64); err == nil && failed == nil {
			return n, nil
		}
		return text, err
	case TypeNumber:
		return NumberOf(v)
	case TypeBool:
		return BoolOf(v)
	case TypeBytes:
		return BytesOf(v)
	case TypeJSON:
		return string(v), nil
	case TypeDate:
		return matching(v, forms.Date, NotDate)
	case TypeClock:
		return matching(v, forms.Clock, NotClock)
	case TypeClockZone:
		return matching(v, forms.ClockZone, NotClockZone)
	case TypeTime:
		return timeOf(v, forms.Layout, forms.Time)
	case TypeTimeZone:
		return timeOf(v, forms.LayoutZone, forms.TimeZone)
	}
	return TextOf(v)
}

// timeOf takes a time by RFC 3339, and the database's own text.
func timeOf(v jsontext.Value, layout string, own *regexp.Regexp) (string, error) {
	text, err := StringOf(v)
	if err != nil {
		return "", NotTime
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return t.UTC().Format(layout), nil
	}
	return matching(v, own, NotTime)
}

// matching takes strings of one form. The text is handed on unchanged, so the
// database reads what the client wrote.
func matching(v jsontext.Value, form *regexp.Regexp, fault Misfit) (string, error) {
	text, err := StringOf(v)
	if err != nil || !form.MatchString(text) {
		return "", fault
	}
	return text, nil
}

// Free is the type itself for the types that hold any text or any bytes, else
// TypeOther.
func (k Type) Free() Type {
	if k == TypeText || k == TypeBytes || k == TypeJSON {
		return k
	}
	return TypeOther
}

// ShownAs tells whether a client sees a value of kind k in another form, one of
// kind seen. Statements may show a column as something else than it is, and write
// it as they show it: JSON that lies in a text column, say.
func (k Type) ShownAs(seen Type) bool {
	return k.Free() != TypeOther && seen.Free() != TypeOther && k.Free() != seen.Free()
}

// Reads turns a member into the bytes that it stands for when a client sees the
// column as of kind k, which has a form.
func (k Type) Reads(v jsontext.Value) ([]byte, error) {
	switch k {
	case TypeBytes:
		return BytesOf(v)
	case TypeJSON:
		return v, nil
	}
	text, err := TextOf(v)
	return []byte(text), err
}
