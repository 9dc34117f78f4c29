package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// seal writes the sums of all files, as sha256sum does, and has them signed. One
// signature is for all: who trusts SHA256SUMS can check each file by it.
func (r *release) seal() error {
	names := slices.Sorted(slices.Values(r.made))
	if err := r.write("SHA256SUMS", func(w io.Writer) error {
		for _, name := range names {
			text, err := os.ReadFile(filepath.Join(r.out, name))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(text), name); err != nil {
				return err
			}
		}
		return nil
	}); err != nil || r.sign == "" {
		return err
	}
	// The key is the command's business, and so is a passphrase that it asks for.
	cmd := exec.Command("sh", "-c", r.sign+` "$1"`, "sh", "SHA256SUMS")
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = r.out, os.Stdin, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("signing SHA256SUMS by %q: %w", r.sign, err)
	}
	return nil
}
