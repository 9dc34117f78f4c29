package peers

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

//go:embed nginx.conf webdis.json varnish.vcl
var files embed.FS

// startWithin is how long a peer may take until it gives the right answer.
const startWithin = 30 * time.Second

// Start starts a group's Redis and Hearth.
func Start(tb testkit.TB, name string, work Work, paths *Paths) *Servers {
	s := &Servers{Work: work, Name: name, Dir: testkit.TempDir(tb, name), paths: paths}
	if err := os.Chmod(s.Dir, 0o755); err != nil { // nginx's worker is another user
		tb.Fatal(err)
	}
	if cpus := testkit.Processors(2); cpus != nil {
		s.CPUs, s.LoadCPUs = cpus[:1], cpus[1:]
	}
	s.Redis = testkit.Redis(tb, testkit.WithCPUs(s.LoadCPUs))
	fill(tb, s.Redis.AdminConn(), work.Keys, work.Size)
	s.startHearth(tb, launch.Name, paths.Root, paths.Hearth)
	if s.Watched {
		s.watch(tb, s.Peers[0])
	}
	return s
}

// Add starts a peer.
func (s *Servers) Add(tb testkit.TB, name string) {
	start, found := map[string]func(testkit.TB){
		Earlier:     s.startEarlier,
		"bare":      s.startBare,
		"nginx":     func(tb testkit.TB) { s.startNginx(tb, "nginx") },
		"lua":       func(tb testkit.TB) { s.startNginx(tb, "lua") },
		"varnish":   s.startVarnish,
		"memcached": s.startMemcached,
		"webdis":    s.startWebdis,
		"recipe":    s.startRecipe,
		"plain":     func(tb testkit.TB) { s.startPlain(tb, "plain") },
		"get":       func(tb testkit.TB) { s.startPlain(tb, "get", "-read", "get") },
		"get-one":   func(tb testkit.TB) { s.startPlain(tb, "get-one", "-read", "get", "-single", "-flush", "20us") },
	}[name]
	if !found {
		tb.Fatalf("starting the peer %q: there is none of this name", name)
	}
	start(tb)
}

// start starts a peer and waits until it gives the right answer.
func (s *Servers) start(tb testkit.TB, p *Peer, cmd testkit.Command) {
	// Not SIGKILL: a killed nginx would leave its worker behind.
	cmd.Name, cmd.CPUs, cmd.DeathSignal = p.Name, s.CPUs, syscall.SIGTERM
	if cmd.Dir == "" {
		cmd.Dir = s.Dir
	}
	p.Process = testkit.Start(tb, cmd)
	s.AwaitRight(tb, p, startWithin)
	s.Peers = append(s.Peers, p)
}

// newPeer reserves a port. The path and body are those of the recipe.
func (s *Servers) newPeer(tb testkit.TB, name string) *Peer {
	answer := func(n int) string { return `{"user":` + Record(n, s.Size) + `,"source":"cache"}` }
	p := &Peer{Name: name, Path: "/user/*", body: answer(1)}
	switch s.Pattern {
	case Batch:
		p.Path = "/batch_process"
	case Many:
		var all []string
		for i := range ManyItems {
			all = append(all, answer(1+i))
		}
		p.Path, p.body = ListPath(1), "["+strings.Join(all, ",")+"]"
	case Unchanged:
		if name != launch.Name {
			p.Tag = s.Peers[0].Tag
		}
	}
	if name != launch.Name {
		p.Addr = fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))
	}
	return p
}

// startEarlier starts another build of Hearth, with the configuration that belongs to it.
func (s *Servers) startEarlier(tb testkit.TB) {
	if s.paths.Earlier == "" {
		tb.Fatalf("starting an earlier build: -earlier names none")
	}
	if s.earlier == "" {
		s.earlier = launch.Build(tb, s.paths.Earlier)
	}
	s.startHearth(tb, Earlier, s.paths.Earlier, s.earlier)
}

// watch follows the stream of the admin listener, as an open dashboard does, until the
// group ends.
func (s *Servers) watch(tb testkit.TB, p *Peer) {
	ctx, stop := context.WithCancel(tb.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://admin/api/stream", nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Host = "localhost"
	resp, err := p.Instance.HTTP.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("following the stream: it is answered %s", resp.Status)
	}
	read := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, resp.Body); read <- err }()
	tb.Cleanup(func() {
		if ctx.Err() == nil && len(read) > 0 {
			tb.Errorf("the stream ended before the group: %v", <-read)
			read <- nil
		}
		stop()
		<-read
		_ = resp.Body.Close()
	})
}

// startHearth serves the demo's configuration: all that is on by default is on. root is
// where it is found, and the build that it belongs to.
func (s *Servers) startHearth(tb testkit.TB, name, root, binary string) {
	config, err := os.ReadFile(filepath.Join(root, "config.toml"))
	if err != nil {
		tb.Fatal(err)
	}
	if s.TTL { // the first such line, which counts nothing, is that of the batch
		config = bytes.Replace(config, []byte("\n#ttl = "), []byte("\nttl = "), 1)
	}
	env := []string{"GOMAXPROCS=1", "HEARTH_SERVER_DRAIN=0s", "HEARTH_REDIS_URL=" + s.Redis.URL()}
	if s.Memory > 0 {
		env = append(env, fmt.Sprintf("HEARTH_MEMORY_BUDGET=%dMiB", s.Memory>>20))
	}
	p := s.newPeer(tb, name)
	p.Instance = launch.Program{
		Path: binary, Config: string(config), Public: launch.Port, Admin: launch.Port, CPUs: s.CPUs, Env: env,
	}.Ready(tb)
	p.Process, p.Addr = p.Instance.Process(), p.Instance.Public
	s.Peers = append(s.Peers, p)
	s.AwaitRight(tb, p, startWithin)
	if s.Pattern == Unchanged {
		conn, err := p.ask(http.MethodGet, p.First(), "")
		if err != nil {
			tb.Fatal(err)
		}
		p.Tag = string(conn.Answer.Header.Peek("ETag"))
		s.AwaitRight(tb, p, startWithin)
	}
}

// render writes one of our templates into a new directory.
func render(tb testkit.TB, name, dir string, data any) (path string) {
	var b strings.Builder
	t, err := template.ParseFS(files, name)
	if err == nil {
		err = t.Execute(&b, data)
	}
	if err == nil {
		err = os.Mkdir(dir, 0o755) // nginx's worker is another user when root starts it
	}
	path = filepath.Join(dir, name)
	if err == nil {
		err = os.WriteFile(path, []byte(b.String()), 0o644)
	}
	if err != nil {
		tb.Fatalf("writing %s: %v", name, err)
	}
	return path
}
