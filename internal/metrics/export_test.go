package metrics

// AppendRegistered is what s writes without the numbers of the runtime and the
// process, which no golden file can hold.
func AppendRegistered(s *Set) []byte {
	families := s.registered()
	delete(families, "hearth_build_info") // names the version of Go
	return joinByName(families)
}

// BucketOf and BoundOf open the bucket arithmetic to tests.
func BucketOf(ns uint64) int { return bucket(ns) }

// BoundOf is the inclusive limit of bucket i in nanoseconds.
func BoundOf(i int) uint64 { return bound(i) }

// WithProcs is New for a machine of that many processors.
func WithProcs(n int) *Set {
	s := New("test")
	s.stripes = newStripes(n)
	return s
}

// StripeCount is the number of copies each metric of s keeps.
func StripeCount(s *Set) int { return s.stripes.count() }
