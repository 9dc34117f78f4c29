package postgres

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/engine"
)

// TestParameters: what pgx would send to the server as a setting, or leave out of
// account, is named when it is read.
func TestParameters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(rest, want string) {
		t.Helper()
		_, err := New(engine.Config{URL: "postgres://u:p@" + strings.ReplaceAll(rest, "FILE", file), MaxConns: 1, Timeout: time.Second})
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", rest, err, want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v shows a secret", rest, err)
		}
	}
	f("h/d", "")
	f("h1:1,h2:2/d?target_session_attrs=read-write&connect_timeout=3&pool_max_conns=3&statement_timeout=1s&TimeZone=UTC&pg_trgm.similarity_threshold=0.1&options=-c%20jit%3Doff", "")
	f("h/d?sslmod=require", "did you mean sslmode?")
	f("h/d?ssl-mode=require", "write sslmode=")
	f("h/d?statement_timeot=1s", "did you mean statement_timeout?")
	f("h/d?gssencmode=disable", "libpq")
	f("h/d?datestyle=SQL", "ISO")
	f("h/d?wal_level=minimal", "options=-c%20name%3Dvalue")
	f("h/d?sslmode=require&sslmode=disable", "twice")
	f("h/d?sslmode=required", "sslmode is none of")
	f("h/d?target_session_attrs=readwrite", `"target_session_attrs" has a value`)
	f("h/d?connect_timeout=soon", `"connect_timeout" has a value`)
	f("h/d?default_query_exec_mode=fast", `"default_query_exec_mode" has a value`)
	f("h/d?sslrootcert=FILE", "sslrootcert has no effect")
	f("h/d?sslmode=disable&sslrootcert=FILE", "sslrootcert has no effect")
	f("h/d?sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "sslrootcert: open /nowhere/ca.crt: no such file")
	f("h/d?sslmode=verify-full&sslrootcert=FILE", "files of certificates")
	f("h/d?sslmode=verify-full&sslrootcert=system", "")
	f("h/d?sslmode=verify-full&sslrootcert=", "sslrootcert is empty")
	f("h/d?sslmode=require&sslcert=FILE", "sslcert and sslkey")
	f("h/d?sslmode=disable&sslcert=FILE&sslkey=FILE", "sslcert has no effect")
	f("h/d?sslmode=require&sslpassword=s3cret", "sslpassword needs")
	f("/d?host=/run/postgresql&sslmode=verify-full", "unix socket")
	f("/d?host=/run/postgresql&sslmode=prefer", "")
	f("h/d?ssl=true&sslmode=disable", `"ssl"`)
	f("5432?s3cret@h/d", "percent-encode")
	f("5432#s3cret@h/d", "percent-encode")
}
