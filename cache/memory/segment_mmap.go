//go:build !race

package memory

import "golang.org/x/sys/unix"

// chunkBytes are mapped at a time: so mappings stay few.
const chunkBytes = 32 << 20

// newChunk maps memory that is zero and takes no pages yet; nil if there is none.
func newChunk(bytes int) []byte {
	b, err := unix.Mmap(-1, 0, bytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	return b
}

func freeChunk(b []byte) { _ = unix.Munmap(b) } // what cannot be unmapped ends with the process

// pageSize of the system; only whole pages can be given back.
var pageSize = unix.Getpagesize()

// releasePages lets the system have the pages; they are zero when they are written to next.
func releasePages(b []byte) {
	if len(b) >= pageSize {
		_ = unix.Madvise(b, unix.MADV_DONTNEED) // only advice
	}
}
