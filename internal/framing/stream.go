package framing

import (
	"bufio"
	"io"
	"reflect"
)

// Source finds what a stream of an HTTP library reads from: the one field of its
// struct that is a *bufio.Reader. nil says that there is none.
//
// fasthttp waits for up to 8 KiB of content before it asks anybody whether the
// content is wanted, and reads chunks by rules of its own, which leave no trace
// to check. It has no option for either. So it is told that requests have no
// content: then it waits for none, and makes a stream of no bytes, which stands
// at the content's beginning. What it reads from is all that is missing, and it
// does not say. A version of it that is built differently fails the tests, and
// Source returns nil rather than something else.
func BufferedReader(stream io.Reader) *bufio.Reader {
	v := reflect.ValueOf(stream)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	v = v.Elem()
	var found *bufio.Reader
	for i := range v.NumField() {
		if v.Field(i).Type() != reflect.TypeFor[*bufio.Reader]() {
			continue
		}
		if found != nil {
			return nil
		}
		found = (*bufio.Reader)(v.Field(i).UnsafePointer())
	}
	return found
}
