package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"hearth/internal/testkit"
	"hearth/internal/testkit/launch"
)

// TestStartAtATerminalSaysWhatIsServed: somebody at a terminal sees where all is, by the
// addresses of the sockets and without a secret, and the log follows as ever. What is no
// terminal gets the log alone.
func TestStartAtATerminalSaysWhatIsServed(t *testing.T) {
	t.Parallel()
	config := launch.Demo(t) + "\n[[auth.token]]\nname = \"w\"\nscopes = [\"write\"]\ntoken = \"0123456789-secret\"\n"
	public, admin := testkit.FreePort(t), testkit.FreePort(t)
	env := []string{
		"TERM=xterm", "NO_COLOR=", fmt.Sprintf("HEARTH_SERVER_LISTEN=127.0.0.1:%d", public), fmt.Sprintf("HEARTH_SERVER_ADMIN=127.0.0.1:%d", admin),
		"HEARTH_REDIS_URL=" + strings.Replace(testkit.Redis(t).URL(), "://", "://default:0123456789-secret@", 1),
	}
	ours, terminal := openTerminal(t)
	seen := startedAt(t, config, env, terminal, ours)
	banner, log, found := strings.Cut(strings.ReplaceAll(seen, "\r\n", "\n"), "\n\ntime=")
	if !found || !strings.Contains(log, "msg=serving") {
		t.Fatalf("the terminal shows no banner before the log:\n%s", seen)
	}
	for _, want := range []string{
		"\x1b[1mHearth ", fmt.Sprintf("http://127.0.0.1:%d, write tokens\n", public), fmt.Sprintf("http://127.0.0.1:%d/docs\n", public), fmt.Sprintf("http://127.0.0.1:%d/\n", admin),
		"Redis at ", "/user/{user_id} ", "sqlite:", "/item/{id} ", "batches of item", fmt.Sprintf("curl -i http://127.0.0.1:%d/user/1\n", public), "explain /user/1",
	} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner lacks %q:\n%s", want, banner)
		}
	}
	if strings.Contains(seen, "secret") {
		t.Errorf("the terminal shows a secret:\n%s", seen)
	}
	r, w, err := os.Pipe()
	must(t, err)
	if piped := startedAt(t, config, env, w, r); strings.Contains(piped, "/docs") || !strings.HasPrefix(piped, "time=") {
		t.Errorf("a pipe gets more than the log:\n%s", piped)
	}
}

// openTerminal is a new terminal, with the end that a person sits at first.
func openTerminal(t *testing.T) (ours, terminal *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	return os.NewFile(uintptr(fd), "/dev/ptmx"), terminal
}

// startedAt starts the program with its standard error at one end, stops it once it serves, and
// returns all that came out at the other.
func startedAt(t *testing.T, config string, env []string, its, ours *os.File) string {
	t.Helper()
	dir := testkit.TempDir(t, "banner")
	file := filepath.Join(dir, "config.toml")
	write(t, file, config)
	cmd := exec.CommandContext(t.Context(), launch.Name, "-config", file)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), its
	must(t, cmd.Start())
	must(t, its.Close())
	text, whole := watch(ours)
	await(t, "the log says that it serves", func() bool { return strings.Contains(text(), "msg=serving") })
	must(t, cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v:\n%s", err, text())
	}
	whole()
	must(t, ours.Close())
	return text()
}

// watch reads what comes out at an end: text is that so far, and whole waits until nobody has the
// other end open.
func watch(ours *os.File) (text func() string, whole func()) {
	var mu sync.Mutex
	var seen bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() {
		part := make([]byte, 4096)
		for {
			n, err := ours.Read(part)
			mu.Lock()
			seen.Write(part[:n])
			mu.Unlock()
			if err != nil {
				return // EIO is how a terminal says that nobody has it open
			}
		}
	})
	text = func() string {
		mu.Lock()
		defer mu.Unlock()
		return seen.String()
	}
	return text, reading.Wait
}
