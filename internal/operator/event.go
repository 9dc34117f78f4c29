package operator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// maxEvent bounds one event of a stream in bytes, its names included. A tick has 2 kB.
const maxEvent = 64 << 10

// errNoStream is an answer that is none of a stream, and errLong one with an event beyond that.
var (
	errNoStream = errors.New("what answers is no stream of events")
	errLong     = fmt.Errorf("%w: one is longer than 64KiB", errNoStream)
)

// events reads Server-Sent Events as the HTML standard (9.2.6) has it: in UTF-8, in lines that
// end with LF, CR or both, an event ended by an empty line. What the end of the stream cuts
// off is no event.
type events struct {
	event func(name string, data []byte) // the data is good until it returns
	retry func(d time.Duration)          // how long to wait before asking again

	name string
	data []byte
}

// read reads until the stream ends, and returns why.
func (e *events) read(r io.Reader) error {
	in := bufio.NewReader(r)
	var line []byte
	var afterCR bool
	for first := true; ; {
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		half := b == '\n' && afterCR // of a line's end
		afterCR = b == '\r'
		switch {
		case half:
		case b != '\n' && b != '\r':
			if len(line)+len(e.data)+len(e.name) >= maxEvent {
				return errLong
			}
			line = append(line, b)
		default:
			if first { // a mark of the byte order is none of it
				line, first = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")), false
			}
			e.take(line)
			line = line[:0]
		}
	}
}

// take takes a line without its end.
func (e *events) take(line []byte) {
	if len(line) == 0 {
		e.dispatch()
		return
	}
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) { // "" is a comment's
	case "event":
		e.name = string(value)
	case "data":
		e.data = append(append(e.data, value...), '\n')
	case "retry":
		ms, err := strconv.ParseUint(string(value), 10, 64)
		if err == nil && ms <= math.MaxInt64/uint64(time.Millisecond) {
			e.retry(time.Duration(ms) * time.Millisecond)
		}
	}
}

// dispatch tells of an event, if there is one.
func (e *events) dispatch() {
	if len(e.data) > 0 {
		name := e.name
		if name == "" {
			name = "message"
		}
		e.event(name, e.data[:len(e.data)-1])
	}
	e.name, e.data = "", e.data[:0]
}
