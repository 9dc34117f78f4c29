package main

import (
	"bytes"
	"context"
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

	"hearth/bench/process"
)

const (
	stopWithin = 10 * time.Second
)

//go:embed load.lua nginx.conf webdis.json
var files embed.FS

// peer is a running server under load.
type peer struct {
	name  string
	proc  *process.Process
	addr  string // host:port
	path  string // of a request; * stands for the record's number
	body  string // the right answer for record 1
	admin string // host:port of Hearth's metrics, "" for others
}

func (p *peer) url(path string) string { return "http://" + p.addr + path }

// cast is what one group runs on: a Redis, and the servers that ask it.
type cast struct {
	group
	cpus   cpus
	root   string // of the repository
	dir    string // for files of this group
	hearth string // path of the binary
	redis  *process.Redis
	peers  []*peer
}

// cpus are the processors of the servers, and of the load and Redis; or process.AnyCPU.
type cpus struct{ server, load int }

// end stops all servers, the last one first. One that has ended before was missed
// when it was asked something, and reported then.
func (c *cast) end() {
	for i := len(c.peers) - 1; i >= 0; i-- {
		_ = c.peers[i].proc.Stop(stopWithin)
	}
	if c.redis != nil {
		_ = c.redis.Stop(stopWithin)
	}
}

func (c *cast) startRedis(ctx context.Context) (err error) {
	if c.redis, err = process.StartRedis(ctx, c.dir, c.cpus.load); err != nil {
		return err
	}
	conn, err := c.redis.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return fill(conn, c.load.keys)
}

// starters start the peers that rows name.
func (c *cast) starter(name string) func(context.Context) error {
	return map[string]func(context.Context) error{
		"hearth": c.startHearth,
		"bare":   c.startBare,
		"nginx":  func(ctx context.Context) error { return c.startNginx(ctx, "nginx") },
		"lua":    func(ctx context.Context) error { return c.startNginx(ctx, "lua") },
		"webdis": c.startWebdis,
		"recipe": c.startRecipe,
	}[name]
}

// launch starts a peer and waits until it gives the right answer.
func (c *cast) launch(ctx context.Context, p *peer, cmd process.Command) error {
	cmd.Name, cmd.Logs, cmd.CPU = p.name, c.dir, c.cpus.server
	// Not SIGKILL: a killed nginx would leave its worker behind.
	cmd.Last = syscall.SIGTERM
	if cmd.Dir == "" {
		cmd.Dir = c.dir
	}
	var err error
	if p.proc, err = process.Start(cmd); err != nil {
		return err
	}
	c.peers = append(c.peers, p)
	return p.proc.Await(ctx, func() error { return c.verify(ctx, p) })
}

// newPeer reserves a port. The path and body are those of the recipe.
func (c *cast) newPeer(name string) (*peer, error) {
	addr, err := process.FreeAddr()
	p := &peer{
		name: name, addr: addr,
		path: "/user/*", body: `{"user":` + record(1) + `,"source":"cache"}`,
	}
	if c.load.kind == "batch" {
		p.path = "/batch_process"
	}
	return p, err
}

// startHearth serves the demo's configuration: all that is on by default is on.
func (c *cast) startHearth(ctx context.Context) error {
	p, err := c.newPeer("hearth")
	if err != nil {
		return err
	}
	if p.admin, err = process.FreeAddr(); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(c.root, "config.toml"))
	if err != nil {
		return err
	}
	if c.ttl { // the file ends with the resource of the items
		config = append(config, "\nttl = { cold = \"1h\" }\n"...)
	}
	file := filepath.Join(c.dir, "hearth.toml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	env := append([]string{
		"GOMAXPROCS=1",
		"HEARTH_SERVER_LISTEN=" + p.addr, "HEARTH_SERVER_ADMIN=" + p.admin, "HEARTH_SERVER_DRAIN=0s",
		"HEARTH_REDIS_URL=redis://" + c.redis.Addr,
	}, c.config...)
	return c.launch(ctx, p, process.Command{Env: env, Argv: []string{c.hearth, "-config", file}})
}

// startBare starts this program once more, to repeat what Hearth answers.
func (c *cast) startBare(ctx context.Context) error {
	p, err := c.newPeer("bare")
	if err != nil {
		return err
	}
	r, err := c.referenceOf(ctx, c.peers[0])
	if err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "answer.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return c.launch(ctx, p, process.Command{Env: []string{"GOMAXPROCS=1"}, Argv: []string{self, "bare", p.addr, file}})
}

// startNginx starts nginx with a constant answer, or one from a shared dictionary.
func (c *cast) startNginx(ctx context.Context, name string) error {
	bin, err := process.Find("nginx", "nginx-light")
	if err != nil {
		return err
	}
	p, err := c.newPeer(name)
	if err != nil {
		return err
	}
	var modules []string
	if name == "lua" {
		for _, module := range []string{"ndk_http_module.so", "ngx_http_lua_module.so"} {
			path := filepath.Join("/usr/lib/nginx/modules", module)
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("looking for nginx's Lua: %w; apt-get install libnginx-mod-http-lua", err)
			}
			modules = append(modules, path)
		}
	}
	dir := filepath.Join(c.dir, name)
	file, err := c.render("nginx.conf", dir, struct {
		Modules         []string
		Dir, Addr, Body string
	}{modules, dir, p.addr, p.body})
	if err != nil {
		return err
	}
	return c.launch(ctx, p, process.Command{Argv: []string{bin, "-p", dir, "-e", "stderr", "-c", file}})
}

func (c *cast) startWebdis(ctx context.Context) error {
	bin, err := process.Find("webdis", "webdis")
	if err != nil {
		return err
	}
	p, err := c.newPeer("webdis")
	if err != nil {
		return err
	}
	// .txt is the value as it is; without it the JSON would come quoted in JSON.
	p.path, p.body = "/GET/user:*.txt", record(1)
	_, port, _ := strings.Cut(p.addr, ":")
	_, redisPort, _ := strings.Cut(c.redis.Addr, ":")
	dir := filepath.Join(c.dir, "webdis")
	file, err := c.render("webdis.json", dir, struct {
		RedisPort, Port, Dir string
	}{redisPort, port, dir})
	if err != nil {
		return err
	}
	return c.launch(ctx, p, process.Command{Argv: []string{bin, file}})
}

// startRecipe runs the recipe with one worker and no access log. uvicorn takes
// uvloop and httptools by itself where they are installed.
func (c *cast) startRecipe(ctx context.Context) error {
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(ctx, python, "-c", "import fastapi, uvicorn, redis.asyncio").CombinedOutput(); err != nil {
		return fmt.Errorf("importing what the recipe needs: %w: %s; apt-get install python3-fastapi python3-uvicorn python3-redis", err, out)
	}
	p, err := c.newPeer("recipe")
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(p.addr, ":")
	env := []string{"PYTHONDONTWRITEBYTECODE=1", "REDIS_URL=redis://" + c.redis.Addr}
	if c.ttl {
		env = append(env, fmt.Sprint("ITEM_TTL=", expiry))
	}
	return c.launch(ctx, p, process.Command{
		Dir: filepath.Join(c.root, "bench", "recipe"), Env: env,
		Argv: []string{python, "-m", "uvicorn", "app:app", "--port", port, "--no-access-log", "--log-level", "warning"},
	})
}

// render writes one of our templates into a new directory.
func (c *cast) render(name, dir string, data any) (path string, err error) {
	t, err := template.ParseFS(files, name)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	// nginx's worker is another user when root starts it.
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	return path, os.WriteFile(path, b.Bytes(), 0o644)
}
