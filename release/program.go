package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// platform is a system and an architecture, as Go names them.
type platform struct{ system, architecture string }

func (p platform) String() string { return p.system + "/" + p.architecture }

// tool returns the go command.
func tool() string { return cmp.Or(os.Getenv("GO"), "go") }

// sameGo checks that the Go that builds is the one that release/go-version names: another
// one gives other bytes.
func sameGo(root string) error {
	text, err := os.ReadFile(filepath.Join(root, "release/go-version"))
	if err != nil {
		return err
	}
	out, err := command(root, tool(), "env", "GOVERSION")
	if err != nil {
		return err
	}
	if got, want := strings.TrimSpace(string(out)), "go"+strings.TrimSpace(string(text)); got != want {
		return fmt.Errorf("%s builds other bytes than %s, which release/go-version names: use that one, or change the file", got, want)
	}
	return nil
}

// compile builds the program for a platform and returns its path. Whatever the
// environment says of how Go builds is overruled.
func (r *release) compile(p platform) (string, error) {
	path := filepath.Join(r.work, p.system, p.architecture, "hearth")
	env := []string{
		"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0",
		"GOOS=" + p.system, "GOARCH=" + p.architecture,
	}
	_, err := commandWith(env, r.root, tool(), "build", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X main.version="+r.version, "-o", path, ".")
	return path, err
}

// notices returns the licences of all modules that are linked into the program on
// any platform, and of Go.
func notices(root string) ([]byte, error) {
	var modules []string
	for _, system := range []string{"linux", "darwin"} {
		out, err := commandWith([]string{"GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS=" + system, "GOARCH=amd64"}, root, tool(), "list", "-deps",
			"-f", "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}", ".")
		if err != nil {
			return nil, err
		}
		modules = append(modules, strings.Fields(strings.ReplaceAll(string(out), " ", "@"))...)
	}
	// Two words each: path@version and its directory.
	byName := map[string]string{}
	for pair := range slices.Chunk(modules, 2) {
		byName[pair[0]] = pair[1]
	}
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	var all bytes.Buffer
	for _, name := range names {
		fmt.Fprintf(&all, "==== %s\n\n", strings.Replace(name, "@", " ", 1))
		for _, pattern := range []string{"LICENSE*", "COPYING*", "NOTICE*"} {
			found, err := filepath.Glob(filepath.Join(byName[name], pattern))
			if err != nil {
				return nil, err
			}
			for _, path := range found {
				if err := appendFile(&all, path); err != nil {
					return nil, err
				}
			}
		}
		all.WriteByte('\n')
	}
	goroot, err := command(root, tool(), "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	all.WriteString("==== the Go standard library and runtime\n\n")
	err = appendFile(&all, filepath.Join(strings.TrimSpace(string(goroot)), "LICENSE"))
	return all.Bytes(), err
}

// appendFile appends a file's text; a directory has none.
func appendFile(all *bytes.Buffer, path string) error {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return err
	}
	text, err := os.ReadFile(path)
	all.Write(text)
	return err
}
