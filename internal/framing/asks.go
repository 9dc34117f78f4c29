package framing

// Asks are the fields of a request by which a read may ask for a fresher answer than
// every reader gets, as a set. They frame nothing: they are found here because a memory
// hit pays for one look at its header, and not for a second one.
type Asks uint8

// The fields.
const (
	AsksControl       Asks = 1 << iota // Cache-Control
	AsksPragma                         // which counts where there is no Cache-Control
	AsksAuthorization                  // which says who asks
	AsksVersion                        // Hearth-Version

	// AllAsks is more than any set of them.
	AllAsks
)
