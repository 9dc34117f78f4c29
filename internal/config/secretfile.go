package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 64 << 10

// secretOrigin is the file that a secret is from, and how its content is read.
type secretOrigin struct {
	key   string // that names the file
	path  string
	check string // of checks, "" for none
	dir   string // what relative paths within the secret begin at
}

// read returns the content of the file as the configuration would have it. No error
// shows it.
func (o secretOrigin) read() (string, error) {
	text, err := readSecret(o.path)
	if err != nil {
		return "", fmt.Errorf("reading %q (%s): %w", o.path, o.key, err)
	}
	if o.check != "" {
		if wrong := checks[o.check](text); wrong != "" {
			return "", fmt.Errorf("the content of %q (%s) %s", o.path, o.key, wrong)
		}
	}
	if o.check == "database" {
		text = resolveURL(text, o.dir)
	}
	return text, nil
}

// secretFile is a key that names the file which holds a secret.
type secretFile struct {
	key     string
	path    string
	sibling string // key that takes the secret itself; "" = there is none
	field   field
}

// readSecrets fills in the secrets that are kept in files. Relative paths begin
// at the directory of systemd's credentials, else at the configuration file's.
func (l *loader) readSecrets(credentials string) {
	base := l.dir
	if credentials != "" {
		base = credentials
	}
	for _, s := range l.files {
		if s.path == "" || !l.prefersFile(s) {
			continue
		}
		path := s.path
		if !filepath.IsAbs(path) {
			path = filepath.Join(base, path)
		}
		content, err := readSecret(path)
		if err != nil {
			l.refused[s.sibling] = true // it was given, only not well
			l.fault(s.key, "reading %q: %v", path, err)
			continue
		}
		// The content is checked as the key itself would be. The complaint names
		// the file, for nobody has written the text into the configuration.
		s.field.store(&node{typ: stringNode, text: content}, func(_ *node, _ string, args ...any) {
			l.refused[s.sibling] = true
			l.fault(s.key, "the content of %q %s", path, args[1])
		})
		if secret := s.field.value.Addr().Interface().(*Secret); !secret.Empty() {
			secret.from = &secretOrigin{key: shown(s.key), path: path, check: s.field.tag.Get("check"), dir: l.dir}
		}
	}
}

// prefersFile tells whether the file is where the secret comes from: not if an
// override names the secret itself, which replaces both of the file's keys. Both in
// one place are a fault.
func (l *loader) prefersFile(s secretFile) bool {
	if s.sibling == "" || !l.places.has(s.sibling) {
		return true
	}
	// Two keys of the file exclude each other, and so do two variables. Between
	// file and environment, the environment decides.
	mine, other := l.places.set[s.key].variable != "", l.places.set[s.sibling].variable != ""
	if mine != other {
		return mine
	}
	if s.field.value.Interface().(Secret).Empty() && !l.refused[s.sibling] {
		return true
	}
	l.fault(s.key, "is set together with %s (%s); keep one of the two", shown(s.sibling), l.places.where(s.sibling))
	return false
}

// readSecret returns the content of a file without the newline at its end.
func readSecret(path string) (string, error) {
	// Before opening, because opening a pipe would wait for its writer.
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w; create the file or correct the path", cause(err))
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is no regular file; name one that holds nothing but the secret")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w; make it readable to the server's user", cause(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("%w; make it readable to the server's user", cause(err))
	case len(data) > maxSecret:
		return "", errors.New("it is longer than 64KiB; name a file that holds nothing but the secret")
	}
	// Editors and echo end a file with a line break that is no part of a secret.
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" {
		return "", errors.New("it is empty; write the secret into it")
	}
	return secret, nil
}
