// Package systemd talks to the service manager: it takes over the sockets that the
// manager has opened for this process, tells it what the process is at, and knows
// how often the watchdog wants to hear of it.
//
// It is no library's because an error here names the line of the unit to change,
// and because the notifier keeps its socket: a watchdog has to be fed when no
// descriptor is left to open one.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"hearth/internal/listen"

	"golang.org/x/sys/unix"
)

// Sockets are listeners that the service manager has opened for this process;
// nil where it passed none.
type Sockets struct{ Public, Admin net.Listener }

// firstSocket is where passed descriptors begin (SD_LISTEN_FDS_START).
const firstSocket = 3

// Variables of the protocol of sd_listen_fds(3).
const (
	listenPID   = "LISTEN_PID"
	listenCount = "LISTEN_FDS"
	listenNames = "LISTEN_FDNAMES"
)

// Names of sockets, by FileDescriptorName= in a .socket unit.
const (
	namePublic = "public"
	nameAdmin  = "admin"
)

// Inherited takes over the sockets that the service manager passed, as
// sd_listen_fds_with_names(3) says: none where it passed none, or passed them to
// another process. Call it once, early in main and before anything else opens
// descriptors or starts processes; it unsets the variables that tell of them.
//
// The names are "public" and "admin". Sockets that the unit gives no name, in
// which case systemd calls them after the unit, are the public and then the
// admin one, in the order of their ListenStream= lines. Everything else is an
// error that says what to change in the unit: a wrong guess would show the
// operators' listener to the public. On an error all that was passed is closed.
//
// The listeners are those that Listen would give, keep-alive included, but for
// their end: closing one closes our descriptor of it, and no more. The manager
// has another, where connections go on queueing, and a Unix socket's file stays.
func Inherited() (Sockets, error) {
	s, err := inherit(os.Getpid(), os.LookupEnv, firstSocket)
	for _, name := range []string{listenPID, listenCount, listenNames} {
		err = errors.Join(err, os.Unsetenv(name))
	}
	return s, err
}

// inherit is Inherited for a process, an environment and a first descriptor.
func inherit(pid int, lookup func(string) (string, bool), first int) (s Sockets, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("taking over sockets of the service manager: %w", err)
		}
	}()
	count, err := passedCount(pid, lookup)
	if err != nil || count == 0 {
		return Sockets{}, err
	}
	// Closed at the end, whatever happens: listeners have descriptors of their own.
	var files []*os.File
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for fd := first; fd < first+count; fd++ {
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), listenCount+":"+strconv.Itoa(fd)))
	}
	roles, err := assignRoles(count, lookup)
	if err != nil {
		return Sockets{}, err
	}
	for i, f := range files {
		l, err := listenerOf(f)
		if err != nil {
			return Sockets{}, errors.Join(fmt.Errorf("socket %d: %w", i+1, err), s.close())
		}
		if roles[i] == namePublic {
			s.Public = l
		} else {
			s.Admin = l
		}
	}
	return s, nil
}

func (s Sockets) close() error {
	var errs []error
	for _, l := range []net.Listener{s.Public, s.Admin} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// maxPassed bounds the descriptors that are looked at: as many as a unit can be
// thought to pass by mistake.
const maxPassed = 1024

// passedCount is how many descriptors are for this process.
func passedCount(pid int, lookup func(string) (string, bool)) (int, error) {
	text, _ := lookup(listenPID)
	if text == "" {
		return 0, nil
	}
	whose, err := strconv.Atoi(text)
	if err != nil || whose <= 0 {
		return 0, fmt.Errorf("%s is %q, want a process id", listenPID, text)
	}
	text, _ = lookup(listenCount)
	if whose != pid || text == "" {
		return 0, nil
	}
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > maxPassed {
		return 0, fmt.Errorf("%s is %q, want a number up to %d", listenCount, text, maxPassed)
	}
	return count, nil
}

// assignRoles says for each passed socket whether it is the public or the admin
// one: by its name, and those without one in their order.
func assignRoles(count int, lookup func(string) (string, bool)) ([]string, error) {
	if count > 2 {
		return nil, fmt.Errorf("there are %d, want at most 2, public and admin; remove ListenStream= lines from the .socket units", count)
	}
	names, roles := make([]string, count), make([]string, count)
	if text, ok := lookup(listenNames); ok && text != "" {
		if names = strings.Split(text, ":"); len(names) != count {
			return nil, fmt.Errorf("%s is %q, want %d names, one for each socket", listenNames, text, count)
		}
	}
	const advice = "write FileDescriptorName=public in the .socket unit of the public listener and FileDescriptorName=admin in that of the other"
	for i, name := range names {
		switch {
		case unnamed(name):
			continue
		case name != namePublic && name != nameAdmin:
			return nil, fmt.Errorf("one is named %q; %s", name, advice)
		case slices.Contains(roles, name):
			return nil, fmt.Errorf("two are named %q; %s", name, advice)
		}
		roles[i] = name
	}
	if count == 2 && roles[0] == roles[1] && names[0] != names[1] {
		// Units have no order that one could rely on.
		return nil, fmt.Errorf("they come from two units, %q and %q; %s", names[0], names[1], advice)
	}
	for i := range roles {
		switch {
		case roles[i] != "":
		case slices.Contains(roles, namePublic):
			roles[i] = nameAdmin
		default:
			roles[i] = namePublic
		}
	}
	return roles, nil
}

// unnamed reports that the unit gives the socket no name: systemd then takes the
// unit's own, and other managers "unknown" or nothing.
func unnamed(name string) bool {
	return name == "" || name == "unknown" || strings.HasSuffix(name, ".socket")
}

// listenerOf makes a listener of a passed descriptor, which stays the caller's.
func listenerOf(f *os.File) (net.Listener, error) {
	var err error
	option := func(name int) (value int) {
		if err == nil {
			value, err = unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, name)
		}
		return value
	}
	typ, listening, of := option(unix.SO_TYPE), option(unix.SO_ACCEPTCONN), 0
	if err == nil {
		of, err = family(int(f.Fd()))
	}
	known := of == unix.AF_INET || of == unix.AF_INET6 || of == unix.AF_UNIX
	switch {
	case err != nil:
		return nil, fmt.Errorf("it is no socket: %w; write ListenStream= in the .socket unit", err)
	case typ != unix.SOCK_STREAM || !known:
		return nil, fmt.Errorf("it is of type %d and family %d, want a stream socket of TCP or a Unix one; "+
			"write ListenStream= with a port, an address or a path in the .socket unit", typ, of)
	case listening == 0:
		return nil, errors.New("it is a connection, not a listener; write Accept=no in the .socket unit")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	switch l := l.(type) {
	case *net.UnixListener:
		l.SetUnlinkOnClose(false) // others go on listening on it
	case *net.TCPListener:
		return inheritedListener{l}, nil
	}
	return l, nil
}

// inheritedListener sets on each connection what Listen has the net package set,
// which it does only for listeners that it has opened itself.
type inheritedListener struct{ *net.TCPListener }

func (l inheritedListener) Accept() (net.Conn, error) {
	conn, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	_ = conn.SetKeepAliveConfig(listen.KeepAlive) // fails if the peer is gone already
	return conn, nil
}
