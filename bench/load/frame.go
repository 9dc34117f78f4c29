package load

import (
	"bytes"
	"fmt"
	"strconv"
)

var (
	headEnd       = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
	lineEnd       = []byte("\r\n")
)

// HTTPAnswer is the length of the HTTP answer that in begins with, 0 where it is not whole
// yet; see Plan.Answer. Any status but 200 and 304 is an error, and so is an answer of
// 200 that does not tell its length.
func HTTPAnswer(in []byte) (int, error) {
	end := bytes.Index(in, headEnd)
	if end < 0 {
		return 0, nil
	}
	const status = len("HTTP/1.1 ")
	end += len(headEnd)
	switch {
	case bytes.HasPrefix(in[min(status, end):], []byte("304")):
		return end, nil
	case !bytes.HasPrefix(in[min(status, end):], []byte("200")):
		return 0, fmt.Errorf("the server answers %.300q", in)
	}
	_, value, found := bytes.Cut(in[:end], contentLength)
	digits, _, _ := bytes.Cut(value, lineEnd)
	length, err := strconv.Atoi(string(digits))
	if !found || err != nil {
		return 0, fmt.Errorf("the server answers without a length: %.300q", in)
	}
	if len(in) < end+length {
		return 0, nil
	}
	return end + length, nil
}

// MemcachedAnswer is likewise the length of memcached's answer to a get of one key, which
// it must have.
func MemcachedAnswer(in []byte) (int, error) {
	line := bytes.Index(in, lineEnd)
	if line < 0 {
		return 0, nil
	}
	length, err := strconv.Atoi(string(in[bytes.LastIndexByte(in[:line], ' ')+1 : line]))
	if err != nil || !bytes.HasPrefix(in, []byte("VALUE ")) {
		return 0, fmt.Errorf("memcached answers %.300q", in)
	}
	whole := line + len(lineEnd) + length + len("\r\nEND\r\n")
	if len(in) < whole {
		return 0, nil
	}
	return whole, nil
}
