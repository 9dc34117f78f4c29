package engine

// FaultClass says whose fault an error is, which decides what becomes of it: whether
// the circuit breaker counts it, whether an operator is told, and whether the client
// is told that its values do not fit. The order counts: classes from FaultRefused on
// are answers of a database that is well, those from FaultData on are about values
// that the client has sent.
type FaultClass int

const (
	FaultOther     FaultClass = iota // nobody's that is known; the next call may succeed
	FaultLost                        // the database was not reached, or lost on the way
	FaultBusy                        // other transactions were in the way
	FaultSlow                        // the database ended the statement because it took too long
	FaultRefused                     // the operator's: a statement or a right is not as it has to be
	FaultRecord                      // the operator's for this record: the statement fails on it, or a value of it is no JSON
	FaultData                        // a value's: wrong type, out of range
	FaultRule                        // a value's: a constraint refuses it
	FaultReference                   // a record's: others refer to it, or it refers to none
)

// Fault is what an engine makes of an error. The reason is for clients, and empty
// for the classes before FaultData. The zero value is a fault of no class,
// without reason or remedy.
type Fault struct {
	Class  FaultClass
	Reason string
	Remedy Remedy
	Access bool // no connection was made because of the account or the database that it is for
	// Says is what is wrong with the database as a whole, for /readyz; "" if the class
	// tells enough. It comes from a closed set, and shows no path, name or value.
	Says string
	// ReadOnly: the server takes no writes, from nobody. It may have been the primary.
	ReadOnly bool
}

// FaultsByCode turns lists of an engine's codes around.
func FaultsByCode[C comparable](lists map[*Fault][]C) map[C]Fault {
	all := map[C]Fault{}
	for f, codes := range lists {
		for _, code := range codes {
			all[code] = *f
		}
	}
	return all
}

// Remedy says what may let the same call succeed at once, as long as nothing was
// committed. Each call takes one, once.
type Remedy int

const (
	RemedyNone       Remedy = iota
	RemedyRepeat            // the same again, in a new transaction
	RemedyPlan              // on plans that are made anew: somebody altered what they rest on
	RemedyConnection        // on another connection, which has been seen to be alive
	RemedyPrimary           // on a connection to another server, if one is found that takes writes
)

// Reasons of faults. They name no table, column or constraint: those belong
// to the operator.
const (
	ReasonType      = "a value has the wrong type or is out of range"
	ReasonRange     = "a value is out of range"
	ReasonLong      = "a value is too long"
	ReasonNull      = "a value that is needed is missing or null"
	ReasonTaken     = "a value that has to be unique is taken already"
	ReasonCheck     = "a value is not allowed"
	ReasonReference = "a value refers to a record that does not exist"
)
