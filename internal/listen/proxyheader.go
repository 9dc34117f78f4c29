package listen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

// Sizes of headers (proxy-protocol.txt, 2.1 and 2.2).
const (
	maxLine   = 107 // version 1, CRLF included
	fixedSize = 16  // version 2, before addresses
	inetSize  = 12
	inet6Size = 36
	unixSize  = 216
	// maxTLVs is what may follow addresses; the largest in use, certificates'
	// names and connections' ids, have some hundred bytes.
	maxTLVs   = 2 << 10
	maxHeader = fixedSize + unixSize + maxTLVs
)

const (
	linePrefix = "PROXY "
	signature  = "\r\n\r\n\x00\r\nQUIT\n"
)

// errIncomplete says that the bytes so far may become a header.
var errIncomplete = errors.New("incomplete")

// parseHeader reads the header that b begins with: the client's address, not valid
// where the peer speaks for itself, and the header's size. While more of b is
// needed the error is errIncomplete; it is another as soon as no further byte can
// make a header of b.
func parseHeader(b []byte) (client netip.AddrPort, size int, err error) {
	text := string(b)
	switch {
	case strings.HasPrefix(text, linePrefix):
		return parseLine(b)
	case strings.HasPrefix(text, signature):
		return parseBinary(b)
	case strings.HasPrefix(linePrefix, text), strings.HasPrefix(signature, text):
		return client, 0, errIncomplete
	}
	return client, 0, fmt.Errorf("it begins with %q", b[:min(len(b), len(signature))])
}

// parseLine reads version 1.
func parseLine(b []byte) (client netip.AddrPort, size int, err error) {
	line, _, whole := strings.Cut(string(b[:min(len(b), maxLine)]), "\r\n")
	switch {
	case !whole && len(b) >= maxLine:
		return client, 0, fmt.Errorf("no end of line in %d bytes", maxLine)
	case !whole:
		return client, 0, errIncomplete
	}
	size = len(line) + len("\r\n")
	fields := strings.Split(line, " ")
	if fields[1] == "UNKNOWN" {
		return client, size, nil // whatever follows is to be ignored
	}
	if fields[1] != "TCP4" && fields[1] != "TCP6" || len(fields) != 6 {
		return client, 0, fmt.Errorf("the line is %q", line)
	}
	source, err := parseEndpoint(fields[1], fields[2], fields[4])
	if err == nil {
		_, err = parseEndpoint(fields[1], fields[3], fields[5])
	}
	if err != nil {
		return client, 0, fmt.Errorf("the line is %q: %w", line, err)
	}
	return source, size, nil
}

// parseEndpoint reads an address and a port in their canonical form.
func parseEndpoint(family, address, port string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if addr.Zone() != "" || addr.Is4() != (family == "TCP4") {
		return netip.AddrPort{}, fmt.Errorf("address %q is none of %s", address, family)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), nil
}

// Parts of version 2's bytes 13 and 14.
const (
	commandLocal = 0
	commandProxy = 1

	familyInet  = 1
	familyInet6 = 2
	familyUnix  = 3

	transportStream = 1
	transportLast   = 2
)

// parseBinary reads version 2.
func parseBinary(b []byte) (client netip.AddrPort, size int, err error) {
	// What is wrong is said as soon as it is there: who waits for more of what
	// will be refused waits in vain.
	if len(b) > 12 && b[12] != 0x20|commandLocal && b[12] != 0x20|commandProxy {
		return client, 0, fmt.Errorf("version and command are %#02x, want 0x20 or 0x21", b[12])
	}
	if len(b) < fixedSize {
		return client, 0, errIncomplete
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	size = fixedSize + length
	if size > maxHeader {
		return client, 0, fmt.Errorf("it has %d bytes, more than %d", size, maxHeader)
	}
	local, family, transport := b[12] == 0x20|commandLocal, b[13]>>4, b[13]&0xf
	if !local && (family > familyUnix || transport > transportLast) {
		return client, 0, fmt.Errorf("family and protocol are %#02x, which the protocol does not know", b[13])
	}
	known := !local && family != 0 && transport != 0
	addresses := 0
	if known {
		addresses = [...]int{familyInet: inetSize, familyInet6: inet6Size, familyUnix: unixSize}[family]
	}
	if length < addresses {
		return client, 0, fmt.Errorf("it has %d bytes for addresses, want %d", length, addresses)
	}
	if len(b) < size {
		return client, 0, errIncomplete
	}
	// Where there need not be addresses of a known size, what is there is not to
	// be looked at, unless it is plainly a list of TLVs.
	if err := checkTLVs(b[:size], fixedSize+addresses); err != nil && (known || !errors.Is(err, errNoList)) {
		return client, 0, err
	}
	if known && transport == transportStream {
		client = clientOf(family, b[fixedSize:])
	}
	return client, size, nil
}

// clientOf reads the source of an address block.
func clientOf(family byte, b []byte) netip.AddrPort {
	switch family {
	case familyInet:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), binary.BigEndian.Uint16(b[8:]))
	case familyInet6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)).Unmap(), binary.BigEndian.Uint16(b[32:]))
	}
	return netip.AddrPort{}
}

const typeCRC32C = 0x03

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// errNoList says that there is something else than whole TLVs.
	errNoList = errors.New("its TLVs do not fill it")
)

// checkTLVs walks over the TLVs of a whole header, from start to its end, and
// checks the checksum if there is one among them (proxy-protocol.txt, 2.2.3).
func checkTLVs(header []byte, start int) error {
	checksum := -1 // where it is
	for rest := header[start:]; len(rest) > 0; {
		if len(rest) < 3 {
			return errNoList
		}
		length := int(binary.BigEndian.Uint16(rest[1:]))
		if len(rest) < 3+length {
			return errNoList
		}
		if rest[0] == typeCRC32C {
			if length != crc32.Size || checksum >= 0 {
				return errors.New("its checksum has the wrong size, or there are several")
			}
			checksum = len(header) - len(rest) + 3
		}
		rest = rest[3+length:]
	}
	if checksum < 0 {
		return nil
	}
	// Over the whole header, the checksum itself counting as zeros.
	sum := crc32.Update(0, castagnoli, header[:checksum])
	sum = crc32.Update(sum, castagnoli, make([]byte, crc32.Size))
	sum = crc32.Update(sum, castagnoli, header[checksum+crc32.Size:])
	if want := binary.BigEndian.Uint32(header[checksum:]); sum != want {
		return fmt.Errorf("its checksum is %08x, want %08x", want, sum)
	}
	return nil
}
