package cluster

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
)

func TestCutFigures(t *testing.T) {
	var cuts []cut
	for i := range 100 {
		cuts = append(cuts, cut{toAgent: time.Duration(i+1) * time.Millisecond})
	}
	cuts[99].toAgent = time.Second // one of a hundred may
	if f := cutFigures("", cuts)[1]; !f.Met || f.Value != "99ms" {
		t.Errorf("one slow revocation of a hundred: %+v", f)
	}
	cuts[98].toAgent = time.Second
	if f := cutFigures("", cuts)[1]; f.Met {
		t.Errorf("two slow revocations of a hundred: %+v", f)
	}
	cuts[3].late = 1
	if f := cutFigures("", cuts)[5]; f.Met || f.Value != "1" {
		t.Errorf("a request that got through late: %+v", f)
	}
}

func TestReached(t *testing.T) {
	labels := func(claw, component string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: claw + "-" + component, Labels: map[string]string{v1alpha1.LabelClaw: claw, v1alpha1.LabelComponent: component}}
	}
	ready := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	ended := func(code int32) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}
	}
	agent := func(probe corev1.ContainerState) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: labels("c", "agent"), Status: corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{Name: "probe", State: probe}}}}
	}
	all := agent(ended(0))
	all.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "agent", State: running}}
	all.Status.Conditions = ready
	for name, c := range map[string]struct {
		object runtime.Object
		want   []string
	}{
		"another Claw's pod":     {&corev1.Pod{ObjectMeta: labels("d", "gateway"), Status: corev1.PodStatus{Conditions: ready}}, nil},
		"a gateway":              {&corev1.Pod{ObjectMeta: labels("c", "gateway"), Status: corev1.PodStatus{Conditions: ready}}, []string{"gateway's pod made", "gateway ready"}},
		"a proof that is made":   {agent(running), []string{"agent's pod made", "proof begun"}},
		"a proof that failed":    {agent(ended(1)), []string{"agent's pod made"}},
		"an agent that is there": {all, []string{"agent's pod made", "proof done", "agent running", "agent ready"}},
		"a Claw that is not":     {&v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, nil},
		"a Claw that is Ready": {&v1alpha1.Claw{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Status: v1alpha1.ClawStatus{
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}}}, []string{"Claw Ready"}},
	} {
		if diff := cmp.Diff(c.want, reached(c.object, "c")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTimeline(t *testing.T) {
	got := timeline(map[string][]time.Duration{"agent ready": {3 * time.Second}, "gateway ready": {time.Second, 2 * time.Second}})
	if !strings.HasPrefix(got, "gateway ready 1.5s, agent ready 3s") {
		t.Errorf("got %q", got)
	}
}
