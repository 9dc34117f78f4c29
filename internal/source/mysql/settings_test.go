package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/source/engine"
)

// TestParameters: what the driver would set as a variable, or not know, is named when
// it is read.
func TestParameters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(rest, want string) {
		t.Helper()
		_, err := New(engine.Config{URL: "mysql://u:p@" + strings.ReplaceAll(rest, "FILE", file), MaxConns: 1, Timeout: time.Second})
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", rest, err, want)
		case err != nil && strings.Contains(err.Error(), "s3cret"):
			t.Errorf("%s: %v shows a secret", rest, err)
		}
	}
	f("h/d", "")
	f("h/d?tls=true&timeout=1s&time_zone='%2B01:00'&max_statement_time=1&rejectReadOnly=true&charset=utf8mb4", "")
	f("h/d?@@wsrep_trx_fragment_size=1", "")
	f("h/d?tls=custom", "no configurations with names")
	f("h/d?tsl=true", "did you mean tls?")
	f("h/d?sslmode=require", "write tls=")
	f("h/d?ssl_ca=x", "write ssl-ca")
	f("h/d?max_statement_tim=1", "did you mean max_statement_time?")
	f("h/d?wsrep_trx_fragment_size=1", "@@name=value")
	f("h/d?readtimeout=1s", "did you mean readTimeout?")
	f("h/d?serverPubKey=x", "take TLS")
	f("h/d?strict=true", "no strict mode")
	f("h/d?tls=true&tls=false", "twice")
	f("h/d?ssl-ca=/nowhere/ca.crt", "ssl-ca: open /nowhere/ca.crt: no such file")
	f("h/d?ssl-ca=FILE", "holds no certificate")
	f("h/d?ssl-ca=FILE&tls=skip-verify", "ssl-ca has no effect")
	f("h/d?ssl-ca=FILE&tls=preferred", "ssl-ca has no effect")
	f("h/d?ssl-ca=FILE&tls=false", "ssl-ca has no effect")
	f("h/d?tls=verify-ca", "needs ssl-ca")
	f("h/d?ssl-ca=", `"ssl-ca" is empty`)
	f("h:99999/d", "no port")
	f("h/d/e", "no database's name")
	f("h/d?ssl-cert=FILE", "ssl-cert and ssl-key")
	f("h/d?ssl-cert=FILE&ssl-key=FILE&tls=false", "ssl-cert has no effect")
	f("h/d?ssl-cert=FILE&ssl-key=FILE", "no certificate with its key")
	f("3306?s3cret@h/d", "percent-encode")
	f("3306#s3cret@h/d", "percent-encode")
}
