// Command play plays two typed clients, made of the server's own document by
// oapi-codegen and by ogen, against that server.
//
//	play URL TOKEN
package main

import (
	"fmt"
	"os"
	"reflect"
)

// player collects what was not as it should be.
type player struct {
	url, token string
	failed     bool
}

func (p *player) same(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		p.failed = true
		fmt.Fprintf(os.Stderr, "%s: got %#v, want %#v\n", what, got, want)
	}
}

// must ends the play where a call fails altogether.
func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func pointer[T any](value T) *T { return &value }

func main() {
	p := &player{url: os.Args[1], token: os.Args[2]}
	p.playOapi()
	p.playOgen()
	if p.failed {
		os.Exit(1)
	}
}
