package shared

import (
	"bytes"
	"fmt"
	"strings"
)

// LeaderText is what stands in the key of a lease that a whole fleet has one holder of.
func LeaderText(holder string, note []byte) ([]byte, error) {
	if holder == "" || strings.ContainsRune(holder, ' ') {
		return nil, fmt.Errorf("%w: %q can be nobody's name who holds a lease", ErrRefused, holder)
	}
	return append(append([]byte(holder), ' '), note...), nil
}

// LeaderOf reads such a text.
func LeaderOf(text []byte) (holder string, note []byte) {
	who, note, _ := bytes.Cut(text, []byte(" "))
	return string(who), note
}
