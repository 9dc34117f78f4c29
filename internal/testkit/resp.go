package testkit

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Redis' protocol (RESP, versions 2 and 3), read and written independently of the
// client library under test, so that a misunderstanding there shows here.
//
// Values read are string (simple, bulk, verbatim and big numbers), int64,
// float64, bool, nil, Error, []any (arrays and sets), Map and Push.

// Error is an error reply, such as "WRONGTYPE Operation against …".
type Error string

// Error is the text of the reply.
func (e Error) Error() string { return string(e) }

// Simple is a value to be sent as a simple string ("+OK").
type Simple string

// Raw is a value to be sent as it is, which need not be valid.
type Raw string

// Map is a RESP3 map: keys and values in turn, in the order of the wire.
type Map []any

// Push is a RESP3 push: its name, then its arguments.
type Push []any

// Encode returns v on the wire. Strings become bulk strings, []string and []any
// arrays, nil a RESP3 null. A type it does not know is a bug in the test and panics.
func Encode(v any) string {
	switch v := v.(type) {
	case nil:
		return "_\r\n"
	case string:
		return "$" + strconv.Itoa(len(v)) + "\r\n" + v + "\r\n"
	case []byte:
		return Encode(string(v))
	case Simple:
		return "+" + string(v) + "\r\n"
	case Error:
		return "-" + string(v) + "\r\n"
	case Raw:
		return string(v)
	case int:
		return ":" + strconv.Itoa(v) + "\r\n"
	case int64:
		return ":" + strconv.FormatInt(v, 10) + "\r\n"
	case float64:
		return "," + strconv.FormatFloat(v, 'g', -1, 64) + "\r\n"
	case bool:
		return map[bool]string{true: "#t\r\n", false: "#f\r\n"}[v]
	case []string:
		return aggregate('*', len(v), v)
	case []any:
		return aggregate('*', len(v), v)
	case Push:
		return aggregate('>', len(v), v)
	case Map:
		return aggregate('%', len(v)/2, v)
	}
	panic(fmt.Sprintf("BUG: no RESP form for %T", v))
}

// aggregate is the header of n elements and the elements.
func aggregate[T any](prefix byte, n int, elements []T) string {
	var b strings.Builder
	b.WriteByte(prefix)
	b.WriteString(strconv.Itoa(n) + "\r\n")
	for _, e := range elements {
		b.WriteString(Encode(e))
	}
	return b.String()
}

// maxRESP bounds lengths on the wire: a wrong one should fail a test, not take
// the machine's memory.
const maxRESP = 512 << 20

// decoder reads values and keeps the bytes of the latest one.
type decoder struct {
	r   *bufio.Reader
	raw []byte
}

func newDecoder(r io.Reader) *decoder { return &decoder{r: bufio.NewReader(r)} }

// next reads one value together with its bytes, which are the caller's.
func (d *decoder) next() (v any, raw string, err error) {
	d.raw = d.raw[:0]
	v, err = d.value()
	return v, string(d.raw), err
}

func (d *decoder) line() (string, error) {
	text, err := d.r.ReadString('\n')
	d.raw = append(d.raw, text...)
	if err != nil {
		return "", err
	}
	if len(text) < 3 || text[len(text)-2] != '\r' {
		return "", fmt.Errorf("reading RESP: the line %q is malformed", text)
	}
	return text[:len(text)-2], nil
}

func (d *decoder) value() (any, error) {
	line, err := d.line()
	if err != nil {
		return nil, err
	}
	prefix, text := line[0], line[1:]
	switch prefix {
	case '+', '(':
		return text, nil
	case '-':
		return Error(text), nil
	case ':':
		return strconv.ParseInt(text, 10, 64)
	case ',':
		return strconv.ParseFloat(text, 64)
	case '#':
		return text == "t", nil
	case '_':
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 || n > maxRESP {
		return nil, fmt.Errorf("reading RESP: %q is no length", line)
	}
	if n == -1 { // the nulls of RESP2
		return nil, nil
	}
	switch prefix {
	case '$', '=', '!':
		return d.bulk(prefix, n)
	case '*', '~':
		return d.elements(n)
	case '>':
		all, err := d.elements(n)
		return Push(all), err
	case '%':
		all, err := d.elements(2 * n)
		return Map(all), err
	case '|': // attributes: about the value that follows, which is what counts
		if _, err := d.elements(2 * n); err != nil {
			return nil, err
		}
		return d.value()
	}
	return nil, fmt.Errorf("reading RESP: %q begins no value", line)
}

func (d *decoder) bulk(prefix byte, n int) (any, error) {
	body := make([]byte, n+2)
	got, err := io.ReadFull(d.r, body)
	d.raw = append(d.raw, body[:got]...)
	if err != nil {
		return nil, err
	}
	if string(body[n:]) != "\r\n" {
		return nil, fmt.Errorf("reading RESP: a string of %d bytes does not end there", n)
	}
	text := string(body[:n])
	switch {
	case prefix == '!':
		return Error(text), nil
	case prefix == '=' && n >= 4: // "txt:" says what follows
		return text[4:], nil
	}
	return text, nil
}

func (d *decoder) elements(n int) ([]any, error) {
	all := make([]any, 0, min(n, 1024))
	for range n {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
