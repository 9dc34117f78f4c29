package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
)

// TestSweeps: who asks while a sweep runs gets the next one, with all who come before that
// begins; who is out of time leaves it running; the end of the server ends it.
func TestSweeps(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan string), make(chan int64)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := newSweeps(ctx, slog.New(slog.NewTextHandler(io.Discard, nil)), func(ctx context.Context, glob string, _ func(string) bool) (int64, error) {
		begun <- glob
		select {
		case n := <-goOn:
			return n, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	join := func(glob string) *sweep {
		t.Helper()
		one, err := s.join(newSweep("orders", glob, nil))
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	want := func(what string, one *sweep, n int64, err error) {
		t.Helper()
		<-one.done
		if one.removed != n || !errors.Is(one.err, err) {
			t.Errorf("%s: removed %d, %v; want %d, %v", what, one.removed, one.err, n, err)
		}
	}
	first := join("o:*")
	<-begun
	impatient, leave := context.WithCancel(ctx)
	leave()
	if n, over, err := s.ask(impatient, newSweep("orders", "o:*", nil)); n != 0 || over || err != nil {
		t.Errorf("out of time: %d, %v, %v", n, over, err)
	}
	second := join("o:*")
	if first == second || join("o:*") != second {
		t.Error("who comes while a sweep runs does not get the next one")
	}
	if _, err := s.join(newSweep("orders", "other:*", nil)); err == nil {
		t.Error("other keys join a sweep that is not about them")
	}
	if got := s.underWay(); len(got) != 1 || got[0] != "orders" {
		t.Errorf("under way are %q", got)
	}
	goOn <- 3
	want("the first", first, 3, nil)
	<-begun
	third := join("other:*") // after a reload
	goOn <- 1
	want("the second", second, 1, nil)
	if got := <-begun; got != "other:*" {
		t.Errorf("the third has the keys %q", got)
	}
	stop()
	want("the end of the server", third, 0, context.Canceled)
	s.close()
	if _, over, err := s.ask(context.Background(), newSweep("orders", "", nil)); !over || !errors.Is(err, errStopping) {
		t.Errorf("after the end: %v, %v", over, err)
	}
	if got := s.underWay(); len(got) != 0 {
		t.Errorf("under way are %q", got)
	}
}
