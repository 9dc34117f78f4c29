package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image reads the image back.
func image(tb testing.TB) (v1.Image, *v1.ConfigFile) {
	tb.Helper()
	img, err := tarball.ImageFromPath(filepath.Join(built(tb), "hearth_1.0.0_image_amd64.tar"), nil)
	must(tb, err)
	config, err := img.ConfigFile()
	must(tb, err)
	return img, config
}

// TestImageSaysHowItIsRun checks what an orchestrator reads.
func TestImageSaysHowItIsRun(t *testing.T) {
	_, file := image(t)
	c := file.Config
	if file.OS != "linux" || file.Architecture != "amd64" || c.User != "65532:65532" || c.WorkingDir != "/etc/hearth" || c.StopSignal != "SIGTERM" ||
		!slices.Equal(c.Entrypoint, []string{"/hearth"}) || len(c.Cmd) > 0 {
		t.Errorf("the image says %+v", file)
	}
	if _, ok := c.ExposedPorts["8080/tcp"]; !ok || len(c.ExposedPorts) != 1 {
		t.Errorf("exposed ports are %v", c.ExposedPorts)
	}
	if h := c.Healthcheck; h == nil || !slices.Equal(h.Test, []string{"CMD", "/hearth", "probe"}) || h.Timeout <= 0 || h.Interval <= 0 {
		t.Errorf("the health check is %+v", h)
	}
	if got := c.Labels["org.opencontainers.image.version"]; got != version {
		t.Errorf("the label of the version is %q, want %q", got, version)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) {
		return os.Open(filepath.Join(shared, "hearth_1.0.0_image_amd64.tar"))
	})
	if err != nil || len(manifest) != 1 || !slices.Equal(manifest[0].RepoTags, []string{"hearth:1.0.0"}) {
		t.Errorf("the image's tags are %+v, %v", manifest, err)
	}
}

// unpackImage unpacks the layers, one over the other, below a directory. Links would
// be a surprise, so there is no code for them.
func unpackImage(tb testing.TB, img v1.Image) string {
	tb.Helper()
	root := tb.TempDir()
	must(tb, os.Chmod(root, 0o755))
	layers, err := img.Layers()
	must(tb, err)
	for _, layer := range layers {
		r, err := layer.Uncompressed()
		must(tb, err)
		in := tar.NewReader(r)
		for {
			header, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(tb, err)
			path, mode := filepath.Join(root, header.Name), header.FileInfo().Mode()
			switch header.Typeflag {
			case tar.TypeDir:
				must(tb, os.MkdirAll(path, 0o755))
			case tar.TypeReg:
				text, err := io.ReadAll(in)
				must(tb, err)
				must(tb, os.WriteFile(path, text, 0o600))
			default:
				tb.Fatalf("%s is of type %c", header.Name, header.Typeflag)
			}
			must(tb, os.Chown(path, header.Uid, header.Gid))
			must(tb, os.Chmod(path, mode))
		}
		must(tb, r.Close())
	}
	return root
}

// TestImageRuns runs what is in the layers as a container would: as the image's user,
// with nothing but them, from the image's working directory. The listeners are sockets
// below the volume, so that no port is taken.
func TestImageRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal(`changing the root directory takes root: run sudo env "PATH=$PATH" go test`)
	}
	img, file := image(t)
	root := unpackImage(t, img)
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(file.Config.Entrypoint[0], args...)
		cmd.Dir = file.Config.WorkingDir
		cmd.Env = append(file.Config.Env, "HEARTH_SERVER_LISTEN=unix:/var/lib/hearth/http", "HEARTH_SERVER_ADMIN=unix:/var/lib/hearth/admin", "HEARTH_SERVER_DRAIN=0s")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL,
		}
		return cmd
	}
	if out, err := inside("version").CombinedOutput(); err != nil || string(out) != "hearth "+version+"\n" {
		t.Fatalf("it says %q, %v", out, err)
	}
	if out, err := inside("check").CombinedOutput(); err != nil {
		t.Fatalf("its configuration is faulty: %v\n%s", err, out)
	}
	if out, err := inside("probe").CombinedOutput(); err == nil {
		t.Errorf("while nothing runs the probe succeeds: %s", out)
	}
	server := inside()
	var log strings.Builder
	server.Stdout, server.Stderr = &log, &log
	must(t, server.Start())
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	if err := healthy(filepath.Join(root, "var/lib/hearth/http"), ended); err != nil {
		_ = server.Process.Kill()
		t.Fatalf("it does not serve: %v\n%s", err, log.String())
	}
	if out, err := inside(file.Config.Healthcheck.Test[2:]...).CombinedOutput(); err != nil {
		t.Errorf("while it serves the probe says %v: %s", err, out)
	}
	must(t, server.Process.Signal(syscall.SIGTERM))
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v\n%s", err, log.String())
	}
}

// healthy waits until a server on a socket says that it is, for a minute at most, or
// until it has ended.
func healthy(socket string, ended <-chan error) error {
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	deadline := time.After(time.Minute)
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for {
		resp, err := client.Get("http://hearth/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("/healthz says %d", resp.StatusCode)
		}
		select {
		case <-ticks.C:
		case err := <-ended:
			return fmt.Errorf("it has ended: %v", err)
		case <-deadline:
			return err
		}
	}
}

// TestImageHasRoots checks that the authorities are there, and only whole ones.
func TestImageHasRoots(t *testing.T) {
	if got := strings.Count(string(roots()), "BEGIN CERTIFICATE"); got < 100 {
		t.Errorf("the image has %d authorities", got)
	}
}
