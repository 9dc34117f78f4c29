package limit

// commonCount is the one count of all subjects of a limit that have no count of their
// own in a window. It admits no more than the rate, so all of them together get what one
// subject may.
//
// There may be budget again within the window, and a subject that was admitted from here
// may then get a count of its own. That begins with what the subject has had, or it
// would get it twice. What each has had is kept by a part of its id: other subjects may
// share that part, so the number is never too small.
type commonCount struct {
	used     int
	admitted [commonCells]int32
}

const (
	commonCells = 4096
	commonBytes = 4*commonCells + countBytes
)

// admittedTo is how many permits the subject has had, at most.
func (c *commonCount) admittedTo(id subjectID) int { return int(c.admitted[id[0]%commonCells]) }

// take asks for one permit. It is never returned: nothing tells whose it was.
func (c *commonCount) take(id subjectID, rate Rate, burst int, into int64) (permits int, wait int64) {
	permits, _, wait = share(rate, burst, c.used, 1, into)
	c.used += permits
	c.admitted[id[0]%commonCells] += int32(permits)
	return permits, wait
}
