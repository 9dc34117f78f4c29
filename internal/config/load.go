package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// maxFile bounds the configuration file, so that naming a device by mistake
// ends in a fault and not in exhausted memory.
const maxFile = 4 << 20

// Load reads the configuration file at path and the overrides in env, which has
// the form of os.Environ. It returns either a complete, valid Config or a
// *Faults that lists everything wrong at once. It opens nothing but the file
// itself and the files that hold secrets: whether a database or a certificate
// is there is for their users to find out.
func Load(path string, env []string) (*Config, error) {
	c, faults := Inspect(path, env)
	if len(faults) > 0 {
		return nil, NewFaults(faults)
	}
	return c, nil
}

// Inspect is Load for callers that want to know more than that a configuration is
// faulty: it returns what could be read of it, too, nil if that is nothing.
func Inspect(path string, env []string) (*Config, []Fault) {
	data, dir, err := readFile(path)
	if err != nil {
		return nil, []Fault{{File: path, Text: err.Error()}}
	}
	l := &loader{
		dir: dir, config: defaults(),
		places: places{file: path, set: map[string]place{}}, refused: map[string]bool{}, files: map[string]secretFile{},
	}
	// The order: the file, then what replaces parts of it, then what follows from
	// the whole. Each step goes on where an earlier one has found faults, so that
	// all of them are reported at once.
	root := reflect.ValueOf(l.config).Elem()
	doc := parseDocument(path, data)
	l.faults = doc.faults
	l.read(root, doc.tree.root, "")
	// A line that was stepped over would be the decoder's first and only fault.
	if !doc.broken {
		l.faults = doc.verify(l.faults)
	}
	l.override(root, env)
	l.readSecrets(lookup(env, "CREDENTIALS_DIRECTORY"))
	l.resolvePaths()
	l.nameEnvelopes()
	if !doc.broken { // else keys may be missing, and contradictions mere consequences
		l.validate()
	}
	l.config.places, l.config.faulty = l.places, l.faulty
	return l.config, l.faults
}

// readFile returns the content of the configuration file, and its directory.
func readFile(path string) (data []byte, dir string, err error) {
	if path == "" {
		return nil, "", errors.New("no configuration file is named; name one with -config FILE")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", errors.New("there is no such file; name yours with -config FILE, draft one with `hearth init`, or begin with the config.toml that comes with hearth, which explains every key")
	}
	if err != nil {
		return nil, "", fmt.Errorf("opening it: %w; make it readable or name another with -config FILE", cause(err))
	}
	defer f.Close()
	// One byte more than allowed tells a file that is too long from one that is
	// just not.
	data, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading it: %w; name a regular file with -config FILE", cause(err))
	}
	if len(data) > maxFile {
		return nil, "", errors.New("it is longer than 4MiB; name a configuration file with -config FILE")
	}
	if dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return nil, "", fmt.Errorf("finding its directory: %w; name the file by an absolute path", err)
	}
	return data, dir, nil
}

// cause strips operation and path from a file error: the fault names the path.
func cause(err error) error {
	var wrong *fs.PathError
	if errors.As(err, &wrong) {
		return wrong.Err
	}
	return err
}

// maxSocketPath is what the kernel's sockaddr_un holds, less the final zero.
const maxSocketPath = 107

// resolvePaths makes relative paths begin at the configuration file's directory.
func (l *loader) resolvePaths() {
	c := l.config
	for _, path := range []*string{
		&c.Embedded.Path, &c.Server.TLS.Cert, &c.Server.TLS.Key, &c.Server.TLS.ClientCA,
		&c.Redis.TLS.CA, &c.Redis.TLS.Cert, &c.Redis.TLS.Key,
	} {
		*path = l.absolute(*path)
	}
	for i := range c.Resources {
		t := &c.Resources[i].OriginTLS
		for _, path := range []*string{&t.CA, &t.Cert, &t.Key} {
			*path = l.absolute(*path)
		}
	}
	// After the overrides: a variable may name a relative path, too.
	for key, address := range map[string]*string{"server.listen": &c.Server.Listen, "server.admin": &c.Server.Admin} {
		path, isUnix := strings.CutPrefix(*address, unixPrefix)
		if !isUnix || strings.HasPrefix(path, "@") { // Linux's abstract sockets are no files
			continue
		}
		path = l.absolute(path)
		*address = unixPrefix + path
		if len(path) > maxSocketPath {
			l.fault(key, "the socket's path %s has %d bytes, of which the kernel takes %d; write a shorter one", quote(path), len(path), maxSocketPath)
		}
	}
	for _, url := range []*Secret{&c.Database.URL, &c.Feed.URL} {
		resolved := NewSecret(resolveURL(url.Reveal(), l.dir))
		resolved.from = url.from
		*url = resolved
	}
}

// absolute is path as seen from the directory of the configuration file.
func (l *loader) absolute(path string) string { return absolute(path, l.dir) }

// absolute is path as seen from dir.
func absolute(path, dir string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
