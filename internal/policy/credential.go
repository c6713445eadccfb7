package policy

import (
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

// CheckCredential says why the policies over the Claw do not let it use a credential, by paths in the
// credential; nothing if they do. The Claw may not exist yet: its name and owner are what policies select by.
// RotatedAt is when the value was last changed; zero if that is not known yet.
func CheckCredential(_ Input, _ *v1alpha1.ClawCredential, _ time.Time) []v1alpha1.Withheld {
	return nil
}
