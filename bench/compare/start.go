package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

//go:embed load.lua nginx.conf webdis.json
var files embed.FS

// startServers starts a group's Redis and Hearth.
func startServers(tb testkit.TB, g group, hearth, root string) *servers {
	c := &servers{group: g, hearth: hearth, root: root, dir: testkit.TempDir(tb, g.name)}
	if err := os.Chmod(c.dir, 0o755); err != nil { // nginx's worker is another user
		tb.Fatal(err)
	}
	if cpus := testkit.Processors(2); cpus != nil {
		c.cpus, c.loadCPUs = cpus[:1], cpus[1:]
	}
	c.redis = testkit.Redis(tb, testkit.WithCPUs(c.loadCPUs))
	fill(tb, c.redis.AdminConn(), c.load.keys)
	c.startHearth(tb)
	return c
}

// starter starts the peer that a row names.
func (c *servers) starter(name string) func(tb testkit.TB) {
	return map[string]func(testkit.TB){
		"bare":   c.startBare,
		"nginx":  func(tb testkit.TB) { c.startNginx(tb, "nginx") },
		"lua":    func(tb testkit.TB) { c.startNginx(tb, "lua") },
		"webdis": c.startWebdis,
		"recipe": c.startRecipe,
	}[name]
}

// start starts a peer and waits until it gives the right answer.
func (c *servers) start(tb testkit.TB, p *peer, cmd testkit.Command) {
	// Not SIGKILL: a killed nginx would leave its worker behind.
	cmd.Name, cmd.CPUs, cmd.DeathSignal = p.name, c.cpus, syscall.SIGTERM
	if cmd.Dir == "" {
		cmd.Dir = c.dir
	}
	p.Process = testkit.Start(tb, cmd)
	c.peers = append(c.peers, p)
	c.awaitRight(tb, p, 30*time.Second)
}

// newPeer reserves a port. The path and body are those of the recipe.
func (c *servers) newPeer(tb testkit.TB, name string) *peer {
	p := &peer{name: name, path: "/user/*", body: `{"user":` + record(1) + `,"source":"cache"}`}
	if c.load.pattern == "batch" {
		p.path = "/batch_process"
	}
	if name != "hearth" {
		p.addr = fmt.Sprintf("127.0.0.1:%d", testkit.FreePort(tb))
	}
	return p
}

// startHearth serves the demo's configuration: all that is on by default is on.
func (c *servers) startHearth(tb testkit.TB) {
	config, err := os.ReadFile(filepath.Join(c.root, "config.toml"))
	if err != nil {
		tb.Fatal(err)
	}
	if c.ttl { // the line of the batch's ttl counts
		config = bytes.Replace(config, []byte("\n#ttl = "), []byte("\nttl = "), 1)
	}
	p := c.newPeer(tb, "hearth")
	p.instance = launch.Program{
		Path: c.hearth, Config: string(config), Public: launch.Port, Admin: launch.Port, CPUs: c.cpus,
		Env: append([]string{"GOMAXPROCS=1", "HEARTH_SERVER_DRAIN=0s", "HEARTH_REDIS_URL=" + c.redis.URL()}, c.config...),
	}.Ready(tb)
	p.Process, p.addr = p.instance.Process(), p.instance.Public
	c.peers = append(c.peers, p)
	c.awaitRight(tb, p, 30*time.Second)
}

// startBare starts this program once more, to repeat what Hearth answers.
func (c *servers) startBare(tb testkit.TB) {
	text, err := json.Marshal(c.reference(tb, c.peers[0]))
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(c.dir, "answer.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	p := c.newPeer(tb, "bare")
	c.start(tb, p, testkit.Command{Env: []string{"GOMAXPROCS=1"}, Argv: []string{self, "bare", p.addr, file}})
}

// startNginx starts nginx with a constant answer, or one from a shared dictionary.
func (c *servers) startNginx(tb testkit.TB, name string) {
	var modules []string
	if name == "lua" {
		for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
			path := filepath.Join("/usr/lib/nginx/modules", module)
			if _, err := os.Stat(path); err != nil {
				tb.Fatalf("looking for nginx's Lua: %v; apt-get install libnginx-mod-http-lua", err)
			}
			modules = append(modules, path)
		}
	}
	p, dir := c.newPeer(tb, name), filepath.Join(c.dir, name)
	file := render(tb, "nginx.conf", dir, struct {
		Modules         []string
		Dir, Addr, Body string
	}{modules, dir, p.addr, p.body})
	c.start(tb, p, testkit.Command{Argv: []string{testkit.NeedNginx(tb), "-p", dir, "-e", "stderr", "-c", file}})
}

func (c *servers) startWebdis(tb testkit.TB) {
	p, dir := c.newPeer(tb, "webdis"), filepath.Join(c.dir, "webdis")
	// .txt is the value as it is; without it the JSON would come quoted in JSON.
	p.path, p.body = "/GET/user:*.txt", record(1)
	_, port, _ := strings.Cut(p.addr, ":")
	file := render(tb, "webdis.json", dir, struct {
		RedisPort int
		Port, Dir string
	}{c.redis.Port(), port, dir})
	c.start(tb, p, testkit.Command{Argv: []string{testkit.Need(tb, "webdis", []string{"webdis"}), file}})
}

// startRecipe runs the recipe with one worker and no access log. uvicorn takes
// uvloop and httptools by itself where they are installed.
func (c *servers) startRecipe(tb testkit.TB) {
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(tb.Context(), python, "-c", "import fastapi, uvicorn, redis.asyncio").CombinedOutput(); err != nil {
		tb.Fatalf("importing what the recipe needs: %v: %s; apt-get install python3-fastapi python3-uvicorn python3-redis", err, out)
	}
	p := c.newPeer(tb, "recipe")
	_, port, _ := strings.Cut(p.addr, ":")
	env := []string{"PYTHONDONTWRITEBYTECODE=1", "REDIS_URL=" + c.redis.URL()}
	if c.ttl {
		env = append(env, fmt.Sprint("ITEM_TTL=", expiry))
	}
	c.start(tb, p, testkit.Command{Env: env, Argv: []string{
		python, "-m", "uvicorn", "app:app", "--app-dir", filepath.Join(c.root, "bench", "recipe"), "--port", port, "--no-access-log", "--log-level", "warning",
	}})
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
