package source

import "strconv"

// SpellingError says that the row found by a record's parameters goes by other
// ones. It is no fault of the source; the caller keeps nothing under the name
// that was asked for.
type SpellingError struct {
	// Args are the row's own parameters, by which it is found again. They are
	// nil when no parameter can have the value that the row has.
	Args Args
}

func (e *SpellingError) Error() string {
	return "the row that these parameters find goes by other ones"
}

// SpellingErrors are those of a LoadMany, by the place in its list. The records
// of the other places are good.
type SpellingErrors map[int]*SpellingError

func (e SpellingErrors) Error() string {
	return strconv.Itoa(len(e)) + " of the rows found go by other parameters"
}
