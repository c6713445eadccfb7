package policy

import "github.com/clawstaff/clawstaff/api/v1alpha1"

// HasUsername reports whether a username of the API server is a member's. One that two members claim is
// nobody's, because it cannot be told who asks.
func (d *Directory) HasUsername(name v1alpha1.MemberName, username string) bool {
	member, ok := d.MemberOf(username)
	return ok && member == name
}
