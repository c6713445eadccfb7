package connector

import "encoding/json"

// Summary is what Parameters is, of a JSON object that is no body: a message over a connection. It is nil for what is
// no object.
func Summary(doc []byte, limit int, hide func(string) string) json.RawMessage {
	members, err := readObject(doc)
	if err != nil || len(members) == 0 {
		return nil
	}
	return (&Call{members: members}).Parameters(limit, hide)
}
