package framing

// Fault is why a request is refused. The connection must be closed behind the
// answer: what follows on it may be part of the content and not a request.
type Fault uint8

// The faults.
const (
	None         Fault = iota
	BareLineFeed       // a line that ends in LF without CR
	Folded             // a line that continues the one before (RFC 9112, 5.2)
	BadName            // a field name with a blank in it, or a line without a colon
	Coding             // a Transfer-Encoding other than chunked
	TwoLengths         // Transfer-Encoding beside Content-Length (RFC 9112, 6.3)
	BadLength          // a Content-Length that is no length
	BadHost            // a Host that is none
	BadTarget          // a target of no form that a server serves
	NoProxy            // CONNECT
	Expectation        // an Expect other than 100-continue
	BadVersion         // neither HTTP/1.1 nor HTTP/1.0
	BadChunk           // content in chunks of another form (RFC 9112, 7.1)
	BadTrailer         // fields behind the chunks of another form, or too many
	TrailerField       // a field behind the chunks that must not stand there
	faults
)

// answers says how each fault is answered.
var answers = [faults]struct {
	status int
	detail string
}{
	None:         {200, ""},
	BareLineFeed: {400, "every line of the header must end in CR and LF"},
	Folded:       {400, "a field must stand on one line: no line of the header may begin with a space or tab"},
	BadName:      {400, "a field name must be followed by its colon and hold no space or tab"},
	Coding:       {400, "transfer-encoding must be chunked and nothing else"},
	TwoLengths:   {400, "send either transfer-encoding or content-length, not both"},
	BadLength:    {400, "content-length must be a number of bytes"},
	BadHost:      {400, "host must be a name or an address, with or without a port"},
	BadTarget:    {400, "the request target must be a path, or an http:// or https:// URL, without a fragment"},
	NoProxy:      {501, "this server is no proxy"},
	Expectation:  {417, "expect may only be 100-continue"},
	BadVersion:   {505, "send the request as HTTP/1.1"},
	BadChunk:     {400, "each chunk must begin with its size in hexadecimal digits on a line of its own, with extensions behind semicolons, and end in CR and LF"},
	BadTrailer:   {400, "fields behind the chunks must each stand on one line that ends in CR and LF, with at most 8192 bytes in all"},
	TrailerField: {400, "a field that says how a request is framed, routed or authorised must stand in front of the content"},
}

// Error implements error: the readers of content return faults as their errors.
func (f Fault) Error() string { return f.Detail() }

// Status is the status code to refuse with; 200 for None.
func (f Fault) Status() int { return answers[f].status }

// Detail tells the client what to change; "" for None.
func (f Fault) Detail() string { return answers[f].detail }
