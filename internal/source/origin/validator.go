package origin

import (
	"hash/maphash"
	"net/http"
	"sync"

	"hearth/internal/source"
)

// validators are the entity tags of records that were loaded here. Values in the
// shared tier are plain JSON, so a tag has no place beside them: it stays in this
// process, with a hash of the record that it belongs to. A caller that still has
// these very bytes can have them confirmed instead of sent. An instance without the
// tag loads the record whole, which is right, too.
type validators struct {
	mu    sync.Mutex
	byURL map[string]validator
}

// validator is what a record is confirmed by.
type validator struct {
	at   string // the URL that gave the tag: that of the record, or where it redirects
	tag  string
	sum  uint64
	term source.Term // that of the answer with the record, for a 304 that says nothing
}

const (
	maxValidators = 1 << 16 // of a resource; about 16 MB with URLs of usual lengths
	maxTag        = 256     // bytes; a longer tag is not worth its memory
)

var seed = maphash.MakeSeed()

// of returns the validator of the record known, if it was loaded here.
func (v *validators) of(url string, known []byte) (validator, bool) {
	if known == nil {
		return validator{}, false
	}
	v.mu.Lock()
	found, ok := v.byURL[url]
	v.mu.Unlock()
	return found, ok && found.sum == maphash.Bytes(seed, known)
}

// note keeps the tag of a record that url has brought from at, or forgets the one of
// before if it has none.
func (v *validators) note(url, at string, h http.Header, record []byte, t source.Term) {
	tag := h.Get("Etag")
	v.mu.Lock()
	defer v.mu.Unlock()
	if tag == "" || len(tag) > maxTag || record == nil || t.Unshared != "" {
		delete(v.byURL, url)
		return
	}
	if v.byURL == nil {
		v.byURL = map[string]validator{}
	}
	if _, there := v.byURL[url]; !there && len(v.byURL) >= maxValidators {
		for one := range v.byURL { // whichever the map gives first: all are worth the same
			delete(v.byURL, one)
			break
		}
	}
	v.byURL[url] = validator{at, tag, maphash.Bytes(seed, record), t}
}
