package limit

// returning are subjects of the window before that keep their bytes although they have
// not come yet in this one. Without that a flood of new subjects, which is there when a
// window begins, would take the budget of all that come a moment later. They are kept
// only where the budget is short, and only those that came more than once: the subjects
// of a flood do not.
//
// In the course of the window new subjects displace those that stay away. Otherwise the
// subjects of a flood that is over would keep others out for a whole window.
type returning struct {
	ids   map[subjectID]struct{}
	first int   // how many there were
	size  int64 // of the window, ms
}

func returningFrom(used map[subjectID]int, size int64) returning {
	r := returning{ids: map[subjectID]struct{}{}, size: size}
	for id, n := range used {
		if n > 1 {
			r.ids[id] = struct{}{}
		}
	}
	r.first = len(r.ids)
	return r
}

// admit hands the bytes of a subject that has come back on to its count.
func (r *returning) admit(id subjectID) bool {
	if _, ok := r.ids[id]; !ok {
		return false
	}
	delete(r.ids, id)
	return true
}

// displace hands the bytes of a subject that has not come on to a new subject's count.
// The part of them that stays is the part of the window that is left.
func (r *returning) displace(left int64) bool {
	if r.size == 0 || int64(len(r.ids)) <= (int64(r.first)*left+r.size-1)/r.size {
		return false
	}
	for id := range r.ids { // any: the order of a map is as good as random
		delete(r.ids, id)
		return true
	}
	return false
}
