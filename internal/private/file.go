// Package private makes files that nobody but the user of the server can read.
// It stands alone because two rooms let SQLite make files, which would take the
// mode that the umask leaves, and records and items are nobody else's business.
package private

import (
	"errors"
	"io/fs"
	"os"
)

// Mode is that of every file that the server makes.
const Mode fs.FileMode = 0o600

// Create makes an empty file unless there is one, which it leaves as it is: a wider
// mode may be what the operator wants. SQLite takes an empty file for an empty
// database, and gives the files beside it the same mode.
//
// Call it before SQLite opens the file in this process. It opens nothing that
// stands, since closing a file gives up all locks that this process has on it.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, Mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Shared tells whether others than the file's owner may open it.
func Shared(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o077 != 0
}
