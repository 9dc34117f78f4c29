package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file or a directory of an archive or of an image's layer.
type entry struct {
	name  string // a directory's ends in a slash
	mode  int64
	owner int // number of user and group
	from  string
	text  []byte // where from is empty
}

// writeTar writes entries in the order of their names, all of one time.
func writeTar(w io.Writer, when time.Time, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	out := tar.NewWriter(w)
	for _, e := range entries {
		header := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, ModTime: when, Format: tar.FormatUSTAR,
		}
		if strings.HasSuffix(e.name, "/") {
			header.Typeflag = tar.TypeDir
		} else if e.from != "" {
			text, err := os.ReadFile(e.from)
			if err != nil {
				return err
			}
			e.text = text
		}
		header.Size = int64(len(e.text))
		if err := out.WriteHeader(header); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
		if _, err := out.Write(e.text); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	return out.Close()
}

// shipped are the files of the tree that an archive holds, by their paths in both:
// patterns, each of which must match.
var shipped = []string{
	"README.md", "LICENSE", "CHANGELOG.md", "config.toml", "config.schema.json", "docs/*.md", "deploy/config.toml", "deploy/*.service", "deploy/*.socket",
	"deploy/hearth.service.d/*.conf", "deploy/*.conf", "deploy/*.cfg", "deploy/*.yml", "deploy/*.json", "deploy/man/*", "deploy/completions/*",
	"examples/README.md", "examples/stage", "examples/*/*", "bench/recipe/app.py",
}

// modeOf is the mode of a file of the tree in what is shipped: of the machine's modes only
// counts whether it is run, as in git.
func modeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.Mode()&0o100 != 0 {
		return 0o755, nil
	}
	return 0o644, nil
}

// archive builds the tar.gz for a platform.
func (r *release) archive(p platform, program string) error {
	name := fmt.Sprintf("hearth_%s_%s_%s", r.number, p.system, p.architecture)
	top := name + "/"
	entries := []entry{
		{name: top, mode: 0o755},
		{name: top + "hearth", mode: 0o755, from: program},
		{name: top + "LIBRARIES", mode: 0o644, text: r.notices},
	}
	seen := map[string]bool{".": true}
	for _, pattern := range shipped {
		found, err := filepath.Glob(filepath.Join(r.root, pattern))
		if err != nil || len(found) == 0 {
			return errors.Join(err, fmt.Errorf("nothing is %q", pattern))
		}
		for _, from := range found {
			inside, err := filepath.Rel(r.root, from)
			if err != nil {
				return err
			}
			inside = filepath.ToSlash(inside)
			for dir := path.Dir(inside); !seen[dir]; dir = path.Dir(dir) {
				seen[dir] = true
				entries = append(entries, entry{name: top + dir + "/", mode: 0o755})
			}
			mode, err := modeOf(from)
			if err != nil {
				return err
			}
			entries = append(entries, entry{name: top + inside, mode: mode, from: from})
		}
	}
	return r.write(name+".tar.gz", func(w io.Writer) error {
		level := gzip.BestCompression
		if r.fast {
			level = gzip.BestSpeed
		}
		zipped, err := gzip.NewWriterLevel(w, level) // its header has no time and no name
		if err != nil {
			return err
		}
		return errors.Join(writeTar(zipped, r.when, entries), zipped.Close())
	})
}

// tarred is writeTar into memory.
func tarred(when time.Time, entries []entry) ([]byte, error) {
	var b bytes.Buffer
	err := writeTar(&b, when, entries)
	return b.Bytes(), err
}
