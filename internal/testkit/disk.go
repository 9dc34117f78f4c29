package testkit

import (
	"os"
	"syscall"
)

// ReadOnly makes a directory read-only until the returned function is called, or the test
// is over: by a mount where root runs the tests, by rights elsewhere. Files that are open
// stay as they are.
func ReadOnly(tb TB, dir string) (end func()) {
	tb.Helper()
	begin, undo := func() error { return mount(dir) }, func() error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
	if os.Getuid() != 0 {
		begin, undo = func() error { return setModes(dir, 0o500, 0o400) }, func() error { return setModes(dir, 0o700, 0o600) }
	}
	if err := begin(); err != nil {
		tb.Fatalf("making %s read-only: %v", dir, err)
	}
	over := false
	end = func() {
		if over {
			return
		}
		over = true
		if err := undo(); err != nil {
			tb.Fatalf("making %s writable again: %v", dir, err)
		}
	}
	tb.Cleanup(end)
	return end
}

// mount puts a read-only view of a directory over itself.
func mount(dir string) error {
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// setModes gives a directory and its files these modes.
func setModes(dir string, of, files os.FileMode) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, file := range all {
		if err := os.Chmod(dir+"/"+file.Name(), files); err != nil {
			return err
		}
	}
	return os.Chmod(dir, of)
}
