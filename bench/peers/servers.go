package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"hearth/internal/testkit"
)

// What is started beside Hearth and the bare handler, each with one processor and with
// what would slow it down for no purpose turned off.

// plainConnections is how many connections rueidis opens by itself; each has its own copies.
const plainConnections = 4

// startPlain starts the plain service with arguments of its own.
func (s *Servers) startPlain(tb testkit.TB, name string, args ...string) {
	p := s.newPeer(tb, name)
	args = append([]string{s.paths.Plain, "-addr", p.Addr, "-redis", s.Redis.URL()}, args...)
	if s.Memory > 0 {
		args = append(args, "-cache", strconv.Itoa(s.Memory/plainConnections))
	}
	s.start(tb, p, testkit.Command{Env: []string{"GOMAXPROCS=1"}, Argv: args})
}

// BuildPlain builds the plain service as Hearth is built, and returns the path of the
// binary, which goes with tb.
func BuildPlain(tb testkit.TB, root string) string {
	binary := filepath.Join(testkit.TempDir(tb, "plain"), "plain")
	build := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, "./bench/plain")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building the plain service in %q: %v\n%s", root, err, out)
	}
	return binary
}

// startNginx starts nginx with a constant answer, or one from a shared dictionary.
func (s *Servers) startNginx(tb testkit.TB, name string) {
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
	p, dir := s.newPeer(tb, name), filepath.Join(s.Dir, name)
	file := render(tb, "nginx.conf", dir, struct {
		Modules         []string
		Dir, Addr, Body string
	}{modules, dir, p.Addr, p.body})
	s.start(tb, p, testkit.Command{Argv: []string{testkit.NeedNginx(tb), "-p", dir, "-e", "stderr", "-c", file}})
}

// startVarnish starts Varnish in front of Hearth, which it asks once: all later answers
// are copies in its memory.
func (s *Servers) startVarnish(tb testkit.TB) {
	p, dir := s.newPeer(tb, "varnish"), filepath.Join(s.Dir, "varnish")
	host, port, _ := strings.Cut(s.Peers[0].Addr, ":")
	file := render(tb, "varnish.vcl", dir, struct{ Host, Port string }{host, port})
	s.start(tb, p, testkit.Command{Argv: []string{
		testkit.Need(tb, "varnish", []string{"varnishd"}), "-F", "-n", dir, "-a", p.Addr, "-f", file, "-s", "malloc,64m",
		"-p", "thread_pools=1", "-p", "timeout_idle=600",
	}})
}

// startWebdis starts Webdis with one thread.
func (s *Servers) startWebdis(tb testkit.TB) {
	p, dir := s.newPeer(tb, "webdis"), filepath.Join(s.Dir, "webdis")
	// .txt is the value as it is; without it the JSON would come quoted in JSON.
	p.Path, p.body = "/GET/user:*.txt", Record(1, s.Size)
	_, port, _ := strings.Cut(p.Addr, ":")
	file := render(tb, "webdis.json", dir, struct {
		RedisPort int
		Port, Dir string
	}{s.Redis.Port(), port, dir})
	s.start(tb, p, testkit.Command{Argv: []string{testkit.Need(tb, "webdis", []string{"webdis"}), file}})
}

// startRecipe runs the recipe with one worker and no access log. uvicorn takes
// uvloop and httptools by itself where they are installed.
func (s *Servers) startRecipe(tb testkit.TB) {
	const python = "/usr/bin/python3"
	if out, err := exec.CommandContext(tb.Context(), python, "-c", "import fastapi, uvicorn, redis.asyncio").CombinedOutput(); err != nil {
		tb.Fatalf("importing what the recipe needs: %v: %s; apt-get install python3-fastapi python3-uvicorn python3-redis", err, out)
	}
	p := s.newPeer(tb, "recipe")
	_, port, _ := strings.Cut(p.Addr, ":")
	env := []string{"PYTHONDONTWRITEBYTECODE=1", "REDIS_URL=" + s.Redis.URL()}
	if s.TTL {
		env = append(env, fmt.Sprint("ITEM_TTL=", expiry))
	}
	s.start(tb, p, testkit.Command{Env: env, Argv: []string{
		python, "-m", "uvicorn", "app:app", "--app-dir", filepath.Join(s.paths.Root, "bench", "recipe"), "--port", port, "--no-access-log", "--log-level", "warning",
	}})
}
