package framing

import (
	"bufio"
	"io"
)

// Content is what a header says of the content behind it. The zero Content says
// that there is none.
type Content struct {
	Length  int64 // in bytes; 0 with Chunked
	Chunked bool  // it comes in chunks, of unknown total length
}

// Present tells whether there is content.
func (c Content) Present() bool { return c.Chunked || c.Length > 0 }

// Reader reads the content from in, which stands behind the header. It returns
// io.EOF at the end of the content and io.ErrUnexpectedEOF at any other.
func (c Content) Reader(in *bufio.Reader) io.Reader {
	if c.Chunked {
		return &chunks{in: in}
	}
	return &sized{in, c.Length}
}

// maxDiscard is how much unread content is still received so that its connection
// can go on. Beyond that a new connection is cheaper.
const maxDiscard = 256 << 10

// Discard drops what has arrived of content that was not read, and returns how
// many bytes are still to come before the next request; -1 where they are too many,
// or their number is not known.
func (c Content) Discard(in *bufio.Reader) int {
	if c.Chunked || in == nil && c.Length > 0 {
		return -1
	}
	left := c.Length
	if left > 0 {
		n, _ := in.Discard(int(min(left, int64(in.Buffered())))) // buffered, so it cannot fail
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
