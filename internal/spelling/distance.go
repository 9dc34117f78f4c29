// Package spelling tells how far apart two names are, for messages that ask "did
// you mean …?". Which names come into question, and how near is near, is for its
// callers to say. It counts a swap of neighbours as one slip, which the usual
// libraries for Levenshtein's distance do not.
package spelling

import (
	"math"
	"strings"
)

// longest bounds the work, which grows with the product of the lengths.
const longest = 64

// Distance counts the letters that are to be changed, added, left out or swapped
// with a neighbour to turn a into b. Capitals count for nothing. What is longer
// than any name is far from everything.
func Distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return math.MaxInt
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
