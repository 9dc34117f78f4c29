package command

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hearth/internal/app"
)

var update = flag.Bool("update", false, "rewrite the expected banners, docs/cli.md, deploy/man and deploy/completions")

// banners are servers of every kind, each with its golden file.
var banners = map[string]struct {
	served          app.Served
	program, config string
	colour          bool
}{
	"demo": {app.Served{
		Version: "v0.2.0", Public: "127.0.0.1:8080", Admin: "127.0.0.1:9090", Tier: "embedded, in hearth.db", Example: "/user/1",
		Paths: []app.ServedPath{{Path: "/user/{user_id}", From: "sqlite:demo.db"}, {
			Path: "/item/{id}", From: "the shared tier alone",
		}, {Path: "/batch_process", From: "batches of item"}, {Path: "/concurrent_test", From: "a counter"}},
	}, "./hearth", "config.toml", true},
	"sockets": {app.Served{
		Version: "v0.2.0", Public: "unix:/run/hearth/public of all.sock", Admin: "unix:/run/hearth/admin.sock", Example: "/user/1",
		Tier: "Redis at unix:/run/redis/redis.sock", Paths: []app.ServedPath{{Path: "/user/{user_id}", From: "postgres://db:5432"}},
	}, "hearth", "/etc/hearth/config.toml", false},
	"abstract": {app.Served{Version: "devel", Public: "unix:@hearth", Admin: "[::1]:9090", Tier: "embedded, in hearth.db"}, "hearth", "config.toml", false},
	"fleet": {app.Served{
		Version: "v0.2.0", Public: "[::]:8443", Admin: "10.0.0.5:9090", TLS: true, ClientCerts: true, ProxyHeader: true, Tokens: true,
		Tier: "Redis Cluster at " + strings.Repeat("redis.example.com:6379, ", 6), Paths: manyPaths(100), Example: "/kind0/it's",
	}, "hearth", "/etc/hearth/config.toml", false},
	"hostile": {app.Served{
		Version: "v0.2.0", Public: "0.0.0.0:80", Admin: "127.0.0.1:9090", Tier: "embedded, in \x1b[2J" + strings.Repeat("北", 60),
		Paths: []app.ServedPath{{Path: "/\x1b]0;x\a/" + strings.Repeat("p", 90), From: "x"}}, Example: "/\x1b[2J/$(id)",
	}, "hearth", "\u202econfig.toml", false},
}

func manyPaths(n int) (all []app.ServedPath) {
	for i := range n {
		all = append(all, app.ServedPath{Path: fmt.Sprintf("/kind%d/{id}", i), From: "https://api.example.com"})
	}
	return all
}

func TestBannerSaysWhatIsServedWhere(t *testing.T) {
	colours := regexp.MustCompile("\x1b\\[[0-9]m")
	for name, b := range banners {
		got := banner(b.served, b.program, b.config, b.colour)
		golden := filepath.Join("testdata", "banner-"+name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		plain := colours.ReplaceAllString(got, "")
		if b.colour == (plain == got) || strings.Contains(plain, "\x1b") {
			t.Errorf("%s: colours %t, and the terminal is sent %q", name, b.colour, got)
		}
		if name == "demo" {
			page, err := os.ReadFile("../../docs/operations.md")
			if err != nil || !strings.Contains(string(page), "\n$ make run\n"+strings.TrimSpace(plain)+"\n```\n") {
				t.Errorf("docs/operations.md does not show (%v)\n%s", err, plain)
			}
		}
		if lines := strings.Count(got, "\n"); lines > 16 {
			t.Errorf("%s: the banner has %d lines", name, lines)
		}
		for line := range strings.Lines(plain) {
			width := 0
			for _, r := range strings.TrimSuffix(line, "\n") {
				width += columnsOf(r)
			}
			if width > bannerWidth && !strings.Contains(line, " curl ") {
				t.Errorf("%s: a line of %d columns: %s", name, width, line)
			}
		}
	}
}

func TestBannerIsForTerminalsAlone(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, p := range []Process{{Stderr: w}, {Stderr: new(strings.Builder)}} {
		if p.greet("config.toml") != nil {
			t.Errorf("%T is greeted", p.Stderr)
		}
	}
	for name, want := range map[string]string{"": "hearth", "hearth": "hearth", "./hearth": "./hearth", "/my bin/hearth": "'/my bin/hearth'"} {
		if got := (Process{Name: name}).called(); got != want {
			t.Errorf("%q is called as %q, want %q", name, got, want)
		}
	}
}
