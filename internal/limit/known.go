package limit

// known are subjects of the window before, for whom there is room although they
// have not come yet in this one. Without it a flood of new subjects, which is
// there when a window begins, would take the room of all who come a moment
// later. It is kept only where room is short, and of those who came more than
// once: a flood does not.
//
// Bit by bit newcomers take the place of those who stay away, or the names of a
// flood that is over would keep them out for a whole window.
type known struct {
	names map[name]struct{}
	first int   // how many there were
	size  int64 // of the window, ms
}

func knownFrom(used map[name]int, size int64) known {
	k := known{names: map[name]struct{}{}, size: size}
	for id, n := range used {
		if n > 1 {
			k.names[id] = struct{}{}
		}
	}
	k.first = len(k.names)
	return k
}

// take hands the room of a known subject on to its count.
func (k *known) take(id name) bool {
	if _, ok := k.names[id]; !ok {
		return false
	}
	delete(k.names, id)
	return true
}

// displace hands the room of a subject that has not come on to a newcomer's
// count. With so much of the window left, that part of them stays.
func (k *known) displace(left int64) bool {
	if k.size == 0 || int64(len(k.names)) <= (int64(k.first)*left+k.size-1)/k.size {
		return false
	}
	for id := range k.names { // any: the order of a map is as good as random
		delete(k.names, id)
		return true
	}
	return false
}
