package admission

import (
	"fmt"
	"time"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/test/bench/local"
	"github.com/clawstaff/clawstaff/test/bench/report"
)

// input is what the grant of a Claw follows from, in an organization with so many members and policies.
func input(files []policy.DirectoryFile, n, selecting int, catalogue policy.Catalogue) policy.Input {
	org := organization(nil)
	c := claw(asked(0), 0, selecting-1, time.Now())
	c.UID = "1"
	in := policy.Input{
		Organization: org, Directory: policy.NewDirectory(org, files...), Claw: c, Policies: policies(n, selecting),
		Catalogue: catalogue, RuntimeClassName: runtime, Now: time.Now(),
	}
	for _, credential := range credentials(c) {
		usable := policy.UsableCredential{Source: credential.Spec.Source, RotatedAt: in.Now}
		usable.Name, usable.Connector = v1alpha1.ObjectName(credential.Name), credential.Spec.Connector
		usable.Delivery = v1alpha1.DeliveryGateway
		for slot := range credential.Spec.Source.Secret.Keys {
			usable.Slots = append(usable.Slots, slot)
		}
		in.Credentials = append(in.Credentials, usable)
	}
	return in
}

// compiled measures how long a grant takes. Nothing of it may be withheld: that would be another, shorter way.
func compiled(c Config, catalogue policy.Catalogue) ([]report.Figure, error) {
	files, _, err := directory(c.Members)
	if err != nil {
		return nil, err
	}
	few := min(selecting, c.Policies)
	whole := input(files, c.Policies, few, catalogue)
	whole.Claw.Spec.Visibility, whole.Claw.Spec.Teams = v1alpha1.VisibilityOrganization, nil
	for i := range whole.Policies {
		whole.Policies[i].Spec.Allow.Visibility = []v1alpha1.Visibility{v1alpha1.VisibilityOrganization}
	}
	var figures []report.Figure
	for _, of := range []struct {
		what string
		in   policy.Input
	}{
		{fmt.Sprintf("%d policies", few), input(files, few, few, catalogue)},
		{fmt.Sprintf("%s policies, of which %d select the Claw", thousands(c.Policies), few), input(files, c.Policies, few, catalogue)},
		{fmt.Sprintf("%s policies, which all select it", thousands(c.Policies)), input(files, c.Policies, c.Policies, catalogue)},
		{fmt.Sprintf("%s policies, of which %d select it, and all members its audience", thousands(c.Policies), few), whole},
	} {
		if result := policy.Compile(of.in); len(result.Withheld) > 0 || len(result.Grant.Models) == 0 {
			return nil, fmt.Errorf("the benchmark's Claw, %s: withheld is %+v", of.what, result.Withheld)
		}
		figures = append(figures, local.Measure("compile a grant: "+of.what, c.Measurements, func() { policy.Compile(of.in) }))
	}
	org := organization(nil)
	return append(figures, local.Measure(fmt.Sprintf("join a directory of %s members, once for each change of it", thousands(c.Members)), c.Measurements,
		func() { policy.NewDirectory(org, files...) })), nil
}
