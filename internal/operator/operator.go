// Package operator asks a running server's admin listener, over TCP or its Unix socket, as
// an operator's terminal does.
//
// It knows the listener's answers and no inner package: what a terminal can show, a script
// with curl can get, too.
package operator
