package config_test

import (
	"fmt"
	"strings"
	"testing"
)

// resources writes one [[resource]] per "path key" pair.
func resources(pairs ...string) string {
	var b strings.Builder
	for i, pair := range pairs {
		path, key, _ := strings.Cut(pair, " ")
		fmt.Fprintf(&b, "[[resource]]\nname = \"r%d\"\npath = %q\nkey = %q\n", i, path, key)
	}
	return b.String()
}

// TestKeyOfOneResource covers a key against its own path.
func TestKeyOfOneResource(t *testing.T) {
	f := func(path, key, want string) {
		t.Helper()
		_, err := load(t, resources(path+" "+key))
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s %s: %v", path, key, err)
		}
	}
	f("/a/{x:int}", "a:{x}", "")
	f("/a", "a", "")
	f("/a/{x:int}", "{x}", "")
	f("/a/{x:int}/{y:int}", "a:{y}:{x}", "")
	f("/a/{x:int}/{y:int}", "a:{x}-{y}", "") // a minus only begins an integer
	f("/a/{x:int}/{y:int}", "a:{x}5{y}", "does not tell where {x} ends and {y} begins")
	f("/a/{x:int}/{y:int}", "a:{x}{y}", "does not tell")
	f("/a/{x:uuid}/{y:int}", "a:{x}-{y}", "does not tell")
	f("/a/{x:uuid}/{y:int}", "a:{x}x{y}", "")
	f("/a/{x:string}/{y:int}", "a:{x}-{y}", "does not tell")
	f("/a/{x:string}/{y:int}", "a:{x}_{y}", "does not tell")
	f("/a/{x:string}/{y:int}", "a:{x}%3A{y}", "does not tell")
	f("/a/{x:string}/{y:int}", "a:{x}b:{y}", "")
	f("/a/{x:string}/{y:string}", "a:{x}/{y}", "")
	f("/a/{x:string}/{y:string}/{z:int}", "a:{x}/{y}{z}", "where {y} ends and {z} begins")
	f("/a/{x:int}", "a", "has {x} 0 times")
	f("/a/{x:int}", "a:{x}:{x}", "has {x} 2 times")
	f("/a/{user_id:int}/{x:int}", "a:{user_id}:{x}:{userid}", `no parameter "userid"; did you mean {user_id}?`)
	f("/a", "a:{x}", "none, the path has no parameters")
	f("/a", "hearth:a", "reserved")
	f("/a/{x:int}", "hearth:{x}", "reserved")
	f("/a/{x:string}", "{x}:a", "can make keys that begin with")
	f("/a/{x:string}", "hear{x}:a", "can make keys that begin with")
	f("/a/{x:string}", "{x}", "") // without a colon it never reaches the prefix
	f("/a", "a b", "has the character ' '")
	f("/a", "a}", "has the character '}'")
	f("/a/{x:int}", "a:{{x}}", "brace")
	f("/a/{x:int}", "a:{x:int}", "brace")
	f("/a", "", "is empty")
	f("/a", strings.Repeat("a", 257), "longer than 256")
}

// TestKeysOfTwoResources covers templates that can make one key.
func TestKeysOfTwoResources(t *testing.T) {
	f := func(a, keyA, b, keyB, want string) {
		t.Helper()
		for _, text := range []string{resources("/a"+a+" "+keyA, "/b"+b+" "+keyB), resources("/b"+b+" "+keyB, "/a"+a+" "+keyA)} {
			_, err := load(t, text)
			if want != "" {
				wantFault(t, err, want)
			} else if err != nil {
				t.Errorf("%s and %s: %v", keyA, keyB, err)
			}
		}
	}
	const same, meet = "is the template of another key", "can be the same key as"
	f("/{x:int}", "k:{x}", "/{y:int}", "k:{y}", same)
	f("/{x:int}", "k:{x}", "/{y:uuid}", "k:{y}", same) // whatever the types
	f("/{x:int}/{y:int}", "k:{x}:{y}", "/{y:int}/{x:int}", "k:{x}:{y}", same)
	f("", "k", "", "k", same)
	f("/{x:int}", "k:{x}", "", "k:1", meet)
	f("/{x:int}", "k:{x}", "", "k:-12", meet)
	f("/{x:int}", "k:{x}", "", "k:-", "")
	f("/{x:int}", "k:{x}", "", "k:", "") // values are never empty
	f("/{x:int}", "k:{x}", "", "k:1a", "")
	f("/{x:int}", "k:{x}", "", "k:1-2", "")
	f("/{x:string}", "k:{x}", "", "k:1", meet)
	f("/{x:string}", "k:{x}", "", "k:a:b", "")
	f("/{x:string}", "k:{x}", "/{y:int}", "k:v2:{y}", "")
	f("/{x:string}", "k:{x}", "/{y:int}", "k:v{y}", meet)
	f("/{x:uuid}", "k:{x}", "", "k:01234567-89ab-cdef-0123-456789abcdef", meet)
	f("/{x:uuid}", "k:{x}", "", "k:01234567-89AB-cdef-0123-456789abcdef", "") // lower case in keys
	f("/{x:uuid}", "k:{x}", "/{y:string}", "k:{y}x", "")
	f("/{x:uuid}", "k:{x}", "/{y:string}", "k:{y}a", meet)
	f("/{x:uuid}", "k:{x}", "/{y:string}", "k:0{y}", meet)
	f("/{x:uuid}", "k:{x}", "/{y:int}", "k:0{y}", "")
	f("/{x:string}/{y:string}", "k{x}:{y}", "/{z:string}", "k:{z}", "")
	f("/{x:string}/{y:string}", "k{x}:{y}", "/{z:string}", "kk:{z}", meet)
	f("/{x:string}", "{x}k", "/{y:string}", "k{y}", meet)
	f("/{x:int}", "{x}k", "/{y:int}", "k{y}", "")
	f("/{x:string}", "user:{x}", "/{y:string}", "item:{y}", "")
}

func TestKeysOfCounters(t *testing.T) {
	f := func(key, want string) {
		t.Helper()
		_, err := load(t, resources("/a/{x:int} a:{x}")+fmt.Sprintf("[[counter]]\npath = \"/c\"\nkey = %q\n", key))
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	f("c", "")
	f("a:x", "")
	f("a:1", "can be the same key as")
	f("a:{x}", "has a parameter")
	f("hearth:c", "reserved")
	f("hearth:", "reserved")
	// Two paths may count together.
	mustLoad(t, "[[counter]]\npath = \"/c\"\nkey = \"c\"\n[[counter]]\npath = \"/d\"\nkey = \"c\"\n")
}

func TestRoutesCompete(t *testing.T) {
	const counter, batch = "[[counter]]\nkey = \"count\"\npath = ", "[[batch]]\nresource = \"r0\"\npath = "
	f := func(text, want string) {
		t.Helper()
		_, err := load(t, text)
		if want != "" {
			wantFault(t, err, want)
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	const compete = "answer the same requests"
	f(resources("/a/{x:int} a:{x}", "/a/{y:int} b:{y}"), compete)
	f(resources("/a/{x:int} a:{x}", "/a/{y:uuid} b:{y}"), compete) // 422 is an answer
	f(resources("/a/{x:int} a:{x}", "/a/me b"), "")
	f(resources("/a/{x:int} a:{x}", "/a/12 b"), compete)
	f(resources("/a/{x:string} a:{x}", "/a/me b"), compete)
	f(resources("/a/{x:uuid} a:{x}", "/a/me b"), "")
	f(resources("/a/{x:uuid} a:{x}", "/a/01234567-89AB-cdef-0123-456789abcdef b"), compete)
	f(resources("/a/{x:int}/b a:{x}", "/a/{y:string}/c b:{y}"), "")
	f(resources("/a/{x:int} a:{x}", "/a b"), "read in many")
	f(resources("/a/{x:int}/b a:{x}", "/a b"), "")
	f(resources("/a/{x:int}/{y:int} a:{x}:{y}", "/a b"), "")
	f(resources("/a/{x:int} a:{x}")+counter+`"/a/1"`, compete)
	f(resources("/a/{x:int} a:{x}")+counter+`"/a"`, "read in many")
	f(resources("/a/{x:int} a:{x}")+batch+`"/a"`, "") // another method
	f(resources("/a/{x:int} a:{x}")+batch+`"/a/1"`, "")
	f(resources("/a/{x:int} a:{x}")+batch+"\"/b\"\n"+batch+`"/b"`, compete)
	f(counter+`"/b"`+"\n"+counter+`"/b"`, compete)
	f(counter+`"/docs"`, "reserved")
	f(counter+`"/docs/x"`, "reserved")
	f(counter+`"/openapi.json"`, "reserved")
	f(counter+`"/healthz"`, "reserved")
	f(counter+`"/"`, "is the root")
	f(resources("/a/{x:int} a:{x}")+batch+`"/healthz"`, "reserved")
	f(resources("/{x:string} a:{x}"), "reserved")
	f(resources("/{x:int} a:{x}"), "")
	f(resources("/healthz/{x:int} a:{x}"), "reserved")
	f(resources("/{t:string}/{x:int} a:{t}:{x}"), "")
}
