package framing

import "testing"

// BenchmarkHeader is what the fast path pays: headers as load generators and
// browsers send them.
func BenchmarkHeader(b *testing.B) {
	for _, c := range []struct{ name, header string }{
		{"one field", "Host: 127.0.0.1:8080\r\n\r\n"},
		{"a browser's", "Host: localhost:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
			"Accept: application/json\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n" +
			"X-Forwarded-For: 192.0.2.7\r\nX-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\nConnection: keep-alive\r\n\r\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			header := []byte(c.header)
			for b.Loop() {
				if _, _, fault := Header(header); fault != None {
					b.Fatal(fault)
				}
			}
		})
	}
}
