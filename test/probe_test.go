package test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// probes checks what hearth probe says of an instance: want is a part of its words, "" for
// none and the exit status 0.
func probes(t *testing.T, in *launch.Instance, want string, args ...string) {
	t.Helper()
	hearth, err := exec.LookPath(launch.Name)
	must(t, err)
	cmd := exec.Command(hearth, append([]string{"probe", "-config", in.File}, args...)...)
	cmd.Env = append(os.Environ(), "HEARTH_SERVER_LISTEN="+in.Public, "HEARTH_SERVER_ADMIN="+in.Admin)
	out, err := cmd.CombinedOutput()
	status := 0
	if ended, ok := errors.AsType[*exec.ExitError](err); ok {
		status, err = ended.ExitCode(), nil
	}
	must(t, err)
	if healthy := want == ""; healthy && (status != 0 || len(out) > 0) || !healthy && (status != 1 || !strings.Contains(string(out), want)) {
		t.Errorf("hearth probe %q: %d, %q; want %q", args, status, out, want)
	}
}

// TestProbe asks servers on every kind of listener, in every state.
func TestProbe(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	in := launch.Program{
		Config: "[server]\ndrain = \"10m\"\n" + demoUsers, Admin: launch.Port, Env: []string{"HEARTH_REDIS_URL=" + redis.URL()},
	}.Ready(t)
	for _, args := range [][]string{{}, {"-live"}, {"-ready"}, {"-ready", "-address", in.Admin}, {"-address", in.Public, "-timeout", "5s"}} {
		probes(t, in, "", args...)
	}
	probes(t, in, "404", "-ready", "-address", in.Public) // which has no /readyz
	probes(t, in, "", "-config", "nowhere.toml", "-address", in.Public)
	probes(t, in, "nowhere.toml: there is no such file", "-config", "nowhere.toml")
	redis.Kill()
	await(t, "the server notices", func() bool { return in.AskAdmin("GET", "/readyz", "").Code == 503 })
	probes(t, in, "")
	probes(t, in, `for /readyz: 503 {"status":"not ready"`, "-ready")
	in.Signal(syscall.SIGTERM)
	await(t, "the server drains", func() bool { return in.Get("/healthz").Code == 503 })
	probes(t, in, `for /healthz: 503 {"status":"draining"}`)
	probes(t, in, "", "-live")
	in.Kill()
	probes(t, in, "(HEARTH_SERVER_LISTEN) for /healthz") // which the program is started with
	probes(t, in, "connection refused", "-live")
}

// TestProbeOverTLSAndThePROXYProtocol: as the configuration says.
func TestProbeOverTLSAndThePROXYProtocol(t *testing.T) {
	if !testkit.Long() {
		return // make prove has it: it mostly waits
	}
	t.Parallel()
	probes(t, startSecured(t, nil).Instance, "")
	mutual := startSecured(t, testkit.NewAuthority(t, "clients"))
	probes(t, mutual.Instance, "take -live or -ready")
	probes(t, mutual.Instance, "", "-ready")
	for _, trusted := range []string{"", `"127.0.0.0/8"`, `"10.0.0.0/8"`} {
		config := fmt.Sprintf("[server]\nproxy_protocol = true\ntrusted_proxies = [%s]\n", trusted)
		for _, public := range []string{launch.Port, launch.Socket} {
			probes(t, launch.Program{Config: config, Public: public, Here: true}.Ready(t), "")
		}
	}
}

// TestProbeOfASilentServer ends with its timeout, not with the patience of who asks.
func TestProbeOfASilentServer(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	in := &launch.Instance{File: testkit.TempDir(t, "silent") + "/some.toml", Public: silent.Addr().String(), Admin: "127.0.0.1:1"}
	write(t, in.File, "")
	probes(t, in, "no answer within 50ms", "-timeout", "50ms")
}
