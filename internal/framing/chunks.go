package framing

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// The bounds of what stands between the content of chunks.
const (
	// maxSizeLine bounds the line in front of a chunk.
	maxSizeLine = 1024
	// maxExtensions bounds the extensions of all chunks of one request. Nobody
	// sends any; who sends a byte of content with each line of them makes us work
	// for nothing.
	maxExtensions = 8 << 10
	// maxTrailers bounds the fields behind the last chunk.
	maxTrailers = 8 << 10
	// maxSizeDigits is enough for any length; more are zeros in front, or too much.
	maxSizeDigits = 16
)

// Reader reads the content from in, which stands behind the header. It returns
// io.EOF at the end of the content and io.ErrUnexpectedEOF at any other.
func (c Content) Reader(in *bufio.Reader) io.Reader {
	if c.Chunked {
		return NewChunks(in)
	}
	return &sized{in, c.Length}
}

// maxRest is how much content that nobody has asked for is read for the sake of its
// connection. Of more the rest is cheaper to lose with it.
const maxDiscard = 256 << 10

// Rest drops what has come already of content that nobody has read, and returns
// how much is still to come before the next request; -1 where that is too much, or
// nobody knows how much.
func (c Content) Discard(in *bufio.Reader) int {
	if c.Chunked || in == nil && c.Length > 0 {
		return -1
	}
	left := c.Length
	if left > 0 {
		n, _ := in.Discard(int(min(left, int64(in.Buffered())))) // they are there
		left -= int64(n)
	}
	if left > maxDiscard {
		return -1
	}
	return int(left)
}

// sized reads content whose length is known.
type sized struct {
	in   *bufio.Reader
	left int64
}

func (s *sized) Read(p []byte) (n int, err error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err = s.in.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, unexpected(err)
}

// Chunks reads content in chunks by the grammar of RFC 9112, 7.1, strictly: every
// line ends in CR LF, extensions are names and values, quoted or not, and a line
// of any other form is a Fault. Extensions and trailers are checked and dropped:
// nobody here asks for them.
type Chunks struct {
	in         *bufio.Reader
	left       int64 // of the chunk that is being read
	extensions int   // bytes of them so far
	begun      bool  // a chunk was read, whose CR LF comes next
	err        error // that every further Read returns
	line       []byte
}

// NewChunks reads from in, which stands behind the header.
func NewChunks(in *bufio.Reader) *Chunks { return &Chunks{in: in} }

// Read returns content, io.EOF when its end and that of the trailers was read, a
// Fault for what is no content in chunks, or what kept it from reading.
func (c *Chunks) Read(p []byte) (n int, err error) {
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
func (c *Chunks) next() error {
	if c.begun {
		if err := c.endLine(); err != nil {
			return err
		}
	}
	line, err := c.readLine(maxSizeLine, BadChunk)
	if err != nil {
		return err
	}
	size, extensions := chunkSize(line)
	if size < 0 || !areExtensions(extensions) {
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
func (c *Chunks) trailers() error {
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

// endLine reads the CR LF behind a chunk.
func (c *Chunks) endLine() error {
	for _, want := range []byte("\r\n") {
		b, err := c.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		if b != want {
			return BadChunk
		}
	}
	return nil
}

// readLine reads a line of at most that many bytes and returns it without CR LF,
// until the next call. A CR or LF of its own is a fault at once: what would end
// the line for others must not wait for more.
func (c *Chunks) readLine(most int, fault Fault) ([]byte, error) {
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
func chunkSize(line []byte) (size int64, rest []byte) {
	i := 0
	for ; i < len(line); i++ {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), lower(line[i]))
		if digit < 0 {
			break
		}
		if i == maxSizeDigits || size >= maxLength>>4 {
			return -1, nil
		}
		size = size<<4 | int64(digit)
	}
	if i == 0 {
		return -1, nil
	}
	return size, line[i:]
}

// areExtensions tells whether text is a chunk-ext:
//
//	*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
func areExtensions(text []byte) bool {
	for len(text) > 0 {
		text = leftTrim(text)
		if len(text) == 0 || text[0] != ';' {
			return false // a blank that stands before nothing is none of the grammar's
		}
		text = leftTrim(text[1:])
		name := tokenLength(text)
		if name == 0 {
			return false
		}
		text = text[name:]
		after := leftTrim(text)
		if len(after) == 0 || after[0] != '=' {
			continue
		}
		after = leftTrim(after[1:])
		value := tokenLength(after)
		if value == 0 {
			value = quotedLength(after)
		}
		if value == 0 {
			return false
		}
		text = after[value:]
	}
	return true
}

// quotedLength is how long the quoted-string (RFC 9110, 5.6.4) at the beginning of
// text is; 0 where there is none.
func quotedLength(text []byte) int {
	if len(text) == 0 || text[0] != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '"':
			return i + 1
		case text[i] == '\\':
			if i++; i == len(text) || isControl(text[i]) {
				return 0
			}
		case isControl(text[i]):
			return 0
		}
	}
	return 0
}

// tokenLength is how many bytes of a token (RFC 9110, 5.6.2) text begins with.
func tokenLength(text []byte) int {
	for i, c := range text {
		if !tokenBytes[c] {
			return i
		}
	}
	return len(text)
}

var tokenBytes = func() (all [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") {
		all[c] = true
	}
	return all
}()

// isControl tells of the bytes that no value may hold. A tab may stand in one.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

func leftTrim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}
