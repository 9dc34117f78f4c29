package source

import (
	"github.com/goccy/go-json"
)

// Member is a member of a body that Put reads.
type Member struct {
	Name     string // dots descend, as in address.city
	Required bool
}

// BodyMembers lists what Put of these records reads from a body, for
// documentation. It is empty for records that cannot be written or take the
// body whole.
func BodyMembers(r Records) []Member {
	t, ok := r.(interface{ members() []Member })
	if !ok {
		return nil
	}
	return t.members()
}

func (t *table) members() []Member {
	if t.upsert == nil {
		return nil
	}
	var members []Member
	for _, f := range t.upsert.fields {
		if len(f.path) > 0 {
			members = append(members, Member{Name: f.String(), Required: !f.optional})
		}
	}
	return members
}

// DemoSelect is the statement under which the demo's records are published as
// examples: the one in the config.toml that comes with the program.
const DemoSelect = "SELECT id, name, city FROM users WHERE id = {user_id}"

// DemoRecord is the demo's record 1 as DemoSelect finds it.
func DemoRecord() []byte {
	name, city := demoPerson(1)
	text, err := json.Marshal(struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
		City string `json:"city"`
	}{1, name, city})
	if err != nil {
		panic("BUG: marshalling the demo's record: " + err.Error())
	}
	return text
}
