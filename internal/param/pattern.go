package param

import "strings"

// alphabet is a set of bytes of ASCII: no key holds another byte.
type alphabet string

// has tells whether a byte is in the set.
func (a alphabet) has(c byte) bool { return strings.IndexByte(string(a), c) >= 0 }

// shares tells whether some byte is in both.
func (a alphabet) shares(b alphabet) bool { return strings.ContainsAny(string(a), string(b)) }

// between is the alphabet from the first byte to the last.
func between(first, last byte) (a alphabet) {
	for c := first; c <= last; c++ {
		a += alphabet(c)
	}
	return a
}

var (
	decimals = between('0', '9')
	lowerHex = decimals + between('a', 'f')
	// encoded are the bytes that Encode writes.
	encoded  = decimals + between('a', 'z') + between('A', 'Z') + "._~@-%"
	anything = between(0, 127)
)

// inKeys returns the bytes a value can have in a key, behind its first byte: a
// minus begins an integer and nothing else.
func (k Kind) inKeys() alphabet {
	switch k {
	case Int:
		return decimals
	case UUID:
		return lowerHex + "-"
	}
	return encoded
}

// Pattern is the shape of all keys that a template makes.
type Pattern []step

// step is one step of a pattern.
type step struct {
	// set is which bytes it takes.
	set alphabet
	// skip tells that it may be left out, repeat that it may be taken again.
	skip, repeat bool
}

// Pattern turns a template into steps; params are those of its path.
func (t Template) Pattern(params []Param) Pattern {
	kinds := kindsOf(params)
	var steps Pattern
	for _, part := range t.Parts {
		steps = append(steps, literalSteps(part.Literal)...)
		if part.Param == "" {
			continue
		}
		set := kinds[part.Param].inKeys()
		switch kinds[part.Param] {
		case Int:
			steps = append(steps, step{set: "-", skip: true})
		case UUID:
			for _, c := range uuidForm {
				if c == '-' {
					steps = append(steps, step{set: "-"})
				} else {
					steps = append(steps, step{set: lowerHex})
				}
			}
			continue
		}
		steps = append(steps, step{set: set}, step{set: set, skip: true, repeat: true})
	}
	return steps
}

// ReservedPattern is the shape of the keys of the server's own.
func ReservedPattern() Pattern {
	return append(literalSteps(Reserved), step{set: anything, skip: true, repeat: true})
}

// literalSteps is a step for each byte.
func literalSteps(text string) (steps Pattern) {
	for i := range len(text) {
		steps = append(steps, step{set: alphabet(text[i : i+1])})
	}
	return steps
}

// kindsOf finds the type of a parameter by its name.
func kindsOf(params []Param) map[string]Kind {
	kinds := map[string]Kind{}
	for _, p := range params {
		kinds[p.Name] = p.Type
	}
	return kinds
}

// Meets tells whether some key fits both patterns. It searches the product of
// the two automata, whose states are positions in the patterns.
func (a Pattern) Meets(b Pattern) bool {
	type state struct{ i, j int }
	seen := map[state]bool{}
	// Depth first; each pair of positions is visited once, so the work is bounded
	// by the product of the lengths.
	todo := []state{{0, 0}}
	visit := func(i, j int) {
		if s := (state{i, j}); !seen[s] {
			seen[s] = true
			todo = append(todo, s)
		}
	}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if s.i == len(a) && s.j == len(b) {
			return true
		}
		// A step may be left out on either side without the other noticing.
		if s.i < len(a) && a[s.i].skip {
			visit(s.i+1, s.j)
		}
		if s.j < len(b) && b[s.j].skip {
			visit(s.i, s.j+1)
		}
		if s.i == len(a) || s.j == len(b) || !a[s.i].set.shares(b[s.j].set) {
			continue
		}
		i, j := s.i+1, s.j+1
		if a[s.i].repeat {
			i = s.i
		}
		if b[s.j].repeat {
			j = s.j
		}
		visit(i, j)
	}
	return false
}

// Ambiguous names two parameters of which a key does not tell where one ends
// and the other begins, or returns "". Between them there must be a byte that
// the left one cannot contain: its first occurrence marks the end.
func (t Template) Ambiguous(params []Param) (left, right string) {
	kinds, marked := kindsOf(params), false
	for _, part := range t.Parts {
		if part.Param != "" {
			if left != "" && !marked {
				return left, part.Param
			}
			left, marked = part.Param, false
			continue
		}
		if left == "" {
			continue
		}
		set := kinds[left].inKeys()
		for i := range len(part.Literal) {
			marked = marked || !set.has(part.Literal[i])
		}
	}
	return "", ""
}
