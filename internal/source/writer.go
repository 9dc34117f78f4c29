package source

import "context"

// Marked is implemented by changes whose transaction may note the token of its writer
// beside what it changes, for the change feed: it tells of a change with its writer, whose
// record has the change in it.
type Marked interface {
	Change
	// Marked tells that this one has.
	Marked() bool
}

type writerKey struct{}

// WithWriter returns ctx with the token of a writer in it. A token is letters and digits;
// any other one is not noted.
func WithWriter(ctx context.Context, token string) context.Context {
	for _, c := range []byte(token) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return ctx
		}
	}
	return context.WithValue(ctx, writerKey{}, token)
}

// WriterOf returns the token that WithWriter has put into ctx, or "".
func WriterOf(ctx context.Context) string {
	token, _ := ctx.Value(writerKey{}).(string)
	return token
}
