package main

import (
	"io/fs"
	"net/http"
	"os"
	"testing"

	"hearth/internal/testkit"
)

// TestSocketsAreTheServersOwn: nobody else can connect to the unix sockets that the
// program makes, unless the configuration says so.
func TestSocketsAreTheServersOwn(t *testing.T) {
	f := func(public, admin fs.FileMode, env ...string) {
		t.Helper()
		in := launch(t, "", env...)
		testkit.Eventually(t, patience, "the instance answers", func() bool {
			resp, err := in.http.Get("http://admin:0/livez")
			if err != nil {
				return false
			}
			defer func() { _ = resp.Body.Close() }()
			return resp.StatusCode == http.StatusOK
		})
		for path, want := range map[string]fs.FileMode{in.public: public, in.admin: admin} {
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != fs.ModeSocket|want {
				t.Errorf("%s: %v, %v, want %v", path, info, err, want)
			}
		}
	}
	f(0o600, 0o600)
	f(0o660, 0o600, "HEARTH_SERVER_SOCKET_MODE=0660")
	f(0o600, 0o666, "HEARTH_SERVER_ADMIN_SOCKET_MODE=0666")
}
