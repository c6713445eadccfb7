package claw

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/cage"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/probe"
)

// input is what the cage's builders need, from facts alone.
func (r *Reconciler) input(claw *v1alpha1.Claw, f facts) cage.ClawInput {
	grant := f.result.Grant
	grant.AgentIPs = f.agentIPs
	in := cage.ClawInput{
		Settings:    r.Settings,
		Platform:    f.platform.Platform,
		Claw:        claw,
		Grant:       grant,
		Keys:        f.keys,
		Credentials: f.slots,
		UpstreamCA:  f.upstreamCA,
		LedgerCA:    f.platform.LedgerCA,
		GatewayIP:   f.gatewayIP,
		Agent: cage.Agent{
			Hold:             f.hold != nil,
			RuntimeClassName: f.runtimeClass,
			Placeholders:     placeholders(claw, r.Catalogue),
			ProbePlan:        r.probePlan(f),
		},
	}
	if grant.State == v1alpha1.GrantActive {
		in.Agent.Replicas = 1
	}
	return in
}

// placeholders stand where software expects keys: of what the Claw asks for, not of what it is granted,
// because a change of a policy must not restart an agent.
func placeholders(claw *v1alpha1.Claw, catalogue *connector.Catalogue) []cage.Placeholder {
	var out []cage.Placeholder
	for _, name := range cage.ConnectorNames(claw) {
		conn := catalogue.Get(name)
		if conn == nil {
			continue
		}
		for _, slotName := range slices.Sorted(maps.Keys(conn.Slots)) {
			slot := conn.Slots[slotName]
			if slot.Env != "" {
				out = append(out, cage.Placeholder{Name: slot.Env, Value: slot.Placeholder, Resign: slot.Use == connector.SlotVerify})
			}
		}
	}
	return out
}

// maxForbidden bounds a plan: a proof is short, however many endpoints a cluster has.
const maxForbidden = 200

// probePlan is what the agent's probe must and must not reach.
func (r *Reconciler) probePlan(f facts) string {
	gateway, err := netip.ParseAddr(f.gatewayIP)
	if err != nil {
		return ""
	}
	forbidden := []probe.Target{{Name: "the gateway's inbound port", Network: probe.TCP, Address: netip.AddrPortFrom(gateway, cage.InboundPort)}}
	for i := range f.gatewayPods {
		pod := &f.gatewayPods[i]
		if ip, err := netip.ParseAddr(pod.Status.PodIP); err == nil && pod.DeletionTimestamp == nil {
			forbidden = append(forbidden, probe.Target{Name: "the gateway's health port", Network: probe.TCP, Address: netip.AddrPortFrom(ip, cage.HealthPort)})
		}
	}
	if sibling, err := netip.ParseAddr(f.sibling); err == nil {
		forbidden = append(forbidden, probe.Target{Name: "a sibling's gateway", Network: probe.TCP, Address: netip.AddrPortFrom(sibling, cage.ProxyPort)})
	}
	forbidden = slices.Concat(forbidden, r.Outside, f.platform.Forbidden)
	forbidden = forbidden[:min(len(forbidden), maxForbidden)]
	text, err := json.Marshal(probe.Plan{
		Gateway: netip.AddrPortFrom(gateway, cage.ProxyPort), Forbidden: forbidden, NodePorts: f.platform.NodePorts,
	})
	if err != nil {
		return "" // the probe refuses an empty plan
	}
	return string(text)
}
