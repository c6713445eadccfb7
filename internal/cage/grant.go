package cage

import (
	"encoding/json"
	"fmt"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	v1alpha1ac "github.com/clawstaff/clawstaff/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// Grant is a compiled grant as an object of its Claw.
func Grant(claw *v1alpha1.Claw, spec v1alpha1.ClawGrantSpec) (Object, error) {
	ac := v1alpha1ac.ClawGrantSpec()
	if err := Convert(spec, ac); err != nil {
		return nil, err
	}
	return child(v1alpha1ac.ClawGrant(claw.Name, claw.Namespace), claw, "").WithSpec(ac), nil
}

// Convert copies an API value into its apply configuration: the same JSON, by construction.
func Convert(from, to any) error {
	data, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("convert %T: %w", from, err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("convert %T to %T: %w", from, to, err)
	}
	return nil
}
