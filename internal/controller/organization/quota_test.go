package organization

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestUncounted(t *testing.T) {
	list := func(names ...corev1.ResourceName) corev1.ResourceList {
		out := corev1.ResourceList{}
		for _, name := range names {
			out[name] = resource.MustParse("1")
		}
		return out
	}
	const claws, cpu = "count/claws.clawstaff.dev", corev1.ResourceLimitsCPU
	cases := map[string]struct {
		status corev1.ResourceQuotaStatus
		want   bool
	}{
		"nobody has looked at it":   {corev1.ResourceQuotaStatus{}, false},
		"all is counted":            {corev1.ResourceQuotaStatus{Hard: list(claws, cpu), Used: list(claws, cpu)}, false},
		"the kind is not known yet": {corev1.ResourceQuotaStatus{Hard: list(claws, cpu), Used: list(cpu)}, true},
		"nothing is":                {corev1.ResourceQuotaStatus{Hard: list(claws)}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := uncounted(&corev1.ResourceQuota{Status: c.status}); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
