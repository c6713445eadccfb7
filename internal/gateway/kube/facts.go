package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	kjson "sigs.k8s.io/json"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/audit"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
)

// parseClaw says why a Claw as it was read is over, and nothing if it is not.
func parseClaw(o *object, want audit.ClawRef) (over string, err error) {
	switch {
	case o == nil:
		return "the Claw was deleted", nil
	case o.meta.UID != want.UID:
		return "the Claw was deleted and another was created in its place", nil
	case o.meta.DeletionTimestamp != nil:
		return "the Claw is being deleted", nil
	}
	var claw struct {
		Spec struct {
			State v1alpha1.ClawState `json:"state"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(o.raw, &claw); err != nil {
		return "", fmt.Errorf("read the Claw: %w", err)
	}
	switch claw.Spec.State {
	case v1alpha1.ClawActive, "":
		return "", nil
	case v1alpha1.ClawRevoked:
		return "the Claw is revoked", nil
	default:
		return "", fmt.Errorf("the Claw's state %q is not known to this gateway", claw.Spec.State)
	}
}

// grant is a ClawGrant as it was read.
type grant struct {
	uid      string
	spec     *v1alpha1.ClawGrantSpec
	services *connector.Catalogue    // nil: those that are part of the program
	gateways []v1alpha1.GrantGateway // what gateways have acknowledged
}

// parseGrant reads a grant for the given Claw. An error means that nothing of it may be used: a
// field that this gateway does not know may be one that forbids something.
func parseGrant(o *object, want audit.ClawRef) (*grant, error) {
	if o == nil {
		return nil, errors.New("there is no ClawGrant")
	}
	var raw struct {
		Spec   json.RawMessage          `json:"spec"`
		Status v1alpha1.ClawGrantStatus `json:"status"`
	}
	if err := json.Unmarshal(o.raw, &raw); err != nil {
		return nil, fmt.Errorf("the ClawGrant cannot be read: %w", err)
	}
	g := &grant{uid: o.meta.UID, spec: &v1alpha1.ClawGrantSpec{}, gateways: raw.Status.Gateways}
	unknown, err := kjson.UnmarshalStrict(raw.Spec, g.spec)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the ClawGrant cannot be read: %w", err)
	case len(unknown) > 0:
		return nil, fmt.Errorf("the ClawGrant asks for something this gateway does not know: %w", errors.Join(unknown...))
	case g.spec.ClawUID != want.UID:
		return nil, errors.New("the ClawGrant is for another Claw of this name")
	case o.meta.DeletionTimestamp != nil:
		return nil, errors.New("the ClawGrant is being deleted")
	}
	return g, validate(g.spec)
}

// validate checks what the schema cannot.
func validate(spec *v1alpha1.ClawGrantSpec) error {
	switch spec.State {
	case v1alpha1.GrantActive, v1alpha1.GrantStopped, v1alpha1.GrantRevoked:
	default:
		return fmt.Errorf("the ClawGrant's state %q is not known to this gateway", spec.State)
	}
	if spec.Hash == "" || spec.Hash != policy.Hash(spec) {
		return errors.New("the ClawGrant's hash is not that of its content")
	}
	for _, c := range spec.Credentials {
		if !knownDelivery(c.Delivery) {
			return fmt.Errorf("the ClawGrant's delivery %q is not known to this gateway", c.Delivery)
		}
	}
	if spec.Limits.RequestsPerMinute < 0 {
		return errors.New("the ClawGrant's limits are invalid")
	}
	for _, ip := range spec.AgentIPs {
		if _, err := netip.ParseAddr(ip); err != nil {
			return fmt.Errorf("the ClawGrant's agentIPs: %w", err)
		}
	}
	if spec.AgentPort < 0 || spec.AgentPort > 65535 || (spec.AgentPath != "" && !strings.HasPrefix(spec.AgentPath, "/")) {
		return errors.New("the ClawGrant's agentPort or agentPath is invalid")
	}
	return nil
}

// knownDelivery reports whether a delivery is one of this version. It makes no other difference here: the gateway puts
// the key in whoever else holds it.
func knownDelivery(d v1alpha1.Delivery) bool {
	return d == v1alpha1.DeliveryGateway || d == v1alpha1.DeliveryContainer || d == ""
}

// usable reports whether a credential may be used by the Claw for the connector, as far as the
// credential itself says.
func usable(o *object, want audit.ClawRef, connector v1alpha1.ConnectorName) bool {
	if o == nil || o.meta.DeletionTimestamp != nil {
		return false
	}
	var c struct {
		Spec struct {
			Claw      v1alpha1.CredentialClaw  `json:"claw"`
			Connector v1alpha1.ConnectorName   `json:"connector"`
			Delivery  v1alpha1.Delivery        `json:"delivery"`
			State     v1alpha1.CredentialState `json:"state"`
		} `json:"spec"`
		Status struct {
			ClawUID string `json:"clawUID"`
		} `json:"status"`
	}
	if json.Unmarshal(o.raw, &c) != nil {
		return false
	}
	return (c.Spec.State == v1alpha1.CredentialActive || c.Spec.State == "") &&
		knownDelivery(c.Spec.Delivery) &&
		string(c.Spec.Claw.Name) == want.Name &&
		c.Spec.Connector == connector &&
		(c.Status.ClawUID == "" || c.Status.ClawUID == want.UID)
}
