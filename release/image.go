package main

import (
	"bytes"
	"compress/gzip"
	"encoding/pem"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is the number that the program has in a container. It is no user of any
// distribution, and a number tells an orchestrator that it is not root.
const nobody = 65532

// image builds an image from scratch: the program, its configuration, and the roots
// that TLS to databases and origins needs. It is in the form of `docker save`, since
// docker, podman, containerd and skopeo all read that, and it keeps the health check,
// which the manifests of OCI have no place for.
func (r *release) image(p platform, program string) error {
	base, err := r.layer([]entry{
		{name: "etc/", mode: 0o755}, {name: "etc/ssl/", mode: 0o755}, {name: "etc/ssl/certs/", mode: 0o755}, {name: "etc/hearth/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, text: fmt.Appendf(nil, "hearth:x:%d:%d:Hearth:/var/lib/hearth:/\n", nobody, nobody)},
		{name: "etc/group", mode: 0o644, text: fmt.Appendf(nil, "hearth:x:%d:\n", nobody)},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, text: roots()},
		{name: "etc/hearth/config.toml", mode: 0o644, from: filepath.Join(r.root, "deploy/image.toml")},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755}, {name: "var/lib/", mode: 0o755}, {name: "var/lib/hearth/", mode: 0o700, owner: nobody},
	})
	if err != nil {
		return err
	}
	top, err := r.layer([]entry{
		{name: "hearth", mode: 0o755, from: program},
		{name: "LICENSE", mode: 0o644, from: filepath.Join(r.root, "LICENSE")},
		{name: "LIBRARIES", mode: 0o644, text: r.notices},
	})
	if err != nil {
		return err
	}
	img, err := mutate.ConfigFile(empty.Image, r.settings(p))
	if err != nil {
		return err
	}
	if img, err = mutate.Append(img, mutate.Addendum{Layer: base, History: r.history("certificates and configuration")},
		mutate.Addendum{Layer: top, History: r.history("the program")}); err != nil {
		return err
	}
	// Tags know no plus and no tilde.
	label := bytes.ReplaceAll(bytes.ReplaceAll([]byte(r.number), []byte("+"), []byte("-")), []byte("~"), []byte("-"))
	tag, err := name.NewTag("hearth:" + string(label))
	if err != nil {
		return err
	}
	return r.write(fmt.Sprintf("hearth_%s_image_%s.tar", r.number, p.architecture), func(w io.Writer) error {
		return tarball.Write(tag, img, w)
	})
}

// settings are what the image says of how it is run. The program finds
// /etc/hearth/config.toml by its working directory, so that every verb does, too:
// `docker run hearth check`, `docker exec NAME /hearth explain /user/7`.
func (r *release) settings(p platform) *v1.ConfigFile {
	labels := map[string]string{
		"org.opencontainers.image.title":       "hearth",
		"org.opencontainers.image.description": "coherent read cache for JSON over HTTP",
		"org.opencontainers.image.version":     r.version,
		"org.opencontainers.image.licenses":    "MIT",
		"org.opencontainers.image.created":     r.when.Format(time.RFC3339),
	}
	if r.commit != "" {
		labels["org.opencontainers.image.revision"] = r.commit
	}
	return &v1.ConfigFile{
		Architecture: p.architecture, OS: p.system, Created: v1.Time{Time: r.when}, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			User: fmt.Sprintf("%d:%d", nobody, nobody), WorkingDir: "/etc/hearth", Entrypoint: []string{"/hearth"},
			ExposedPorts: map[string]struct{}{"8080/tcp": {}}, Volumes: map[string]struct{}{"/var/lib/hearth": {}},
			Healthcheck: &v1.HealthConfig{
				Test: []string{"CMD", "/hearth", "probe"}, Interval: 10 * time.Second, Timeout: 5 * time.Second,
				StartPeriod: 30 * time.Second, Retries: 3,
			},
			StopSignal: "SIGTERM", Labels: labels,
		},
	}
}

func (r *release) history(what string) v1.History {
	return v1.History{Created: v1.Time{Time: r.when}, CreatedBy: "make release", Comment: what}
}

// layer makes a layer of an image.
func (r *release) layer(entries []entry) (v1.Layer, error) {
	text, err := tarred(r.when, entries)
	if err != nil {
		return nil, err
	}
	level := gzip.BestCompression
	if r.fast {
		level = gzip.BestSpeed
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
		tarball.WithCompressionLevel(level), tarball.WithCompressedCaching)
}

// roots are the authorities that Mozilla trusts, from a module whose sum is in go.sum:
// the machine's own would differ from machine to machine. Those that are trusted for a
// part only are left out, since a file of certificates cannot say so.
func roots() []byte {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return b.Bytes()
}
