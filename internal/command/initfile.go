package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"hearth/internal/draft"
)

// mayWrite tells, before anybody is asked anything, why no configuration could be written.
func mayWrite(path string, force bool) error {
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory %q of -config is not there; make it first: mkdir -p %s", dir, shellWord(dir))
	case err != nil:
		return fmt.Errorf("looking at the directory of -config: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%q of -config is no directory; name a file in one", dir)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%q of -config is a directory; name a file in it: -config %s", path, shellWord(filepath.Join(path, "config.toml")))
	}
	if err := isFree(path, force); err != nil {
		return err
	}
	name, err := stage(path, nil, 0o600) // whether files can be made there
	_ = os.Remove(name)
	return err
}

// isFree tells that nothing is overwritten unasked.
func isFree(path string, force bool) error {
	if _, err := os.Lstat(path); err == nil && !force {
		return fmt.Errorf("%s is there already; -force writes over it, -config FILE writes another one, -print none", path)
	}
	return nil
}

// writeDraft writes the files of a draft, all or none. Secrets get their names first: a
// configuration that names a file that is not there would be the worse half.
func writeDraft(path string, d *draft.Draft, force bool) error {
	type file struct {
		path   string
		text   []byte
		mode   fs.FileMode
		staged string
		known  bool // it was there before
	}
	var all []file
	for _, f := range d.Files {
		all = append(all, file{path: filepath.Join(filepath.Dir(path), f.Name), text: []byte(f.Text + "\n"), mode: 0o600})
	}
	all = append(all, file{path: path, text: d.Text, mode: 0o644})
	defer func() {
		for _, f := range all {
			_ = os.Remove(f.staged) // nothing is there once it has its name
		}
	}()
	for i := range all {
		f := &all[i]
		if err := isFree(f.path, force); err != nil {
			return err
		}
		if info, err := os.Lstat(f.path); err == nil {
			f.known = true
			if info.Mode().IsRegular() { // who has closed it to others means it
				f.mode &= info.Mode().Perm() | 0o600
			}
		}
		var err error
		if f.staged, err = stage(f.path, f.text, f.mode); err != nil {
			return err
		}
	}
	for i, f := range all {
		if err := os.Rename(f.staged, f.path); err != nil {
			for _, named := range all[:i] {
				if !named.known {
					_ = os.Remove(named.path)
				}
			}
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	return nil
}

// stage writes a whole file beside its place, and never into what a link leads to. It is as open
// as mode and the umask allow.
func stage(path string, text []byte, mode fs.FileMode) (name string, err error) {
	name = filepath.Join(filepath.Dir(path), ".hearth-init-"+rand.Text())
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(name)
		return "", fmt.Errorf("writing %s: %w", path, err)
	}
	return name, nil
}

// undisturbed has signals wait that would end the process, so that no file is left by half.
func (p Process) undisturbed(f func() error) error {
	if p.Notify == nil {
		return f()
	}
	ends := make(chan os.Signal, 1)
	p.Notify(ends, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(ends)
	err := f()
	select {
	case s := <-ends:
		die(s)
	default:
	}
	return err
}
