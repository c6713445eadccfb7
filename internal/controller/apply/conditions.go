package apply

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conditions collects conditions in one pure pass. A condition whose status stays keeps its time.
type Conditions struct {
	List       []metav1.Condition
	Generation int64
	Now        time.Time
}

// maxMessage keeps an object small, whatever an error has to say.
const maxMessage = 4096

// Set sets one condition.
func (c *Conditions) Set(kind string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	meta.SetStatusCondition(&c.List, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: c.Generation, LastTransitionTime: metav1.NewTime(c.Now),
	})
}

// True sets a condition to True.
func (c *Conditions) True(kind, reason, message string) {
	c.Set(kind, metav1.ConditionTrue, reason, message)
}

// False sets a condition to False.
func (c *Conditions) False(kind, reason, message string) {
	c.Set(kind, metav1.ConditionFalse, reason, message)
}

// Is tells whether a condition has the given status.
func (c *Conditions) Is(kind string, status metav1.ConditionStatus) bool {
	return meta.IsStatusConditionPresentAndEqual(c.List, kind, status)
}

// Changed tells whether a condition's status or reason differs between two lists: what an event is worth.
func Changed(before, after []metav1.Condition, kind string) bool {
	b, a := meta.FindStatusCondition(before, kind), meta.FindStatusCondition(after, kind)
	if b == nil || a == nil {
		return a != nil
	}
	return a.Status != b.Status || a.Reason != b.Reason
}
