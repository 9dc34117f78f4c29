package testkit

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The forms in which a single Redis is reached, and what it does when it is not well.

// SocketURL is the address of the unix socket and a database in the form of redis.url.
func (s *RedisServer) SocketURL(db int) string { return fmt.Sprintf("unix://%s?db=%d", s.socket(), db) }

// Follow makes the server a replica of another and returns when it has all that the
// other holds. It keeps its connections, and refuses writes on them from then on.
func (s *RedisServer) Follow(master *RedisServer) {
	s.tb.Helper()
	s.Do("REPLICAOF", "127.0.0.1", fmt.Sprint(master.Port()))
	Eventually(s.tb, startWithin, "the replica follows its master", func() bool {
		return strings.Contains(s.Text("INFO", "replication"), "master_link_status:up")
	})
}

// Promote makes a replica a master.
func (s *RedisServer) Promote() {
	s.tb.Helper()
	s.Do("REPLICAOF", "NO", "ONE")
}

// StartLoading starts the server again after Stop, and returns while it reads what was
// on disk: it accepts connections and answers LOADING until done is called. The server
// has to hold at least one key. done returns when everything is there.
func (s *RedisServer) StartLoading() (done func()) {
	s.tb.Helper()
	// Redis sleeps for the delay after each key, and then looks at its connections once
	// for each kilobyte read; so keys have to be many, or large.
	s.launch("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
	s.AwaitReady(func() bool {
		_, err := s.Try("GET", "k")
		return err != nil && strings.HasPrefix(err.Error(), "LOADING")
	})
	return func() {
		s.tb.Helper()
		s.Do("CONFIG", "SET", "key-load-delay", "0")
		s.AwaitReady(func() bool {
			v, err := s.Try("PING")
			return err == nil && v == "PONG"
		})
	}
}

// RedisTLS is a server that is reached over TLS. It also takes plain connections, which
// are those of the test itself.
type RedisTLS struct {
	*RedisServer
	Authority *Authority
	Dir       string // where the files are

	port int
}

// TLSRedis starts a server over TLS, whose certificate is for localhost. With clients it
// refuses those that show no certificate of its authority. Its Dir has ca.crt,
// localhost.crt and .key, client.crt and .key.
func TLSRedis(tb TB, clients bool, opts ...RedisOption) *RedisTLS {
	tb.Helper()
	s := &RedisTLS{Authority: NewAuthority(tb, "redis"), Dir: TempDir(tb, "tls"), port: FreePort(tb)}
	writeFile(tb, s.File("ca.crt"), s.Authority.PEM())
	s.Issue("localhost")
	s.Issue("client")
	auth := map[bool]string{true: "yes", false: "no"}[clients]
	s.RedisServer = Redis(tb, append(opts, WithConfig(fmt.Sprintf("tls-port %d", s.port), "tls-ca-cert-file "+s.File("ca.crt"),
		"tls-cert-file "+s.File("localhost.crt"), "tls-key-file "+s.File("localhost.key"), "tls-auth-clients "+auth))...)
	return s
}

// File is the path of one of the files.
func (s *RedisTLS) File(name string) string { return filepath.Join(s.Dir, name) }

// Issue makes a certificate of that name, and its key, anew.
func (s *RedisTLS) Issue(name string) {
	cert, key := s.Authority.Issue(name, time.Hour)
	writeFile(s.Authority.tb, s.File(name+".crt"), cert)
	writeFile(s.Authority.tb, s.File(name+".key"), key)
}

// URL is redis.url over TLS.
func (s *RedisTLS) URL() string { return fmt.Sprintf("rediss://localhost:%d", s.port) }
