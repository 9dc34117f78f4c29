package listen

import (
	"io"
	"testing"
)

// TestPair: what goes in at one end comes out at the other, and so does the end.
func TestPair(t *testing.T) {
	a, b, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(a, "there"); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(b)
	if string(got) != "there" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if a.LocalAddr().Network() != "unix" {
		t.Errorf("its network is %q", a.LocalAddr().Network())
	}
}
