package listen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// binaryHeader is a header of version 2, as HAProxy sends it.
func binaryHeader(command, family byte, block string) string {
	return signature + string([]byte{0x20 | command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(block)))) + block
}

const (
	inetBlock  = "\xc0\x00\x02\x07\x0a\x00\x00\x01\xdb\xdc\x01\xbb"
	inet6Block = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\xdb\xdc\x01\xbb"
	mappedBlock = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01\xdb\xdc\x01\xbb"
)

// summed appends a checksum to a header.
func summed(command, family byte, block string) string {
	h := []byte(binaryHeader(command, family, block+"\x03\x00\x04\x00\x00\x00\x00"))
	binary.BigEndian.PutUint32(h[len(h)-4:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	return string(h)
}

func TestParseHeader(t *testing.T) {
	const own = "" // the peer's own address
	good := func(header, want string) {
		t.Helper()
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n"} {
			client, size, err := parseHeader([]byte(header + behind))
			got := ""
			if client.IsValid() {
				got = client.String()
			}
			if err != nil || size != len(header) || got != want {
				t.Errorf("%q = %q, %d bytes, error %v; want %q, %d bytes", header+behind, got, size, err, want, len(header))
			}
		}
		for i := range len(header) {
			if _, _, err := parseHeader([]byte(header[:i])); !errors.Is(err, errIncomplete) {
				t.Errorf("%q: error %v, want that it is incomplete", header[:i], err)
			}
		}
	}
	good("PROXY TCP4 192.0.2.7 10.0.0.1 56284 443\r\n", "192.0.2.7:56284")
	good("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535")
	good("PROXY TCP6 2001:db8::7 2001:DB8::1 56284 443\r\n", "[2001:db8::7]:56284")
	good("PROXY TCP6 ::ffff:192.0.2.7 ::1 0 0\r\n", "192.0.2.7:0")
	good("PROXY UNKNOWN\r\n", own)
	good("PROXY UNKNOWN ffff:f...f:ffff and anything\n else\r\n", own)
	good(binaryHeader(1, 0x11, inetBlock), "192.0.2.7:56284")
	good(binaryHeader(1, 0x21, inet6Block), "[2001:db8::7]:56284")
	good(binaryHeader(1, 0x21, mappedBlock), "192.0.2.7:56284")
	good(binaryHeader(1, 0x12, inetBlock), own)                                           // UDP
	good(binaryHeader(1, 0x31, strings.Repeat("/", unixSize)), own)                       // AF_UNIX
	good(binaryHeader(1, 0x00, ""), own)                                                  // UNSPEC
	good(binaryHeader(1, 0x00, "not TLVs"), own)                                          // … whose block is not to be looked at
	good(binaryHeader(0, 0x00, ""), own)                                                  // LOCAL
	good(binaryHeader(0, 0xff, "whatever"), own)                                          // … whose family neither
	good(binaryHeader(1, 0x11, inetBlock+"\x04\x00\x00\xe0\x00\x01x"), "192.0.2.7:56284") // TLVs
	good(binaryHeader(1, 0x11, inetBlock+"\x05\x08\x00"+strings.Repeat("x", maxTLVs)), "192.0.2.7:56284")
	good(summed(1, 0x11, inetBlock), "192.0.2.7:56284")
	good(summed(0, 0x00, ""), own)

	bad := func(header, why string) {
		t.Helper()
		if client, size, err := parseHeader([]byte(header)); err == nil || errors.Is(err, errIncomplete) || size != 0 || client.IsValid() ||
			!strings.Contains(err.Error(), why) {
			t.Errorf("%q = %v, %d bytes, error %v; want an error with %q", header, client, size, err, why)
		}
	}
	bad("GET / HTTP/1.1\r\n", "begins with")
	bad("\x16\x03\x01", "begins with")
	bad("\r\n\r\nG", "begins with")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 56284 443\n"+strings.Repeat("x", maxLine), "no end of line in 107 bytes")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 56284 443\n\r\n", "port")
	bad("PROXY TCP4 192.0.2.07 10.0.0.1 56284 443\r\n", "192.0.2.07")
	bad("PROXY TCP4 192.0.2.7 10.0.0 56284 443\r\n", "10.0.0")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 056284 443\r\n", "port")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 +1 443\r\n", "port")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 56284 65536\r\n", "port")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 56284\r\n", "the line is")
	bad("PROXY TCP4  192.0.2.7 10.0.0.1 56284 443\r\n", "the line is")
	bad("PROXY TCP4 192.0.2.7 10.0.0.1 56284 443 \r\n", "the line is")
	bad("PROXY TCP4 ::1 ::1 56284 443\r\n", "none of TCP4")
	bad("PROXY TCP6 192.0.2.7 10.0.0.1 56284 443\r\n", "none of TCP6")
	bad("PROXY TCP6 fe80::1%eth0 ::1 56284 443\r\n", "none of TCP6")
	bad("PROXY UDP4 192.0.2.7 10.0.0.1 56284 443\r\n", "the line is")
	bad("PROXY UNKNOWNS\r\n", "the line is")
	bad(signature+"\x11", "version and command are 0x11")
	bad(signature+"\x22", "version and command are 0x22")
	bad(binaryHeader(1, 0x41, inetBlock), "family and protocol are 0x41")
	bad(binaryHeader(1, 0x13, inetBlock), "family and protocol are 0x13")
	bad(binaryHeader(1, 0x11, inetBlock[1:]), "11 bytes for addresses, want 12")
	bad(binaryHeader(1, 0x31, inetBlock), "want 216")
	bad(binaryHeader(1, 0x11, strings.Repeat("x", unixSize+maxTLVs+1))[:fixedSize], "more than 2280")
	bad(binaryHeader(1, 0x11, inetBlock+"\x04\x00\x02x"), "TLVs do not fill it")
	bad(binaryHeader(1, 0x11, inetBlock+"\x03\x00\x02xx"), "checksum has the wrong size")
	bad(binaryHeader(1, 0x11, inetBlock+"\x03\x00\x04\x01\x02\x03\x04"), "its checksum is 01020304, want")
	bad(binaryHeader(0, 0x00, "\x03\x00\x04\x01\x02\x03\x04"), "its checksum is 01020304, want")
}

// model is the protocol once more, from the document and for whole inputs: what
// the client's address is, "" for the peer's own, and what is left.
func model(in string) (client, left string, ok bool) {
	if line, rest, found := strings.Cut(in, "\r\n"); found && len(line) <= 105 && strings.HasPrefix(line, "PROXY ") {
		client, ok = modelLine(line)
		return client, rest, ok
	}
	if len(in) < 16 || in[:12] != "\r\n\r\n\x00\r\nQUIT\n" {
		return "", "", false
	}
	size := 16 + int(in[14])*256 + int(in[15])
	if len(in) < size || size > 16+216+2048 {
		return "", "", false
	}
	header, block, left := in[:size], in[16:size], in[size:]
	addresses, strict := 0, false
	switch in[12] {
	case 0x20:
	case 0x21:
		switch in[13] {
		case 0x11, 0x12:
			addresses, strict = 12, true
		case 0x21, 0x22:
			addresses, strict = 36, true
		case 0x31, 0x32:
			addresses, strict = 216, true
		case 0x00, 0x01, 0x02, 0x10, 0x20, 0x30:
		default:
			return "", "", false
		}
	default:
		return "", "", false
	}
	if len(block) < addresses || !modelTLVs(header, block[addresses:], strict) {
		return "", "", false
	}
	if in[12] == 0x21 && (in[13] == 0x11 || in[13] == 0x21) {
		width := (addresses - 4) / 2
		addr, _ := netip.AddrFromSlice([]byte(block[:width]))
		client = fmt.Sprint(addr.Unmap(), " ", int(block[2*width])<<8|int(block[2*width+1]))
	}
	return client, left, true
}

var (
	modelFour = regexp.MustCompile(`^PROXY TCP4 ([0-9.]+) ([0-9.]+) (0|[1-9][0-9]*) (0|[1-9][0-9]*)$`)
	modelSix  = regexp.MustCompile(`^PROXY TCP6 ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) (0|[1-9][0-9]*) (0|[1-9][0-9]*)$`)
)

func modelLine(line string) (string, bool) {
	if line == "PROXY UNKNOWN" || strings.HasPrefix(line, "PROXY UNKNOWN ") {
		return "", true
	}
	form, colons := modelFour, false
	if strings.HasPrefix(line, "PROXY TCP6") {
		form, colons = modelSix, true
	}
	m := form.FindStringSubmatch(line)
	if m == nil {
		return "", false
	}
	for i := 1; i <= 2; i++ {
		port, err := strconv.Atoi(m[i+2])
		if net.ParseIP(m[i]) == nil || strings.Contains(m[i], ":") != colons || err != nil || port > 65535 {
			return "", false
		}
	}
	return fmt.Sprint(net.ParseIP(m[1]), " ", m[3]), true // net.IP prints mapped addresses unmapped
}

// modelTLVs: where TLVs are not whole, nothing is known about their meaning.
func modelTLVs(header, tlvs string, strict bool) bool {
	var sums []string
	for tlvs != "" {
		if len(tlvs) < 3 || len(tlvs)-3 < int(tlvs[1])*256+int(tlvs[2]) {
			return !strict && !modelBadSum(sums)
		}
		n := int(tlvs[1])*256 + int(tlvs[2])
		if tlvs[0] == 3 {
			sums = append(sums, tlvs[:3+n])
		}
		tlvs = tlvs[3+n:]
	}
	if modelBadSum(sums) {
		return false
	}
	if len(sums) == 0 {
		return true
	}
	// Where it stands does not matter to a search: try all places.
	for at := 16; at+7 <= len(header); at++ {
		if header[at:at+7] != sums[0] {
			continue
		}
		zeroed := []byte(header[:at+3] + "\x00\x00\x00\x00" + header[at+7:])
		if crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)) == binary.BigEndian.Uint32([]byte(sums[0][3:])) {
			return true
		}
	}
	return false
}

func modelBadSum(sums []string) bool {
	return len(sums) > 1 || len(sums) == 1 && len(sums[0]) != 7
}

// bitwise is a connection whose reads bring as many bytes as the script says.
type bitwise struct {
	net.Conn
	in     []byte
	script []byte
	closed bool
}

func (c *bitwise) Read(p []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := len(p)
	if len(c.script) > 0 {
		n, c.script = 1+int(c.script[0]), c.script[1:]
	}
	n = min(n, len(p), len(c.in))
	copy(p, c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

func (c *bitwise) Close() error       { c.closed = true; return nil }
func (*bitwise) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 1} }

// FuzzProxyHeader holds the reader, fed in pieces, against the model, and sees to
// it that no byte behind the header is lost.
func FuzzProxyHeader(f *testing.F) {
	for _, header := range []string{
		"PROXY TCP4 192.0.2.7 10.0.0.1 56284 443\r\n", "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 0 65535\r\n", "PROXY UNKNOWN x\r\n",
		binaryHeader(1, 0x11, inetBlock), binaryHeader(1, 0x21, inet6Block), binaryHeader(0, 0, ""), summed(1, 0x11, inetBlock), summed(0, 0, ""),
	} {
		f.Add([]byte(header+"GET / HTTP/1.1\r\n\r\n"), []byte{3, 9})
	}
	f.Fuzz(func(t *testing.T, in, script []byte) {
		inner := &bitwise{in: bytes.Clone(in), script: script}
		c := &proxiedConn{Conn: inner, listener: Proxied(nil, nil)}
		left, err := io.ReadAll(c)
		client, wantLeft, ok := model(string(in))
		if !ok {
			// An input without a byte ends before it begins.
			if err == nil && len(in) > 0 || len(left) > 0 || !inner.closed && len(in) > 0 {
				t.Fatalf("%q: read %q, error %v, closed: %v; want a refusal", in, left, err, inner.closed)
			}
			if _, err := c.Write([]byte("HTTP/1.1 400")); !errors.Is(err, errNoHeader) {
				t.Fatalf("%q: refused, and still answered: %v", in, err)
			}
			return
		}
		if err != nil || string(left) != wantLeft {
			t.Fatalf("%q: left %q, error %v; want %q", in, left, err, wantLeft)
		}
		got := c.RemoteAddr().(*net.TCPAddr)
		if client == "" {
			client = "203.0.113.1 1"
		}
		if text := fmt.Sprint(got.IP, " ", got.Port); text != client {
			t.Fatalf("%q: client %q, want %q", in, text, client)
		}
	})
}
