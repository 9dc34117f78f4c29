package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	packed "github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// description is where both packages are described.
const description = "deploy/package.yaml"

// maintainer is who builds the packages. Who builds them for others says so with
// DEBFULLNAME and DEBEMAIL, as for Debian's own tools.
func maintainer() string {
	return fmt.Sprintf("%s <%s>", cmp.Or(os.Getenv("DEBFULLNAME"), "The Hearth authors"), cmp.Or(os.Getenv("DEBEMAIL"), "hearth@localhost"))
}

func (r *release) deb(p platform, program string) error { return r.pack("deb", p, program) }
func (r *release) rpm(p platform, program string) error { return r.pack("rpm", p, program) }

// pack builds a package of a format.
func (r *release) pack(format string, p platform, program string) error {
	generated := filepath.Dir(program)
	if err := r.generate(generated); err != nil {
		return err
	}
	info, err := r.describe(format, generated)
	if err != nil {
		return fmt.Errorf("%s: %w", description, err)
	}
	info.Arch, info.Platform = p.architecture, p.system
	info.Deb.Compression, info.RPM.Compression = "zstd:19", "zstd:19"
	if r.fast {
		info.Deb.Compression, info.RPM.Compression = "gzip:1", "gzip:1"
	}
	if format == "rpm" {
		if err := markDocuments(info); err != nil {
			return fmt.Errorf("%s: %w", description, err)
		}
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	return r.write(packager.ConventionalFileName(info), func(w io.Writer) error { return packager.Package(info, w) })
}

// describe reads the description, for one format, and fills in what depends on the
// release.
func (r *release) describe(format, generated string) (*nfpm.Info, error) {
	f, err := os.Open(filepath.Join(r.root, description))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	config, err := nfpm.ParseWithEnvMapping(f, func(name string) string { return "$" + name })
	if err != nil {
		return nil, err
	}
	info, err := config.Get(format)
	if err != nil {
		return nil, err
	}
	info.Version, info.VersionSchema, info.Prerelease, info.VersionMetadata = r.number, "none", "", ""
	info.Maintainer, info.MTime, info.Umask, info.RPM.BuildHost = maintainer(), r.when, 0o022, "localhost"
	for _, content := range info.Contents {
		if content.Source == "" {
			continue // a directory
		}
		dir, inside := r.root, content.Source
		if made, ok := strings.CutPrefix(inside, "generated/"); ok {
			dir, inside = generated, made
		}
		content.Source = filepath.Join(dir, inside)
	}
	for _, script := range []*string{&info.Scripts.PostInstall, &info.Scripts.PreRemove, &info.Scripts.PostRemove} {
		if *script, err = r.script(*script, filepath.Join(generated, format)); err != nil {
			return nil, err
		}
	}
	return info, nil
}

// markDocuments tells RPM which files are documentation, so that an installation without
// it (--excludedocs) leaves them out. Patterns have to be files before.
func markDocuments(info *nfpm.Info) (err error) {
	if info.Contents, err = packed.PrepareForPackager(info.Contents, info.Umask, "rpm", false, info.MTime); err != nil {
		return err
	}
	for _, content := range info.Contents {
		document := strings.HasPrefix(content.Destination, "/usr/share/doc/") || strings.HasPrefix(content.Destination, "/usr/share/man/")
		if document && content.Type == packed.TypeFile {
			content.Type = packed.TypeRPMDoc
		}
	}
	return nil
}

var include = regexp.MustCompile(`(?m)^#include (.*)\n`)

// script puts into a script of a package what it includes, and returns the path of
// the whole.
func (r *release) script(path, dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(r.root, path))
	if err != nil {
		return "", err
	}
	whole := include.ReplaceAllFunc(text, func(line []byte) []byte {
		part, readErr := os.ReadFile(filepath.Join(r.root, string(include.FindSubmatch(line)[1])))
		if readErr != nil {
			err = readErr
		}
		return part
	})
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(path))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return to, os.WriteFile(to, whole, 0o755)
}

// generate writes what packages have beside the program and what is in the tree.
func (r *release) generate(dir string) error {
	changelog := fmt.Sprintf("hearth (%s) unstable; urgency=medium\n\n  * %s. What has changed is in NEWS.md.\n\n -- %s  %s\n",
		r.number, r.version, maintainer(), r.when.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	copyright, err := r.copyright()
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"changelog.gz": compressed([]byte(changelog)), "libraries.gz": compressed(r.notices), "copyright": copyright,
	}
	for _, page := range []string{"hearth.1", "hearth.toml.5"} {
		text, err := os.ReadFile(filepath.Join(r.root, "deploy", "man", page))
		if err != nil {
			return err
		}
		files[page+".gz"] = compressed(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyright is LICENSE in Debian's form.
func (r *release) copyright() ([]byte, error) {
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	before, terms, _ := strings.Cut(string(license), "Copyright (c) ")
	holder, terms, ok := strings.Cut(terms, "\n")
	if !ok {
		return nil, fmt.Errorf("LICENSE: no line begins with \"Copyright (c)\" after %q", before)
	}
	var b bytes.Buffer
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
	fmt.Fprintf(&b, "Upstream-Name: hearth\n\nFiles: *\nCopyright: %s\nLicense: Expat\n", holder)
	for line := range strings.Lines(strings.TrimSpace(terms)) {
		if line = strings.TrimSpace(line); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	b.WriteString("\nComment: the notices of the libraries that are part of the program are in\n /usr/share/doc/hearth/libraries.gz.\n")
	return b.Bytes(), nil
}

// compressed is a text in gzip, without time and name.
func compressed(text []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	_, _ = w.Write(text)
	_ = w.Close()
	return b.Bytes()
}
