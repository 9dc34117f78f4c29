package framing_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// read reads content in chunks, and returns what comes behind it, too.
func read(text string, one bool) (content, rest string, err error) {
	var from io.Reader = strings.NewReader(text)
	if one {
		from = iotest.OneByteReader(from)
	}
	in := bufio.NewReaderSize(from, 16)
	b, err := io.ReadAll(framing.Content{Chunked: true}.Reader(in))
	behind, _ := io.ReadAll(in)
	return string(b), string(behind), err
}

func TestChunks(t *testing.T) {
	f := func(text, content string, want error) {
		t.Helper()
		for _, one := range []bool{false, true} {
			got, rest, err := read(text+"NEXT", one)
			if err != want && !errors.Is(err, want) {
				t.Errorf("%q: got %v, want %v", text, err, want)
			}
			if want == nil && (got != content || rest != "NEXT") {
				t.Errorf("%q: got %q, and %q behind it, want %q", text, got, rest, content)
			}
		}
	}
	const end = "0\r\n\r\n"
	f(end, "", nil)
	f("1\r\na\r\n"+end, "a", nil)
	f("A\r\n0123456789\r\n00b\r\n0123456789a\r\n000\r\n\r\n", "01234567890123456789a", nil)

	for _, extension := range []string{
		";a", ";a;b", ";a=b", ";a=\"b\"", ";a=\"\"", ";a=\"\\\"\\\\;\t \"", " ; a = b ; c=\"d e\"", "\t;\ta\t=\tb", ";a=b;c", ";a=\"\x80\"",
		";!#$%&'*+-.^_`|~09=x",
	} {
		f("1"+extension+"\r\na\r\n0"+extension+"\r\n\r\n", "a", nil)
	}
	for _, extension := range []string{
		" ", "\t", ";", "; ", ";a ", ";a=", ";a=b ", ";a= ", ";=b", ";a=b c", ";a==b", ";a\"b\"", ";a=\"b", ";a=\"b\"c", ";a=\"b\\", ";a=\"\\", "z",
		" 1", ";a=\"\x00\"", ";a=\"\\\x01\"", ";a=\x80", ";\x7f", ";a=b,c=d", ";a\rb", ";a\nb", ";a=\"\n\"", ";a=\"\r\n\"",
	} {
		f("1"+extension+"\r\na\r\n"+end, "", framing.BadChunk)
	}
	for _, size := range []string{"", " 1", "+1", "-1", "0x1", "1h", "g", "10000000000000000", "8000000000000000", "7fffffffffffffff", "1_0", "１"} {
		f(size+"\r\na\r\n"+end, "", framing.BadChunk)
	}
	f("1\na\r\n"+end, "", framing.BadChunk)
	f("1\r\na\n"+end, "", framing.BadChunk)
	f("1\r\nab\r\n"+end, "", framing.BadChunk)
	f("2\r\na\r\n"+end, "", framing.BadChunk)
	f("1\r\na"+end, "", framing.BadChunk)
	f("1;"+strings.Repeat("x", 1023)+"\r\na\r\n"+end, "", framing.BadChunk)
	f("1;"+strings.Repeat("x", 1000)+"\r\na\r\n"+end, "a", nil)
	f(strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\na\r\n", 9)+end, "", framing.BadChunk)
}

func TestTrailers(t *testing.T) {
	f := func(trailers string, want error) {
		t.Helper()
		for _, one := range []bool{false, true} {
			got, rest, err := read("1\r\na\r\n0\r\n"+trailers+"\r\nNEXT", one)
			if err != want && !errors.Is(err, want) || want == nil && (got != "a" || rest != "NEXT") {
				t.Errorf("%q: got %q, %v, and %q behind it, want %v", trailers, got, err, rest, want)
			}
		}
	}
	f("A: b\r\nC:\r\nIf-Match: \"x\"\r\n", nil)
	f("A: "+strings.Repeat("x", 8000)+"\r\n", nil)
	f("A: "+strings.Repeat("x", 8192)+"\r\n", framing.BadTrailer)
	f(strings.Repeat("A: b\r\n", 1400), framing.BadTrailer)
	for _, line := range []string{"A", ": b", "A : b", " A: b", "A: b\r\n c", "A: \x00", "A: b\x7f", "A: b\nB: c", "A: b\rB: c", "\nB: c", "é: b"} {
		f(line+"\r\n", framing.BadTrailer)
	}
	for _, name := range []string{"Content-Length", "TRANSFER-ENCODING", "host", "Authorization", "Trailer", "TE", "X-Forwarded-For", "X-Forwarded-Proto",
		"Forwarded", "Cookie", "Content-Type", "Expect", "Upgrade"} {
		f(name+": x\r\n", framing.TrailerField)
	}
}

func TestContentThatEndsTooEarly(t *testing.T) {
	const whole = "5;a=b\r\nabcde\r\n0\r\nA: b\r\n\r\n"
	for i := range len(whole) {
		b, err := io.ReadAll(framing.Content{Chunked: true}.Reader(bufio.NewReader(strings.NewReader(whole[:i]))))
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: got %q, %v", whole[:i], b, err)
		}
	}
	sized := framing.Content{Length: 5}
	if b, err := io.ReadAll(sized.Reader(bufio.NewReader(strings.NewReader("abcd")))); !errors.Is(err, io.ErrUnexpectedEOF) || string(b) != "abcd" {
		t.Errorf("got %q, %v", b, err)
	}
	in := bufio.NewReader(strings.NewReader("abcdefg"))
	b, err := io.ReadAll(sized.Reader(in))
	if rest, _ := io.ReadAll(in); err != nil || string(b) != "abcde" || string(rest) != "fg" {
		t.Errorf("got %q, %v, and %q behind it", b, err, rest)
	}
}

// TestSource holds for the version of fasthttp that is built in: a stream of no
// bytes still says what it reads from.
func TestSource(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"))
	var req fasthttp.Request
	if err := req.Header.Read(in); err != nil {
		t.Fatal(err)
	}
	req.Header.SetContentLength(0)
	if err := req.ContinueReadBodyStream(in, 100, false); err != nil {
		t.Fatal(err)
	}
	if got := framing.BufferedReader(req.BodyStream()); got != in {
		t.Fatalf("got %p, want %p", got, in)
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "abcde" {
		t.Errorf("got %q, %v", rest, err)
	}
	for _, other := range []io.Reader{nil, strings.NewReader(""), bytes.NewReader(nil), (*bytes.Buffer)(nil), io.MultiReader()} {
		if got := framing.BufferedReader(other); got != nil {
			t.Errorf("%T: got %v", other, got)
		}
	}
}

// FuzzChunks: what is read from chunks here, net/http reads from them, too.
func FuzzChunks(f *testing.F) {
	for _, seed := range []string{
		"0\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "3;a=\"b\\\"\"\r\nabc\r\n00\r\nA: b\r\n\r\n", "2 ; a\r\nab\r\n0;b\r\n\r\n", "1\na\r\n0\r\n\r\n", "7fffffffffffffff\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 4<<10 {
			return
		}
		got, err := io.ReadAll(framing.Content{Chunked: true}.Reader(bufio.NewReader(bytes.NewReader(wire))))
		if err != nil {
			return
		}
		want, err := io.ReadAll(httputil.NewChunkedReader(bufio.NewReader(bytes.NewReader(wire))))
		// It refuses blanks before a semicolon.
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%q: got %q, net/http %q", wire, got, want)
		}
	})
}
