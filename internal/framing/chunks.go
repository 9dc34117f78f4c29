package framing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// The bounds of what stands between the content of chunks.
const (
	// maxSizeLine bounds the line in front of a chunk.
	maxSizeLine = 1024
	// maxExtensions bounds the extensions of all chunks of one request. No client
	// needs any, and a byte of content for each line of them costs more to read
	// than to send.
	maxExtensions = 8 << 10
	// maxTrailers bounds the fields behind the last chunk.
	maxTrailers = 8 << 10
	// maxSizeDigits is enough for any length; further digits are leading zeros.
	maxSizeDigits = 16
)

// chunks reads content in chunks by the grammar of RFC 9112, 7.1, strictly: every
// line ends in CR LF, extensions are names and values, quoted or not, and a line
// of any other form is a Fault. Extensions and trailers are checked and dropped.
// The standard library's reader (net/http/internal, httputil) is no substitute: it
// takes a bare LF for the end of a line and looks at no extension.
type chunks struct {
	in         *bufio.Reader
	left       int64 // of the chunk that is being read
	extensions int   // bytes of them so far
	begun      bool  // a chunk was read, whose CR LF comes next
	err        error // that every further Read returns
	line       []byte
}

// Read returns content, io.EOF when its end and that of the trailers was read, a
// Fault for what is no content in chunks, or what kept it from reading.
func (c *chunks) Read(p []byte) (n int, err error) {
	if c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil || len(p) == 0 {
		return 0, c.err
	}
	n, err = c.in.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.err = unexpected(err)
	return n, c.err
}

// next reads what stands before the next chunk; behind the last one, io.EOF.
func (c *chunks) next() error {
	if c.begun {
		if _, err := c.readLine(0, BadChunk); err != nil { // the CR LF behind a chunk
			return err
		}
	}
	line, err := c.readLine(maxSizeLine, BadChunk)
	if err != nil {
		return err
	}
	size, extensions := chunkSize(line)
	if size < 0 || !chunkExt.Match(extensions) {
		return BadChunk
	}
	if c.extensions += len(extensions); c.extensions > maxExtensions {
		return BadChunk
	}
	c.left, c.begun = size, true
	if size > 0 {
		return nil
	}
	return c.trailers()
}

// trailers reads the fields behind the last chunk and the empty line.
func (c *chunks) trailers() error {
	for left := maxTrailers; ; {
		line, err := c.readLine(left, BadTrailer)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return io.EOF
		}
		if left -= len(line) + 2; left <= 0 {
			return BadTrailer
		}
		if fault := trailer(line); fault != None {
			return fault
		}
	}
}

// readLine reads a line of at most that many bytes and returns it without CR LF;
// it is valid until the next call. A bare CR or LF is a fault as soon as it is read.
// Some programs take it for the end of the line, and what follows for the next
// request: waiting for more would wait for that request.
func (c *chunks) readLine(most int, fault Fault) ([]byte, error) {
	c.line = c.line[:0]
	for {
		b, err := c.in.ReadByte()
		switch {
		case err != nil:
			return nil, unexpected(err)
		case b == '\r':
			if b, err = c.in.ReadByte(); err != nil {
				return nil, unexpected(err)
			}
			if b != '\n' {
				return nil, fault
			}
			return c.line, nil
		case b == '\n' || len(c.line) >= most:
			return nil, fault
		}
		c.line = append(c.line, b)
	}
}

// unexpected is err for a reader that has not come to its end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// chunkSize cuts the size off a chunk's line; -1 where there is none.
func chunkSize(line []byte) (size int64, behind []byte) {
	behind = bytes.TrimLeft(line, "0123456789abcdefABCDEF")
	digits := line[:len(line)-len(behind)]
	n, err := strconv.ParseUint(string(digits), 16, lengthBits)
	if err != nil || len(digits) > maxSizeDigits {
		return -1, nil
	}
	return int64(n), behind
}
