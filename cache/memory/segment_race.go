//go:build race

package memory

// The race detector looks at the Go heap only, so that is where segments lie under it: one at
// a time, since the heap writes zeroes to all of it, and the detector notes each byte.
const chunkBytes = 1

func newChunk(bytes int) []byte { return make([]byte, bytes) }

func freeChunk([]byte) {}

func releasePages([]byte) {}
