package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
)

// FreeAddr returns an address of loopback, 127.0.0.1:PORT, where nothing listens. It
// is not reserved. The port lies below the range from which the kernel takes the
// local ends of connections, so that none of those takes it away; and who keeps
// dialling a stopped server's port from within that range connects to itself one day.
func FreeAddr() (string, error) {
	const first, span, tries = 20000, 12000, 200
	for range tries {
		addr := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(span))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("looking for a free port between %d and %d: none of %d was", first, first+span, tries)
}

// Find returns the path of a program, or an error that names its Debian package.
// Servers are often where only root's PATH leads.
func Find(name, debian string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("looking for %q: not installed; run scripts/install-test-servers bench, or apt-get install %s", name, debian)
}
