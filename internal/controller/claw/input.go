package claw

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"

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
		People:      f.people,
		UpstreamCA:  f.upstreamCA,
		LedgerCA:    f.platform.LedgerCA,
		GatewayIP:   f.gatewayIP,

		PrivateNetworks: privateNetworks(grant, r.Catalogue),
		Agent: cage.Agent{
			Hold:             f.hold != nil,
			RuntimeClassName: f.runtimeClass,
			Placeholders:     placeholders(claw, r.Catalogue),
			Files:            files(claw, r.Catalogue),
			ProbePlan:        r.probePlan(f),
		},
	}
	if grant.State == v1alpha1.GrantActive && !f.suspended {
		in.Agent.Replicas = 1
	}
	in.AgentCredentials = delivered(grant, f.slots, r.Catalogue)
	return in
}

// privateNetworks are those that the definitions in a grant say their services are in. A definition that is not usable has
// none: what uses it is not granted.
func privateNetworks(grant v1alpha1.ClawGrantSpec, catalogue *connector.Catalogue) []netip.Prefix {
	if len(grant.Connectors) == 0 {
		return nil
	}
	definitions := map[string][]byte{}
	for _, c := range grant.Connectors {
		definitions[string(c.Name)] = []byte(c.Definition)
	}
	own, _ := catalogue.With(definitions)
	var out []netip.Prefix
	for _, c := range grant.Connectors {
		conn := own.Get(string(c.Name))
		if conn == nil {
			continue
		}
		for _, host := range conn.Hosts {
			for _, text := range host.PrivateCIDRs {
				if p, err := netip.ParsePrefix(text); err == nil {
					out = append(out, p.Masked())
				}
			}
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// delivered are the keys that the agent has too: what calls are made with, and never what messages are
// verified with, by which they could be forged.
func delivered(grant v1alpha1.ClawGrantSpec, slots map[string][]byte, catalogue *connector.Catalogue) map[string][]byte {
	out := map[string][]byte{}
	for _, c := range grant.Credentials {
		conn := catalogue.Get(string(c.Connector))
		if c.Delivery != v1alpha1.DeliveryContainer || conn == nil {
			continue
		}
		for name, slot := range conn.Slots {
			key := cage.CredentialKey(string(c.Name), name)
			if value, ok := slots[key]; ok && slot.Use == connector.SlotInject {
				out[key] = value
			}
		}
	}
	return out
}

// files are where keys would be, of all credentials the Claw names: which of them are delivered into the
// container is their owners' to say, at any time, and restarts nothing.
func files(claw *v1alpha1.Claw, catalogue *connector.Catalogue) []cage.File {
	found := map[cage.File]bool{}
	add := func(credential v1alpha1.ObjectName, name v1alpha1.ConnectorName) {
		conn := catalogue.Get(string(name))
		if conn == nil {
			return
		}
		for slot, s := range conn.Slots {
			if s.Use == connector.SlotInject {
				found[cage.File{Credential: string(credential), Slot: slot}] = true
			}
		}
	}
	for _, e := range claw.Spec.Channels {
		add(e.Credential, e.Connector)
	}
	for _, e := range claw.Spec.Tools {
		add(e.Credential, e.Connector)
	}
	for _, e := range claw.Spec.Models {
		add(e.Credential, e.Connector)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b cage.File) int {
		return cmp.Or(strings.Compare(a.Credential, b.Credential), strings.Compare(a.Slot, b.Slot))
	})
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
		for _, port := range []uint16{cage.ProxyPort, 443, 53} {
			forbidden = append(forbidden, probe.Target{Name: "a sibling's gateway", Network: probe.TCP, Address: netip.AddrPortFrom(sibling, port)})
		}
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
