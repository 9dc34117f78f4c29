package param

import (
	"math"
	"strings"
)

// longestName bounds the work of Distance, which grows with the product of the lengths.
const longestName = 64

// Distance tells how far apart two names are, for messages that ask "did you mean …?".
// It counts the letters that are to be changed, added, left out or swapped
// with a neighbour to turn a into b. Capitals count for nothing. What is longer
// than any name is far from everything. Libraries for Levenshtein's distance do not count
// a swap as one slip, which is the most common one.
func Distance(a, b string) int {
	if len(a) > longestName || len(b) > longestName {
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
