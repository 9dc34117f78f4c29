package source

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// A valueKind says how the text of a database's value becomes JSON, and what
// JSON becomes such a value. The two are halves of one promise: what a read
// shows is what a write takes. Which type is of which kind only an engine knows.
type valueKind int

const (
	kindOther valueKind = iota // the zero value: text in a form of the type's own
	kindText                   // any text
	kindBytes
	kindJSON
	kindInteger
	kindNumber
	kindBool
	kindDate
	kindTime      // without time zone, taken as UTC
	kindTimeZone  // with time zone
	kindClock     // a time of day
	kindClockZone // a time of day with time zone
)

// append writes the text of a value.
func (k valueKind) append(dst, text []byte) ([]byte, error) {
	switch k {
	case kindInteger, kindNumber:
		return appendNumber(dst, text), nil
	case kindBool:
		return strconv.AppendBool(dst, len(text) > 0 && text[0] == 't'), nil
	case kindBytes:
		return appendBytes(dst, text), nil
	case kindJSON:
		return appendJSON(dst, text)
	case kindDate, kindTime, kindTimeZone:
		return appendTimeText(dst, string(text)), nil
	}
	return appendText(dst, text), nil
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
		return appendNull(dst)
	}
	for _, layout := range timeTexts {
		if t, err := time.Parse(layout, text); err == nil {
			return appendTime(dst, t)
		}
	}
	return appendText(dst, text)
}

// timeForms say how a database takes dates and times: the layouts of times by
// RFC 3339, turned into UTC, and its own text, for what RFC 3339 cannot write.
type timeForms struct {
	layout, layoutZone     string
	date, clock, clockZone *regexp.Regexp
	time, timeZone         *regexp.Regexp
}

// bind turns a member that is not null into a bind value: an int64, a bool, bytes
// or text. It leaves it to the database to say whether a column holds that many
// digits.
func (k valueKind) bind(v jsontext.Value, forms *timeForms) (any, error) {
	switch k {
	case kindInteger:
		text, err := integerOf(v)
		if n, failed := strconv.ParseInt(text, 10, 64); err == nil && failed == nil {
			return n, nil
		}
		return text, err
	case kindNumber:
		return numberOf(v)
	case kindBool:
		return boolOf(v)
	case kindBytes:
		return bytesOf(v)
	case kindJSON:
		return string(v), nil
	case kindDate:
		return matching(v, forms.date, faultDate)
	case kindClock:
		return matching(v, forms.clock, faultClock)
	case kindClockZone:
		return matching(v, forms.clockZone, faultClockZone)
	case kindTime:
		return timeOf(v, forms.layout, forms.time)
	case kindTimeZone:
		return timeOf(v, forms.layoutZone, forms.timeZone)
	}
	return textOf(v)
}

// timeOf takes a time by RFC 3339, and the database's own text.
func timeOf(v jsontext.Value, layout string, own *regexp.Regexp) (string, error) {
	text, err := stringOf(v)
	if err != nil {
		return "", faultTime
	}
	if t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err == nil {
		return t.UTC().Format(layout), nil
	}
	return matching(v, own, faultTime)
}

// matching takes strings of one form.
func matching(v jsontext.Value, form *regexp.Regexp, fault valueFault) (string, error) {
	text, err := stringOf(v)
	if err != nil || !form.MatchString(text) {
		return "", fault
	}
	return text, nil
}

// form is the kind itself for the kinds that hold any text or any bytes, else
// kindOther.
func (k valueKind) form() valueKind {
	if k == kindText || k == kindBytes || k == kindJSON {
		return k
	}
	return kindOther
}

// shownAs tells whether a client sees a value of kind k in another form, one of
// kind seen. Statements may show a column as something else than it is, and write
// it as they show it: JSON that lies in a text column, say.
func (k valueKind) shownAs(seen valueKind) bool {
	return k.form() != kindOther && seen.form() != kindOther && k.form() != seen.form()
}

// reads turns a member into the bytes that it stands for when a client sees the
// column as of kind k, which has a form.
func (k valueKind) reads(v jsontext.Value) ([]byte, error) {
	switch k {
	case kindBytes:
		return bytesOf(v)
	case kindJSON:
		return v, nil
	}
	text, err := textOf(v)
	return []byte(text), err
}
