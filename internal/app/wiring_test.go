package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hearth/internal/config"
)

// load reads a configuration: the given lines and nothing else.
func load(t *testing.T, lines ...string) *config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestCheckRefusesWhatItCannotKeep: a server that starts must not let its
// operator believe in a protection or a consistency that is not there.
func TestCheckRefusesWhatItCannotKeep(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		err := Check(load(t, lines...), nil).Err()
		switch {
		case want == "" && err != nil:
			t.Errorf("%q is refused: %v", lines, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want one that names %q", lines, err, want)
		}
	}
	const item = "[[resource]]\nname = \"item\"\npath = \"/item/{id:string}\"\nkey = \"item:{id}\"\n"
	const batch = "[[batch]]\npath = \"/items\"\nresource = \"item\"\n"
	const token = "[[auth.token]]\nname = \"ops\"\nscopes = [\"admin\", \"write\"]\ntoken = \"0123456789abcdef\"\n"
	f("", item, batch)
	f("auth.open_writes", `[server]`, `listen = "0.0.0.0:80"`, batch, item)
	f("", `[server]`, `listen = "0.0.0.0:80"`, item)
	f("", `[server]`, `listen = "0.0.0.0:80"`, token, batch, item)
	f("", `[auth]`, `open_writes = true`, `[server]`, `listen = "0.0.0.0:80"`, batch, item)
	f("server.admin", `[server]`, `admin = "0.0.0.0:81"`)
	f("", `[server]`, `admin = "0.0.0.0:81"`, token)
	f("", "[[limit]]\nname = \"api\"\npaths = [\"/*\"]\nrate = \"5/s\"")
	f("", `[server]`, `proxy_protocol = true`)
	const origin = "[[resource]]\nname = \"o\"\npath = \"/o/{id:int}\"\nkey = \"o:{id}\"\norigin = \"http://127.0.0.1:1/{id}\"\n"
	const loaded = "[[resource]]\nname = \"l\"\npath = \"/l/{id:int}\"\nkey = \"l:{id}\"\nselect = \"SELECT id FROM l WHERE id = {id}\"\n"
	f("", `[load]`, `lease = "1s"`, item) // nothing is loaded
	f("", `[database]`, `url = "sqlite:x.db"`, `timeout = "1m"`, origin, `timeout = "1s"`)
	f("load.lease (1s)", `[load]`, `lease = "1s"`, origin) // database.timeout is an origin's, too, unless it has its own
	f("database.timeout", `[load]`, `lease = "1s"`, `[database]`, `url = "sqlite:x.db"`, loaded)
	f("load.lease", `[database]`, `url = "sqlite:x.db"`, loaded, `timeout = "4.6s"`)
	f("", `[database]`, `url = "sqlite:x.db"`, loaded, `timeout = "4.5s"`)
	f("unknown placeholder", `[database]`, `url = "sqlite:x.db"`,
		"[[resource]]\nname = \"u\"\npath = \"/u/{id:int}\"\nkey = \"u:{id}\"\nselect = \"SELECT {nobody} WHERE id = {id}\"")
}

func TestNotes(t *testing.T) {
	got := strings.Join(notes(load(t, `[server]`, `listen = "0.0.0.0:80"`, `trusted_proxies = ["10.0.0.0/8"]`)), "\n")
	for _, want := range []string{"embedded tier serves beyond loopback"} {
		if !strings.Contains(got, want) {
			t.Errorf("no note about %q in:\n%s", want, got)
		}
	}
	if got := notes(load(t)); len(got) != 0 {
		t.Errorf("a plain configuration is noted: %q", got)
	}
}
